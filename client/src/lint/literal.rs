//! Names that say that their value is a credential, and values that are one and not a name of where it is.
//!
//! The two are judged together: under `password` any word may be one; under `token` or `secret` charts write names of objects.

/// What a name says of its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Named {
    /// A password: whatever is written there is one.
    Password,
    /// A key, a token, a secret, or the name of the object that has it.
    Key,
}

/// How a name of a credential ends, without what separates its words.
const ENDINGS: [(&str, Named); 22] = [
    ("password", Named::Password),
    ("passwd", Named::Password),
    ("passphrase", Named::Password),
    ("pwd", Named::Password),
    ("secret", Named::Key),
    ("secrets", Named::Key),
    ("token", Named::Key),
    ("apikey", Named::Key),
    ("accesskey", Named::Key),
    ("accountkey", Named::Key),
    ("secretkey", Named::Key),
    ("secretaccesskey", Named::Key),
    ("privatekey", Named::Key),
    ("signingkey", Named::Key),
    ("encryptionkey", Named::Key),
    ("masterkey", Named::Key),
    ("licensekey", Named::Key),
    ("authkey", Named::Key),
    ("sharedkey", Named::Key),
    ("credential", Named::Key),
    ("credentials", Named::Key),
    ("tokens", Named::Key),
];

/// In small letters, one of these stands in every name of a credential: what has none of them need not be taken apart.
pub(crate) const STEMS: [&str; 6] = ["pass", "pwd", "secret", "token", "key", "credential"];

/// What a name says of its value.
pub(crate) fn named(name: &str) -> Option<Named> {
    let lower = name.to_ascii_lowercase();
    if !STEMS.iter().any(|stem| lower.contains(stem)) {
        return None;
    }
    let flat: String = lower.chars().filter(char::is_ascii_alphanumeric).collect();
    ENDINGS.iter().find(|(ending, _)| flat.ends_with(ending)).map(|(_, named)| *named)
}

/// Whether a value under such a name is a credential.
pub(crate) fn is_credential(named: Named, value: &str) -> bool {
    let value = value.trim();
    let is_switch = SWITCHES.iter().any(|word| value.eq_ignore_ascii_case(word));
    let is_number = value.bytes().all(|byte| byte.is_ascii_digit() || b".:".contains(&byte));
    let is_short_number = is_number && value.len() < 6;
    let is_text = value.contains(char::is_whitespace);
    let is_path = value.starts_with(['/', '.', '~']) || value.contains("://");
    if is_switch
        || is_short_number
        || is_text
        || is_path
        || is_reference(value)
        || is_placeholder(value)
    {
        return false;
    }
    match named {
        Named::Password => value.len() >= 4,
        Named::Key => value.len() >= 8 && !is_name(value) && entropy(value) >= 2.5,
    }
}

/// What says whether and how there is a credential, and not which.
const SWITCHES: [&str; 22] = [
    "true",
    "false",
    "null",
    "none",
    "optional",
    "required",
    "disabled",
    "enabled",
    "default",
    "yes",
    "no",
    "string",
    "text",
    "generate",
    "generated",
    "random",
    "auto",
    "basic",
    "bearer",
    "oauth2",
    "password",
    "user",
];

/// What is to be replaced before it is used, and says so.
pub(crate) fn is_placeholder(value: &str) -> bool {
    const WHOLE: [&str; 8] =
        ["password", "pass", "passwd", "pwd", "secret", "token", "user", "key"];
    const PARTS: [&str; 17] = [
        "changeme",
        "change-me",
        "change_me",
        "replaceme",
        "replace-me",
        "replace_me",
        "placeholder",
        "redacted",
        "example",
        "your-",
        "your_",
        "yourpass",
        "xxxx",
        "****",
        "todo",
        "dummy",
        "insert-",
    ];
    let lower = value.to_ascii_lowercase();
    WHOLE.contains(&lower.as_str()) || PARTS.iter().any(|part| lower.contains(part))
}

