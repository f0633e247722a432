use std::path::PathBuf;

use envelope::AwsKeyArn;
use http::Uri;
use serde::Deserialize;

use super::AbsolutePath;

/// One of `[[roots]]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "RawRoot")]
pub enum Root {
    /// A key file on this machine.
    Local {
        /// The file.
        file: AbsolutePath,
    },
    /// A key of AWS KMS.
    AwsKms(AwsKms),
}

impl Root {
    /// What it is called where people read of it.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Local { file } => file.display().to_string(),
            Self::AwsKms(AwsKms { key: AwsKey::Arn(arn), .. }) => arn.to_string(),
            Self::AwsKms(AwsKms { key: AwsKey::Alias { alias, region }, .. }) => {
                format!("{alias} in {region}")
            }
        }
    }
}

/// `kind = "aws-kms"`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AwsKms {
    /// Which key.
    pub key: AwsKey,
    /// Another address than the region's own: a VPC endpoint, a test.
    pub endpoint: Option<String>,
    /// A profile of the shared AWS configuration; absent: the one that the environment names, or `default`.
    pub profile: Option<String>,
    /// The region's FIPS 140 endpoint.
    pub fips: bool,
    /// The folder where it is written down which key an alias stood for when it was first asked: that of the bundle.
    pub pins: PathBuf,
}

/// How a key of AWS KMS is named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AwsKey {
    /// By itself.
    Arn(AwsKeyArn),
    /// By something that can be made to point to another key tomorrow.
    Alias {
        /// `alias/…`, or the ARN of one.
        alias: String,
        /// The region that it is asked in.
        region: String,
    },
}

impl AwsKey {
    /// The region that answers for it.
    #[must_use]
    pub fn region(&self) -> &str {
        match self {
            Self::Arn(arn) => arn.region(),
            Self::Alias { region, .. } => region,
        }
    }

    /// Whether it may name this key: an alias stands for a key of its own region, and of its own account where it says one.
    #[must_use]
    pub fn may_be(&self, arn: &AwsKeyArn) -> bool {
        match self {
            Self::Arn(own) => own == arn,
            Self::Alias { alias, region } => {
                let place = alias.split_once(":alias/").map(|(place, _)| place);
                let fits =
                    |place| arn.as_str().split_once(":key/").is_some_and(|(of, _)| of == place);
                arn.region() == region && place.is_none_or(fits)
            }
        }
    }
}

/// As it is written. (An enum with a tag would lose the lines of what is inside.)
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRoot {
    kind: RootKind,
    file: Option<AbsolutePath>,
    key: Option<String>,
    region: Option<String>,
    endpoint: Option<String>,
    profile: Option<String>,
    fips: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum RootKind {
    Local,
    AwsKms,
}

impl TryFrom<RawRoot> for Root {
    type Error = &'static str;

    fn try_from(raw: RawRoot) -> Result<Self, Self::Error> {
        let RawRoot { kind, file, key, region, endpoint, profile, fips } = raw;
        match kind {
            RootKind::Local => {
                let remote = [&key, &region, &endpoint, &profile].iter().any(|it| it.is_some());
                if remote || fips.is_some() {
                    return Err(
                        "`key`, `region`, `endpoint`, `profile` and `fips` belong to kind = \"aws-kms\"",
                    );
                }
                let file = file.ok_or("missing field `file`: a local root key is a file")?;
                Ok(Self::Local { file })
            }
            RootKind::AwsKms => {
                if file.is_some() {
                    return Err("`file` belongs to kind = \"local\"");
                }
                let key = key.ok_or("missing field `key`: the ARN of a key, or an alias")?;
                let key = parse_key(key, region)?;
                if let Some(endpoint) = &endpoint {
                    check_endpoint(endpoint)?;
                }
                let fips = fips.unwrap_or(false);
                if fips && endpoint.is_some() {
                    return Err(
                        "either `fips` or an `endpoint`: give the address of a FIPS endpoint instead of both",
                    );
                }
                if profile.as_deref().is_some_and(|name| !is_profile(name)) {
                    return Err("`profile` has 1 to 64 of a-z, A-Z, 0-9, '-', '_' and '.'");
                }
                Ok(Self::AwsKms(AwsKms { key, endpoint, profile, fips, pins: PathBuf::new() }))
            }
        }
    }
}

fn parse_key(key: String, region: Option<String>) -> Result<AwsKey, &'static str> {
    let of_arn = AwsKeyArn::parse(&key).map(|arn| arn.region().to_owned()).ok();
    let of_arn = of_arn.or_else(|| region_of_alias_arn(&key).map(str::to_owned));
    if of_arn.is_some() && region.is_some() {
        return Err("`region` stands in the ARN already: leave it out");
    }
    if let Ok(arn) = AwsKeyArn::parse(&key) {
        return Ok(AwsKey::Arn(arn));
    }
    if of_arn.is_none() && !key.strip_prefix("alias/").is_some_and(is_alias) {
        return Err(
            "`key` is the ARN of a key (arn:aws:kms:REGION:ACCOUNT:key/ID), or an alias (alias/NAME): a key id alone does not say whose",
        );
    }
    let region = of_arn.or(region).ok_or("missing field `region`: an alias belongs to one")?;
    if !is_region(&region) {
        return Err("`region` is the name of one, such as eu-central-1");
    }
    Ok(AwsKey::Alias { alias: key, region })
}

/// `arn:<partition>:kms:<region>:<account>:alias/<name>`
fn region_of_alias_arn(text: &str) -> Option<&str> {
    let (place, name) = text.strip_prefix("arn:")?.split_once(":alias/")?;
    let mut parts = place.split(':');
    let (partition, service, region, account) =
        (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let fits = parts.next().is_none()
        && is_region(partition)
        && service == "kms"
        && account.len() == 12
        && account.bytes().all(|b| b.is_ascii_digit())
        && is_alias(name);
    fits.then_some(region)
}

fn is_region(text: &str) -> bool {
    let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    (1..=32).contains(&text.len()) && text.bytes().all(fits)
}

/// Short enough that its pin has a file name.
fn is_alias(name: &str) -> bool {
    let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'/' | b'_' | b'-');
    (1..=100).contains(&name.len()) && name.bytes().all(fits)
}

fn is_profile(name: &str) -> bool {
    let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    (1..=64).contains(&name.len()) && name.bytes().all(fits)
}

/// Key versions travel to it in the clear but for TLS.
fn check_endpoint(text: &str) -> Result<(), &'static str> {
    let uri: Uri = text.parse().map_err(|_| "`endpoint` is no URL")?;
    match (uri.scheme_str(), uri.host()) {
        (Some("https"), Some(_)) => Ok(()),
        (Some("http"), Some("127.0.0.1" | "[::1]" | "localhost")) => Ok(()),
        (Some("http"), Some(_)) => Err(
            "`endpoint` is https://: keys are sent to it. Only this machine may be asked without TLS",
        ),
        _ => {
            Err("`endpoint` is a URL such as https://vpce-0123.kms.eu-central-1.vpce.amazonaws.com")
        }
    }
}
