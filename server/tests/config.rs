//! What is wrong with a configuration is said with its line and key.

use std::path::Path;

use envelope::AwsKeyArn;
use strongroomd::{
    authority::{Identity, Permission},
    config::{AwsKey, Config, Root},
};

const GOOD: &str = r#"[kms]
socket = "/run/strongroom/kms.sock"

[bundle]
dir = "/var/lib/strongroom"

[[roots]]
kind = "local"
file = "/etc/strongroom/root.key"
"#;

#[test]
fn smallest_configuration_has_safe_defaults() {
    let config = Config::parse(GOOD).unwrap();
    assert!(config.kms.annotation);
    assert!(config.kms.allow_uids.is_none() && config.kms.allow_gids.is_empty());
    assert!(config.admin.is_none());
}

#[test]
fn what_is_wrong_is_named_with_its_line() {
    let long = format!("socket = \"/{}\"", "x".repeat(103));
    let cases = [
        ("[kms]", "[kms]\nsokket = 1", 2, "unknown field `sokket`"),
        ("[bundle]", "[bundel]", 4, "unknown field `bundel`"),
        (
            "[kms]",
            "[kms]\nallow_uids = [\"root\"]",
            2,
            "invalid type: string \"root\", expected u32",
        ),
        ("[kms]", "[kms]\nallow_uids = []", 2, "an empty list admits nobody"),
        ("[kms]", "[kms]\nallow_uids = [-1]", 2, "invalid value: integer `-1`, expected u32"),
        (
            "socket = \"/run/strongroom/kms.sock\"",
            "socket = \"kms.sock\"",
            2,
            "the path must be absolute",
        ),
        ("socket = \"/run/strongroom/kms.sock\"", "", 1, "missing field `socket`"),
        (
            "socket = \"/run/strongroom/kms.sock\"",
            &long,
            2,
            "can have 103 bytes, and this one has 104",
        ),
        ("\"local\"", "\"lokal\"", 8, "unknown variant `lokal`"),
        ("file = \"/etc", "fil = \"/etc", 9, "unknown field `fil`"),
        (
            "file = \"/etc/strongroom/root.key\"",
            "file = \"root.key\"",
            9,
            "the path must be absolute",
        ),
        (
            "[[roots]]",
            "[admin]\nlisten = \"localhost\"\n[[roots]]",
            8,
            "invalid socket address syntax",
        ),
        ("[kms]", "[kms", 1, "unclosed table"),
    ];
    for (from, to, line, words) in cases {
        let error = Config::parse(&GOOD.replace(from, to)).unwrap_err().to_string();
        assert!(error.contains(words), "{to}: {error}");
        assert!(error.contains(&format!("line {line},")), "{to}: {error}");
    }
}

#[test]
fn root_key_that_stands_twice_is_refused() {
    let root = GOOD.split_once("[[roots]]").unwrap().1;
    let error = Config::parse(&format!("{GOOD}\n[[roots]]{root}")).unwrap_err().to_string();
    assert!(error.contains("a root key stands here twice"), "{error}");
    let error = Config::parse(&GOOD.replace("[[roots]]", "[[other]]")).unwrap_err().to_string();
    assert!(error.contains("unknown field `other`"), "{error}");
}

/// What stands under `[api]`, and its line in [`GOOD`].
fn api(settings: &str) -> Result<Config, toml::de::Error> {
    Config::parse(&GOOD.replace("[[roots]]", &format!("[api]\n{settings}\n[[roots]]")))
}

const TLS: &str =
    "tls = { cert_file = \"/t/crt\", key_file = \"/t/key\", client_ca_file = \"/t/ca\" }";

#[test]
fn api_is_a_socket_or_mutual_tls() {
    assert!(Config::parse(GOOD).unwrap().api.is_none());
    let socket = api("socket = \"/run/strongroom/admin.sock\"").unwrap().api.unwrap();
    assert!(socket.listen.is_none() && socket.allow.is_none());
    let tcp = api(&format!("listen = \"0.0.0.0:7443\"\n{TLS}")).unwrap().api.unwrap();
    assert!(tcp.socket.is_none());
    assert_eq!(tcp.listen.unwrap().address.port(), 7443);

    let allow = "socket = \"/a\"\n[[api.allow]]\nidentity = \"uri:spiffe://example.org/ops\"\nmay = [\"read\", \"operate\"]";
    let allow = api(allow).unwrap().api.unwrap().allow.unwrap();
    assert_eq!(allow[0].identity, Identity::Uri("spiffe://example.org/ops".into()));
    assert_eq!(allow[0].may, [Permission::Read, Permission::Operate]);
}

#[test]
fn api_that_would_be_open_to_all_or_to_nobody_is_refused() {
    let allow = |entry: &str| format!("socket = \"/a\"\n[[api.allow]]\n{entry}");
    let root = "identity = \"uid:0\"\nmay = [\"read\"]";
    let cases = [
        (String::new(), "missing field `socket`"),
        ("socket = \"a.sock\"".into(), "the path must be absolute"),
        ("listen = \"0.0.0.0:7443\"".into(), "mutual TLS or not at all"),
        (format!("socket = \"/a\"\n{TLS}"), "missing field `listen`"),
        (
            "listen = \"0.0.0.0:7443\"\ntls = { cert_file = \"/t/crt\", key_file = \"/t/key\" }"
                .into(),
            "missing field `client_ca_file`",
        ),
        (format!("owner = 1\nlisten = \"0.0.0.0:7443\"\n{TLS}"), "missing field `socket`"),
        ("socket = \"/a\"\npassword = \"x\"".into(), "unknown field `password`"),
        ("socket = \"/a\"\nallow = []".into(), "allows nothing to nobody"),
        (allow("identity = \"root\"\nmay = [\"read\"]"), "should be uid:NUMBER"),
        (allow("identity = \"uid:0\"\nmay = [\"write\"]"), "unknown variant `write`"),
        (allow("identity = \"uid:0\"\nmay = []"), "may do nothing"),
        (allow("identity = \"uid:0\"\nmay = [\"read\"]\nwhy = 1"), "unknown field `why`"),
        (allow(&format!("{root}\n[[api.allow]]\n{root}")), "stands in `allow` twice"),
    ];
    for (settings, words) in cases {
        let error = api(&settings).unwrap_err().to_string();
        assert!(error.contains(words), "{settings}: {error}");
        assert!(error.contains("line "), "{settings}: {error}");
    }
}

