//! Lines of `NAME=value`, as files of variables and configuration files have them.

use super::literal::{Named, is_credential, is_reference, named};

/// The credentials of a text: each with its line, counted from 0, and its name.
pub(crate) fn credentials(text: &str) -> Vec<(usize, &str)> {
    let lines = text.lines().enumerate().filter_map(|(at, line)| {
        let (name, value, is_assigned) = setting(line)?;
        let kind = named(name)?;
        // In code and in other languages a word behind a colon is a type or a label.
        let is_word =
            value.bytes().all(|byte| byte.is_ascii_alphabetic() || b"-_.".contains(&byte));
        let says_enough = kind == Named::Key || is_assigned || !is_word;
        (says_enough && is_credential(kind, value)).then_some((at, name))
    });
    lines.collect()
}

/// Whether any variable of a file has a value that is written out.
pub(crate) fn has_values(text: &str) -> bool {
    text.lines().filter_map(setting).any(|(_, value, _)| !is_reference(value))
}

/// Name, value, and whether `=` stands between them.
fn setting(line: &str) -> Option<(&str, &str, bool)> {
    let line = line.trim();
    if line.starts_with(['#', ';', '/', '!', '<', '{']) {
        return None;
    }
    let (name, value, is_assigned) = match (line.find('='), line.find(": ")) {
        (Some(at), colon) if colon.is_none_or(|colon| at < colon) => {
            (line.get(..at)?, line.get(at + 1..)?, true)
        }
        (_, Some(at)) => (line.get(..at)?, line.get(at + 2..)?, false),
        _ => return None,
    };
    let name = name.trim().strip_prefix("export ").unwrap_or(name).trim().trim_matches(['"', '\'']);
    let is_name = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte));
    let value = value.trim().trim_end_matches([',', ';']).trim_matches(['"', '\'']);
    // What calls, compares or indexes is code.
    let is_code = value.starts_with(['=', '~', '>'])
        || value.contains(['(', ')', '[', ']', '{', '}', '<', '>']);
    (is_name && !name.is_empty() && (!is_code || is_reference(value))).then_some((
        name,
        value,
        is_assigned,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_with_a_credential_are_told_from_code() {
        let found = |text| credentials(text).len();
        for text in [
            "spring.datasource.password=hunter2",
            "export DB_PASSWORD='postgres'",
            "  api_token: 9f8a7c6b5d4e3f2a",
            "\"password\": \"hunter22\",",
        ] {
            assert_eq!(found(text), 1, "{text}");
        }
        for text in [
            "password=${DB_PASSWORD}",
            "# password=hunter2",
            "password: string",
            "password = getpass()",
            "if password == other:",
            "token := os.Getenv(\"TOKEN\")",
            "log_format main '$remote_addr token: $http_token';",
            "password=",
            "requirepass yes",
        ] {
            assert_eq!(found(text), 0, "{text}");
        }
    }
}
