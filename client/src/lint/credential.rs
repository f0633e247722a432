//! Credentials that are known by their form alone, wherever they stand.
//!
//! Promise: each form is looked for by a prefix and must have the alphabet and the length that its issuer gives it, so that a text that
//! merely speaks of tokens has none. Deliberately absent: guesses by entropy; those need a name that says what the value is (`literal`).

use memchr::memmem;

use super::literal::{is_placeholder, is_reference};

/// The credentials of a text: where each begins, and what it is.
pub(crate) fn known(text: &str) -> Vec<(usize, &'static str)> {
    let mut out = Vec::new();
    for form in FORMS {
        out.extend(
            all(text, form.prefix).filter(|at| form.is_at(text, *at)).map(|at| (at, form.what)),
        );
    }
    out.extend(
        all(text, PEM).filter(|at| is_private_key(text, *at)).map(|at| (at, "a private key")),
    );
    out.extend(
        all(text, PEM_IN_BASE64)
            .filter(|at| is_encoded_private_key(text, *at))
            .map(|at| (at, "a private key in base64")),
    );
    out.extend(all(text, "eyJ").filter(|at| is_jwt(text, *at)).map(|at| (at, "a JSON web token")));
    out.extend(
        all(text, "://").filter(|at| has_password(text, *at)).map(|at| (at, "a password in a URL")),
    );
    out.sort_unstable();
    out
}

/// Private keys as this program prints them: 14 groups of four, and the checksum is right.
pub(crate) fn private_keys(text: &str) -> Vec<usize> {
    const LENGTH: usize = 14 * 5 - 1;
    memchr::memchr_iter(b'-', text.as_bytes())
        .filter_map(|at| at.checked_sub(4))
        .filter(|at| {
            let begins = text.get(..*at).is_some_and(|before| !before.ends_with(is_of_a_word));
            let key = text.get(*at..*at + LENGTH).unwrap_or_default();
            begins
                && key.bytes().skip(4).step_by(5).all(|byte| byte == b'-')
                && sealing::parse_escrow_text(key).is_ok()
        })
        .collect()
}

fn all<'a>(text: &'a str, prefix: &'a str) -> impl Iterator<Item = usize> + 'a {
    memmem::find_iter(text.as_bytes(), prefix)
}

struct Form {
    prefix: &'static str,
    alphabet: fn(u8) -> bool,
    length: std::ops::RangeInclusive<usize>,
    what: &'static str,
}

const fn form(
    prefix: &'static str,
    alphabet: fn(u8) -> bool,
    length: std::ops::RangeInclusive<usize>,
    what: &'static str,
) -> Form {
    Form { prefix, alphabet, length, what }
}

/// Prefixes, alphabets and lengths behind them, as the issuers document them.
const FORMS: [Form; 31] = [
    form("AKIA", upper, 16..=16, "an access key id of AWS"),
    form("ASIA", upper, 16..=16, "a temporary access key id of AWS"),
    form("ghp_", word, 36..=251, "a token of GitHub"),
    form("gho_", word, 36..=251, "a token of GitHub"),
    form("ghu_", word, 36..=251, "a token of GitHub"),
    form("ghs_", word, 36..=251, "a token of GitHub"),
    form("ghr_", word, 36..=251, "a token of GitHub"),
    form("github_pat_", word, 40..=251, "a token of GitHub"),
    form("glpat-", dashed, 20..=320, "a token of GitLab"),
    form("gldt-", dashed, 20..=320, "a deploy token of GitLab"),
    form("glrt-", dashed, 20..=320, "a runner token of GitLab"),
    form("xoxb-", dashed, 20..=120, "a token of Slack"),
    form("xoxp-", dashed, 20..=120, "a token of Slack"),
    form("xoxa-", dashed, 20..=120, "a token of Slack"),
    form("xapp-", dashed, 20..=160, "a token of Slack"),
    form("hooks.slack.com/services/", path, 40..=80, "a webhook of Slack"),
    form("sk_live_", word, 20..=120, "a key of Stripe"),
    form("rk_live_", word, 20..=120, "a key of Stripe"),
    form("whsec_", base64, 32..=80, "a webhook secret of Stripe"),
    form("AIza", dashed, 35..=35, "a key of Google"),
    form("GOCSPX-", dashed, 20..=40, "a client secret of Google"),
    form("npm_", word, 36..=36, "a token of npm"),
    form("pypi-AgE", dashed, 50..=250, "a token of PyPI"),
    form("dckr_pat_", dashed, 20..=64, "a token of Docker Hub"),
    form("dop_v1_", word, 64..=64, "a token of DigitalOcean"),
    form("hvs.", dashed, 24..=200, "a token of Vault"),
    form("SG.", dotted, 60..=70, "a key of SendGrid"),
    form("sk-proj-", dashed, 40..=200, "a key of OpenAI"),
    form("AccountKey=", base64, 86..=88, "an account key of Azure Storage"),
    form("SharedAccessKey=", base64, 43..=44, "a shared access key of Azure"),
    form("AGE-SECRET-KEY-1", upper, 58..=58, "a private key of age"),
];

