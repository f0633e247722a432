//! What the versions of YAML take a plain scalar for.
//!
//! The union of YAML 1.2.2 core (10.3.2), the YAML 1.1 types (yaml.org/type) and what go-yaml and `PyYAML` do in practice:
//! a text that any of them takes for something else is not text here.

/// Whether a plain scalar is a null, a boolean or a number to some reader.
pub(crate) fn is_text(plain: &str) -> bool {
    !(is_null(plain) || is_bool(plain) || is_number(plain))
}

/// Whether a plain scalar is safe from every type: also from timestamps, merge and value keys, and from what only resembles a
/// number. Stricter than [`is_text`], because a quote costs nothing.
pub(crate) fn is_surely_text(plain: &str) -> bool {
    let resembles_number = plain
        .starts_with(|char: char| char.is_ascii_digit() || "+-.".contains(char))
        && plain.chars().all(|char| char.is_ascii_hexdigit() || "+-._:xXoOtTzZ ".contains(char));
    is_text(plain) && !resembles_number && plain != "<<" && plain != "="
}

fn is_null(plain: &str) -> bool {
    matches!(plain, "" | "~" | "null" | "Null" | "NULL")
}

fn is_bool(plain: &str) -> bool {
    const WORDS: [&str; 8] = ["y", "n", "yes", "no", "on", "off", "true", "false"];
    plain.len() <= 5 && WORDS.iter().any(|word| word.eq_ignore_ascii_case(plain))
}

/// `true` and `false` as both versions write them.
pub(crate) fn as_bool(plain: &str) -> Option<bool> {
    match plain {
        "true" | "True" | "TRUE" => Some(true),
        "false" | "False" | "FALSE" => Some(false),
        _ => None,
    }
}

/// A decimal integer without leading zeros, which are octal in YAML 1.1.
pub(crate) fn as_integer(plain: &str) -> Option<i64> {
    let digits = plain.strip_prefix(['+', '-']).unwrap_or(plain);
    let decimal = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    if !decimal || (digits.len() > 1 && digits.starts_with('0')) {
        return None;
    }
    plain.parse().ok()
}

fn is_number(plain: &str) -> bool {
    let digits = plain.strip_prefix(['+', '-']).unwrap_or(plain);
    if let Some(word) = digits.strip_prefix('.')
        && matches!(word, "inf" | "Inf" | "INF" | "nan" | "NaN" | "NAN")
    {
        return true;
    }
    let radix = ["0x", "0X", "0o", "0O", "0b", "0B"];
    if let Some(rest) = radix.iter().find_map(|prefix| digits.strip_prefix(prefix)) {
        return !rest.is_empty()
            && rest.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'_');
    }
    is_decimal(digits) || is_sexagesimal(digits)
}

/// Digits with `_` among them, a point, an exponent.
fn is_decimal(text: &str) -> bool {
    let (mantissa, exponent) = match text.find(['e', 'E']) {
        Some(at) => (text.get(..at).unwrap_or_default(), text.get(at + 1..)),
        None => (text, None),
    };
    let exponent_fits = exponent.is_none_or(|exponent| {
        let digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'_')
    });
    let points = mantissa.bytes().filter(|byte| *byte == b'.').count();
    let fits = mantissa.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'_' | b'.'));
    let begins = mantissa.starts_with(|char: char| char.is_ascii_digit() || char == '.');
    exponent_fits
        && points <= 1
        && fits
        && begins
        && mantissa.bytes().any(|byte| byte.is_ascii_digit())
}

/// `190:20:30`, which YAML 1.1 counts in sixties.
fn is_sexagesimal(text: &str) -> bool {
    let mut parts = text.split(':');
    let first = parts.next().unwrap_or_default();
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit() || byte == b'_');
    let begins = first.starts_with(|char: char| char.is_ascii_digit());
    if !begins || !digits(first) || !text.contains(':') {
        return false;
    }
    let count = text.matches(':').count();
    parts.enumerate().all(|(number, part)| {
        let whole = match part.split_once('.') {
            Some((whole, fraction)) if number + 1 == count && digits(fraction) => whole,
            Some(_) => return false,
            None => part,
        };
        matches!(whole.as_bytes(), [b'0'..=b'9'] | [b'0'..=b'5', b'0'..=b'9'])
    })
}