/// Whether a value stands for one that is elsewhere: a variable, a template, a reference, a value that sops encrypted, a hash.
pub(crate) fn is_reference(value: &str) -> bool {
    const BEGINNINGS: [&str; 19] = [
        "${",
        "$(",
        "$__",
        "ENC[",
        "ref+",
        "vault:",
        "op://",
        "arn:",
        "projects/",
        "secretKeyRef",
        "env:",
        "file:",
        "$2a$",
        "$2b$",
        "$2y$",
        "$5$",
        "$6$",
        "$argon2",
        "$apr1$",
    ];
    let value = value.trim();
    let is_variable = value.strip_prefix('$').is_some_and(|name| {
        !name.is_empty()
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
            && !name.starts_with(|first: char| first.is_ascii_digit())
    });
    value.is_empty()
        || is_variable
        || BEGINNINGS.iter().any(|beginning| value.starts_with(beginning))
        || ["{{", "${", "$(", "<%", "@@"].iter().any(|part| value.contains(part))
        || (value.starts_with('<') && value.ends_with('>'))
        || (value.starts_with('%') && value.ends_with('%'))
        || value.len() >= 3 && value.bytes().all(|byte| b"*x.-".contains(&byte))
}

/// What names something in a cluster: small letters, digits, dashes and dots in words, such as `postgres-credentials` or `db-2024`.
fn is_name(value: &str) -> bool {
    let parts: Vec<_> = value.split(['-', '.', '/', '_', ':']).collect();
    let is_word = |part: &&str| {
        let digits = part.bytes().filter(u8::is_ascii_digit).count();
        !part.is_empty()
            && part.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
            && (digits == 0
                || digits == part.len() && digits <= 4
                || digits <= 2 && part.len() <= 12)
    };
    // Data keys and variables are names too: API_TOKEN, apiToken.
    let is_constant = value.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_');
    let is_identifier =
        value.bytes().all(|byte| byte.is_ascii_alphabetic()) && named(value).is_some();
    parts.iter().all(is_word) || is_constant || is_identifier
}

/// Bits per character, by how often each stands in the value.
fn entropy(value: &str) -> f64 {
    let mut counts = [0u32; 256];
    for byte in value.bytes() {
        if let Some(count) = counts.get_mut(usize::from(byte)) {
            *count += 1;
        }
    }
    let all = value.len() as f64;
    let shares = counts.iter().filter(|count| **count > 0).map(|count| f64::from(*count) / all);
    shares.map(|share| -share * share.log2()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_and_its_value_are_judged_together() {
        for (name, value) in [
            ("password", "hunter2"),
            ("POSTGRES_PASSWORD", "postgres"),
            ("adminPassword", "12345678"),
            ("api-key", "9f8a7c6b5d4e3f2a1b0c"),
            ("clientSecret", "Zk3+pQ9/xT7wLm2v"),
            ("jwt.signing-key", "kT9xLmQ2vRw8"),
        ] {
            assert!(is_credential(named(name).unwrap(), value), "{name}: {value}");
        }
        for (name, value) in [
            ("password", ""),
            ("password", "changeme"),
            ("password", "${PASSWORD}"),
            ("password", "{{ .Values.password }}"),
            ("password", "true"),
            ("existingSecret", "postgres-credentials"),
            ("secret", "app-db-2024"),
            ("tokenSecret", "API_TOKEN"),
            ("secretKey", "apiToken"),
            ("token", "<your token>"),
            ("passwd", "$6$salt$hash"),
        ] {
            assert!(
                !named(name).is_some_and(|named| is_credential(named, value)),
                "{name}: {value}"
            );
        }
        for name in
            ["passwordFile", "tokenAudience", "secretName", "maxTokensPerDay", "keyboard", "monkey"]
        {
            assert_eq!(named(name), None, "{name}");
        }
    }
}