impl Form {
    fn is_at(&self, text: &str, at: usize) -> bool {
        let behind = text.get(at + self.prefix.len()..).unwrap_or_default();
        let len = behind.bytes().take_while(|byte| (self.alphabet)(*byte)).count();
        let token = behind.get(..len).unwrap_or_default();
        // Inside of a longer word it is no prefix, such as in base64.
        let begins = text.get(..at).is_none_or(|before| !before.ends_with(is_of_a_word));
        begins && self.length.contains(&len) && is_random(token)
    }
}

fn is_of_a_word(last: char) -> bool {
    last.is_ascii_alphanumeric() || matches!(last, '_' | '+' | '-')
}

fn upper(byte: u8) -> bool {
    byte.is_ascii_uppercase() || byte.is_ascii_digit()
}

fn word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

fn dashed(byte: u8) -> bool {
    word(byte) || byte == b'-'
}

fn dotted(byte: u8) -> bool {
    dashed(byte) || byte == b'.'
}

fn path(byte: u8) -> bool {
    word(byte) || byte == b'/'
}

fn base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"+/=".contains(&byte)
}

/// Examples in documentation repeat themselves or say what they are; what was drawn at random does neither.
fn is_random(token: &str) -> bool {
    let mut seen = [false; 256];
    for byte in token.bytes() {
        if let Some(seen) = seen.get_mut(usize::from(byte)) {
            *seen = true;
        }
    }
    seen.iter().filter(|seen| **seen).count() >= 8 && !is_placeholder(token)
}

const PEM: &str = "-----BEGIN ";
/// PEM's first 12 bytes.
const PEM_IN_BASE64: &str = "LS0tLS1CRUdJTiBS";

/// A label (RFC 7468) that ends so, and behind it more base64 than an example has.
fn is_private_key(text: &str, at: usize) -> bool {
    let Some((label, body)) =
        text.get(at + PEM.len()..).and_then(|behind| behind.split_once("-----"))
    else {
        return false;
    };
    // In JSON and in double quotes its line ends are escapes.
    let body = body.get(..body.len().min(200)).unwrap_or_default().replace("\\n", "\n");
    let digits = body
        .bytes()
        .filter(|byte| !byte.is_ascii_whitespace())
        .take_while(|byte| base64(*byte) || *byte == b'-')
        .filter(|byte| *byte != b'-')
        .count();
    label.len() < 40 && label.ends_with("PRIVATE KEY") && digits >= 40
}

fn is_encoded_private_key(text: &str, at: usize) -> bool {
    let head = text.get(at..at + 64).unwrap_or_default();
    let decoded = data_encoding::BASE64.decode(head.as_bytes()).unwrap_or_default();
    memmem::find(&decoded, b"PRIVATE KEY").is_some()
}

