//! Scalars: what plain ones mean to which reader, and how a text is written so that all of them read it.

/// Whether every reader takes a plain scalar for text: it is neither nothing, nor a boolean, nor a number in YAML 1.1 or in the core schema
/// of YAML 1.2.
pub(crate) fn is_text(text: &str) -> bool {
    !is_null(text) && !is_bool(text) && !is_number(text)
}

fn is_null(text: &str) -> bool {
    matches!(text, "" | "~" | "null" | "Null" | "NULL")
}

fn is_bool(text: &str) -> bool {
    const WORDS: [&str; 8] = ["y", "yes", "n", "no", "true", "false", "on", "off"];
    let same_case = |word: &&str| {
        text == *word
            || text == word.to_ascii_uppercase()
            || text.strip_prefix(|first: char| first.is_ascii_uppercase()).is_some_and(|rest| {
                word.get(1..) == Some(rest)
                    && word.as_bytes().first().map(u8::to_ascii_uppercase) == text.bytes().next()
            })
    };
    WORDS.iter().any(same_case)
}

/// Integers and fractions: YAML 1.2, section 10.3.2; YAML 1.1, tag:yaml.org,2002:int and float.
fn is_number(text: &str) -> bool {
    let body = text.strip_prefix(['-', '+']).unwrap_or(text);
    let all = |text: &str, digit: fn(&u8) -> bool| {
        !text.is_empty() && text.bytes().all(|byte| byte == b'_' || digit(&byte))
    };
    if matches!(body, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN") {
        return true;
    }
    if let Some(digits) = body.strip_prefix("0x") {
        return all(digits, u8::is_ascii_hexdigit);
    }
    if let Some(digits) = body.strip_prefix("0o") {
        return all(digits, u8::is_ascii_digit);
    }
    if let Some(digits) = body.strip_prefix("0b") {
        return all(digits, |byte| matches!(byte, b'0' | b'1'));
    }
    // Sexagesimal: 190:20:30, 190:20:30.15
    if let Some((first, rest)) = body.split_once(':') {
        let whole = rest.split_once('.').map_or(rest, |(whole, _)| whole);
        let fraction = rest.split_once('.').map_or("0", |(_, fraction)| fraction);
        return all(first, u8::is_ascii_digit)
            && whole.split(':').all(|part| {
                (1..=2).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit())
            })
            && (fraction.is_empty() || all(fraction, u8::is_ascii_digit));
    }
    let (mantissa, exponent) = match body.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => {
            (mantissa, Some(exponent.strip_prefix(['-', '+']).unwrap_or(exponent)))
        }
        None => (body, None),
    };
    let exponent = exponent.is_none_or(|digits| {
        !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
    });
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte == b'_' || byte.is_ascii_digit());
    let any = whole.bytes().chain(fraction.bytes()).any(|byte| byte.is_ascii_digit());
    any && exponent && digits(whole) && digits(fraction) && !whole.starts_with('_')
}

/// Whether a text can stand plain, in a flow or outside of one, as a value or a key, and be that text to every reader.
pub(crate) fn can_be_plain(text: &str) -> bool {
    let Some(first) = text.chars().next() else { return false };
    let safe = |character: char| {
        character.is_ascii_alphanumeric() || "_-./+=@^$()~;: ".contains(character)
    };
    // A date is none of text in YAML 1.1; so is what begins as one, for simplicity. `=` and `<<` are tags of 1.1.
    let is_time = text.len() >= 8
        && text.bytes().take(4).all(|byte| byte.is_ascii_digit())
        && text.as_bytes().get(4) == Some(&b'-');
    is_text(text)
        && (first.is_ascii_alphanumeric() || "/_.+$".contains(first))
        && !is_time
        && text.chars().all(safe)
        && !text.ends_with([' ', ':'])
        && !text.contains(": ")
        && !text.starts_with("..")
}

/// In single quotes, where that is exact.
pub(crate) fn single(text: &str) -> Option<String> {
    let printable = text.chars().all(|character| matches!(character, ' '..='~' | '\u{a0}'..='\u{2027}' | '\u{202a}'..='\u{d7ff}' | '\u{e000}'..='\u{fefe}' | '\u{10000}'..='\u{10ffff}'));
    printable.then(|| format!("'{}'", text.replace('\'', "''")))
}

/// In double quotes: JSON too. Everything can be written so.
pub(crate) fn double(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            ' '..='~'
            | '\u{a0}'..='\u{2027}'
            | '\u{202a}'..='\u{d7ff}'
            | '\u{e000}'..='\u{fefe}'
            | '\u{ff00}'..='\u{fffd}' => {
                out.push(character);
            }
            other => {
                let mut units = [0; 2];
                for unit in other.encode_utf16(&mut units) {
                    out.push_str(&format!("\\u{unit:04x}"));
                }
            }
        }
    }
    out.push('"');
    out
}

/// As a literal block, each line behind `indent` blanks, where that is exact.
pub(crate) fn literal(text: &str, indent: usize, line_end: &str) -> Option<String> {
    let body = text.strip_suffix('\n').unwrap_or(text);
    let fits = body.contains('\n')
        && !body.starts_with([' ', '\n', '\t'])
        && !body.ends_with('\n')
        && body.chars().all(|character| matches!(character, '\n' | '\t' | ' '..='~' | '\u{a0}'..='\u{2027}' | '\u{202a}'..='\u{d7ff}' | '\u{e000}'..='\u{fefe}' | '\u{10000}'..='\u{10ffff}'));
    if !fits {
        return None;
    }
    let mut out = String::from(if text.ends_with('\n') { "|" } else { "|-" });
    for line in body.split('\n') {
        out.push_str(line_end);
        if !line.is_empty() {
            out.push_str(&" ".repeat(indent));
            out.push_str(line);
        }
    }
    Some(out)
}
