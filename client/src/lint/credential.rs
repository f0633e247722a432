//! What looks like a credential.

use memchr::memmem;

/// A credential in a text: where it begins, and what it is. Only forms that nothing else has: each is looked for by its prefix and must
/// have the length and alphabet that its issuer gives it.
pub(crate) fn known(text: &str) -> Vec<(usize, &'static str)> {
    let mut out = Vec::new();
    for form in FORMS {
        for at in memmem::find_iter(text.as_bytes(), form.prefix) {
            let behind = text.get(at + form.prefix.len()..).unwrap_or_default();
            let len = behind.bytes().take_while(|byte| (form.alphabet)(*byte)).count();
            let begins = text.get(..at).is_none_or(|before| {
                !before.ends_with(|last: char| last.is_ascii_alphanumeric() || last == '_')
            });
            let token = behind.get(..len).unwrap_or_default();
            if begins && form.length.contains(&len) && is_random(token) {
                out.push((at, form.what));
            }
        }
    }
    let all = |prefix: &'static str| memmem::find_iter(text.as_bytes(), prefix);
    out.extend(all("-----BEGIN ").filter_map(|at| {
        let label = text.get(at + "-----BEGIN ".len()..)?.split("-----").next()?;
        (label.ends_with("PRIVATE KEY") && label.len() < 40).then_some((at, "a private key"))
    }));
    out.extend(
        all("eyJ")
            .filter(|at| is_jwt(text.get(*at..).unwrap_or_default()))
            .map(|at| (at, "a JSON web token")),
    );
    out.extend(all("://").filter_map(|at| {
        let authority = text
            .get(at + "://".len()..)?
            .split(['/', '?', '#', ' ', '"', '\'', '\n', '`', '<'])
            .next()?;
        let (user_info, _) = authority.rsplit_once('@')?;
        let (_, password) = user_info.split_once(':')?;
        (password.len() >= 3 && !is_reference(password)).then_some((at, "a password in a URL"))
    }));
    out.sort_unstable();
    out
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

/// Prefixes, alphabets and lengths as the issuers document them.
const FORMS: [Form; 16] = [
    form("AKIA", upper, 16..=16, "an access key id of AWS"),
    form("ASIA", upper, 16..=16, "a temporary access key id of AWS"),
    form("ghp_", word, 36..=251, "a token of GitHub"),
    form("gho_", word, 36..=251, "a token of GitHub"),
    form("ghs_", word, 36..=251, "a token of GitHub"),
    form("github_pat_", word, 40..=251, "a token of GitHub"),
    form("glpat-", dashed, 20..=64, "a token of GitLab"),
    form("xoxb-", dashed, 20..=120, "a token of Slack"),
    form("xoxp-", dashed, 20..=120, "a token of Slack"),
    form("sk_live_", word, 20..=120, "a key of Stripe"),
    form("rk_live_", word, 20..=120, "a key of Stripe"),
    form("AIza", dashed, 35..=35, "a key of Google"),
    form("GOCSPX-", dashed, 20..=40, "a client secret of Google"),
    form("npm_", word, 36..=36, "a token of npm"),
    form("dckr_pat_", dashed, 20..=64, "a token of Docker Hub"),
    form("AGE-SECRET-KEY-", upper, 50..=80, "a private key of age"),
];

fn upper(byte: u8) -> bool {
    byte.is_ascii_uppercase() || byte.is_ascii_digit()
}

fn word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

fn dashed(byte: u8) -> bool {
    word(byte) || byte == b'-'
}

/// Examples in documentation repeat themselves; what was drawn at random does not.
fn is_random(token: &str) -> bool {
    let mut seen = [false; 256];
    token.bytes().for_each(|byte| {
        if let Some(seen) = seen.get_mut(usize::from(byte)) {
            *seen = true;
        }
    });
    seen.iter().filter(|seen| **seen).count() >= 8
        && !token.contains("EXAMPLE")
        && !token.to_ascii_lowercase().contains("example")
}

/// Header, payload and signature, each base64url, the first two JSON objects.
fn is_jwt(text: &str) -> bool {
    let token = text
        .split(|character: char| !(character.is_ascii_alphanumeric() || "-_.".contains(character)))
        .next()
        .unwrap_or_default();
    let parts: Vec<_> = token.split('.').collect();
    let is_object = |part: &str| {
        let bytes = data_encoding::BASE64URL_NOPAD.decode(part.as_bytes()).unwrap_or_default();
        serde_json::from_slice::<serde_json::Value>(&bytes).is_ok_and(|json| json.is_object())
    };
    matches!(parts.as_slice(), [header, payload, signature] if signature.len() >= 20 && is_object(header) && is_object(payload))
}

/// Whether a key says that its value is a credential.
pub(crate) fn is_credential_name(name: &str) -> bool {
    const WORDS: [&str; 15] = [
        "password",
        "passwd",
        "passphrase",
        "secret",
        "token",
        "apikey",
        "accesskey",
        "secretkey",
        "privatekey",
        "credential",
        "credentials",
        "clientsecret",
        "authtoken",
        "pwd",
        "encryptionkey",
    ];
    let flat: String = name
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|character| character.to_ascii_lowercase())
        .collect();
    WORDS.iter().any(|word| flat.ends_with(word))
}

/// Whether a value under such a key is one, and not a name, a switch or a place where one is.
pub(crate) fn is_literal(value: &str) -> bool {
    let value = value.trim();
    let lower = value.to_ascii_lowercase();
    let is_number = value.bytes().all(|byte| byte.is_ascii_digit() || b".:smhd".contains(&byte))
        && value.len() < 8;
    value.len() >= 6
        && !is_number
        && !is_reference(value)
        && !value.starts_with(['/', '.', '~'])
        && !value.contains(char::is_whitespace)
        && ![
            "true", "false", "null", "none", "optional", "required", "disabled", "enabled",
            "default",
        ]
        .contains(&lower.as_str())
        && ![
            "changeme",
            "change-me",
            "replaceme",
            "replace-me",
            "placeholder",
            "redacted",
            "example",
            "your-",
            "your_",
            "xxxx",
            "****",
            "todo",
        ]
        .iter()
        .any(|word| lower.contains(word))
        && !is_name(value)
}

/// What names something in a cluster: small letters, dashes and dots, such as `postgres-credentials` or `existing.secret`.
fn is_name(value: &str) -> bool {
    let parts: Vec<_> = value.split(['-', '.', '/', '_']).collect();
    parts.iter().all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase()))
        || (parts.len() >= 2
            && parts.iter().all(|part| {
                !part.is_empty()
                    && part.len() <= 12
                    && part.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
            }))
}

/// Whether a value stands for one that is elsewhere: a variable, a template, a reference, a value of sops.
pub(crate) fn is_reference(value: &str) -> bool {
    let value = value.trim();
    value.is_empty()
        || value.starts_with('$')
        || value.contains("${")
        || value.contains("$(")
        || value.contains("{{")
        || (value.starts_with('<') && value.ends_with('>'))
        || value.starts_with("ENC[")
        || value.starts_with("ref+")
        || value.starts_with("vault:")
        || value.starts_with("op://")
        || value.starts_with("arn:")
        || value.starts_with("projects/")
        || value.starts_with("http://")
        || value.starts_with("https://")
        || value.bytes().all(|byte| byte == b'*' || byte == b'x')
}