/// Header, payload and signature (RFC 7519), each base64url, the first two JSON objects.
fn is_jwt(text: &str, at: usize) -> bool {
    let begins = text.get(..at).is_none_or(|before| !before.ends_with(is_of_a_word));
    let behind = text.get(at..).unwrap_or_default();
    let len = behind.bytes().take_while(|byte| dotted(*byte)).count();
    let parts: Vec<_> = behind.get(..len).unwrap_or_default().split('.').collect();
    let is_object = |part: &str| {
        let bytes = data_encoding::BASE64URL_NOPAD.decode(part.as_bytes()).unwrap_or_default();
        serde_json::from_slice::<serde_json::Value>(&bytes).is_ok_and(|json| json.is_object())
    };
    begins
        && matches!(parts.as_slice(), [header, payload, signature] if signature.len() >= 20 && is_object(header) && is_object(payload))
}

/// `scheme://user:password@host`.
fn has_password(text: &str, at: usize) -> bool {
    let behind = text.get(at + "://".len()..).unwrap_or_default();
    let end = behind.find(|c: char| c.is_whitespace() || "/?#\"'`<>,;|\\".contains(c));
    let authority = behind.get(..end.unwrap_or(behind.len())).unwrap_or_default();
    let Some((user, password)) =
        authority.rsplit_once('@').and_then(|(user_info, _)| user_info.split_once(':'))
    else {
        return false;
    };
    password.len() >= 3
        && !is_reference(password)
        && !is_placeholder(password)
        && !user.contains('{')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Put together here, so that no scanner takes this file for a leak.
    fn joined(parts: &[&str]) -> String {
        parts.concat()
    }

    #[test]
    fn what_has_the_form_of_a_credential_is_known() {
        let payload = data_encoding::BASE64URL_NOPAD.encode(b"{\"sub\":\"x\"}");
        let header = data_encoding::BASE64URL_NOPAD.encode(b"{\"alg\":\"HS256\"}");
        let body = "MIIEpAIBAAKCAQEA7bq0kXc1yq3Yw8mZ0b2VtQ4yqf9w";
        for text in [
            joined(&["key: AKI", "A2E4QWERTYUIOPASK"]),
            joined(&["gh", "p_16C7e42F292c6912E7710c838347Ae178B4a"]),
            joined(&["token=gl", "pat-Zx81kQpLm29vTyWuB7sD"]),
            joined(&["xox", "b-2048-4096-aZbYcXdWeV"]),
            joined(&["sk_", "live_4eC39HqLyjWDarjtT1zdp7dc"]),
            joined(&["AI", "zaSyD-9tSrke72PouQMnMX-a7eZSW0jkFMBWY"]),
            joined(&[&header, ".", &payload, ".4pcPyMD09olPSyXnrXCjTwXyr4BsezdI"]),
            joined(&["-----BEGIN ", "RSA PRIVATE KEY-----\n", body]),
            joined(&["\"-----BEGIN ", "PRIVATE KEY-----\\n", body, "\\n\""]),
            data_encoding::BASE64
                .encode(joined(&["-----BEGIN ", "RSA PRIVATE KEY-----\n", body]).as_bytes()),
            joined(&["postgres://app:", "s3cr3tpw@db:5432/app"]),
        ] {
            assert_eq!(known(&text).len(), 1, "{text}: {:?}", known(&text));
        }
    }

    #[test]
    fn what_only_speaks_of_credentials_is_none() {
        for text in [
            "AKIAIOSFODNN7EXAMPLE",
            "ghp_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
            "glpat-",
            "xoxb-your-token-here-please-replace",
            "-----BEGIN PRIVATE KEY-----\n...\n-----END PRIVATE KEY-----",
            "-----BEGIN CERTIFICATE-----\nMIIEpAIBAAKCAQEA7bq0kXc1yq3Yw8mZ0b2VtQ4yqf9w",
            "postgres://$(USER):$(PASSWORD)@db/app",
            "postgres://user:${PASSWORD}@db/app",
            "https://user:password@host",
            "https://example.com:8443/a@b",
            "eyJhbGciOiJIUzI1NiJ9",
            "image: ghcr.io/org/app@sha256:0000",
        ] {
            assert_eq!(known(text), [], "{text}");
        }
    }
}