const KEY: &str = "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";

/// A root with these settings, in [`GOOD`].
fn root(settings: &str) -> Result<Option<Root>, toml::de::Error> {
    let local = "kind = \"local\"\nfile = \"/etc/strongroom/root.key\"";
    Config::parse(&GOOD.replace(local, settings)).map(|config| config.roots.first().cloned())
}

#[test]
fn key_of_aws_is_named_by_its_arn_or_an_alias_in_a_region() {
    let aws = |settings: &str| match root(&format!("kind = \"aws-kms\"\n{settings}")) {
        Ok(Some(Root::AwsKms(key))) => key,
        other => panic!("{settings}: {other:?}"),
    };
    let by_arn = aws(&format!("key = \"{KEY}\""));
    assert_eq!(by_arn.key.region(), "eu-central-1");
    assert!(by_arn.endpoint.is_none() && by_arn.profile.is_none() && !by_arn.fips);
    assert_eq!(by_arn.pins, Path::new("/var/lib/strongroom"), "pins lie beside the bundle");
    let by_alias = aws("key = \"alias/prod/strongroom\"\nregion = \"us-gov-west-1\"\nfips = true");
    assert_eq!((by_alias.key.region(), by_alias.fips), ("us-gov-west-1", true));
    let by_alias_arn = aws("key = \"arn:aws-cn:kms:cn-north-1:111122223333:alias/strongroom\"");
    assert_eq!(by_alias_arn.key.region(), "cn-north-1");
    assert!(matches!(by_alias_arn.key, AwsKey::Alias { .. }));
    for (place, by_name, by_arn) in [
        ("aws-cn:kms:cn-north-1:111122223333", false, true),
        ("aws-cn:kms:cn-north-1:999999999999", false, false),
        ("aws-cn:kms:cn-northwest-1:111122223333", false, false),
        ("aws:kms:cn-north-1:111122223333", false, false),
        ("aws-us-gov:kms:us-gov-west-1:999999999999", true, false),
    ] {
        let arn = AwsKeyArn::parse(&format!("arn:{place}:key/1234abcd")).unwrap();
        assert_eq!(
            (by_alias.key.may_be(&arn), by_alias_arn.key.may_be(&arn)),
            (by_name, by_arn),
            "{place}"
        );
    }
    for endpoint in ["https://vpce-1.kms.eu-central-1.vpce.amazonaws.com", "http://127.0.0.1:4566"]
    {
        let settings =
            format!("key = \"{KEY}\"\nendpoint = \"{endpoint}\"\nprofile = \"kms.prod\"");
        assert_eq!(aws(&settings).endpoint.as_deref(), Some(endpoint));
    }
}

#[test]
fn root_with_settings_of_another_kind_or_without_its_own_is_refused() {
    let aws = |settings: &str| format!("kind = \"aws-kms\"\n{settings}");
    let key = |settings: &str| aws(&format!("key = \"{KEY}\"\n{settings}"));
    let cases = [
        (aws(""), "missing field `key`"),
        (aws("key = \"1234abcd-12ab-34cd-56ef-1234567890ab\""), "does not say whose"),
        (aws("key = \"arn:aws:s3:eu-central-1:111122223333:key/1\""), "does not say whose"),
        (aws("key = \"alias/strongroom\""), "missing field `region`"),
        (aws("key = \"alias/strong room\"\nregion = \"eu-central-1\""), "does not say whose"),
        (aws("key = \"alias/strongroom\"\nregion = \"Frankfurt\""), "such as eu-central-1"),
        (key("region = \"eu-central-1\""), "stands in the ARN already"),
        (key("file = \"/etc/strongroom/root.key\""), "`file` belongs to kind = \"local\""),
        (key("endpoint = \"http://kms.example\""), "`endpoint` is https://"),
        (key("endpoint = \"kms.example\""), "`endpoint` is a URL"),
        (key("endpoint = \"https://kms.example\"\nfips = true"), "either `fips` or an `endpoint`"),
        (key("profile = \"../prod\""), "`profile` has 1 to 64"),
        (key("secret_access_key = \"x\""), "unknown field `secret_access_key`"),
        (
            "kind = \"local\"\nfile = \"/root.key\"\nregion = \"eu-central-1\"".into(),
            "belong to kind = \"aws-kms\"",
        ),
        ("kind = \"local\"\nfile = \"/root.key\"\nfips = true".into(), "belong to kind"),
        ("kind = \"local\"".into(), "missing field `file`"),
    ];
    for (settings, words) in cases {
        let error = root(&settings).unwrap_err().to_string();
        assert!(error.contains(words), "{settings}: {error}");
        assert!(error.contains("line "), "{settings}: {error}");
    }
}
