//! The grammar of templates, beside a second reading of it that goes letter by letter.

use std::{collections::BTreeMap, sync::LazyLock};

use data_encoding::BASE64;
use proptest::prelude::*;
use sealing::{
    DataKey, KeyRing, OpenError, Plaintext, Scope, SealedSecret, Template, TemplateErrorKind,
};

use crate::support::{keys, recipients, ring, sealed};

const VALUES: [(&str, &[u8]); 3] = [("a", b"anna"), ("b.c", b"\"\n\\"), ("bin", b"\xff\x00x\xc3")];

#[derive(PartialEq)]
enum Token {
    Literal,
    Pipe,
    Word(String),
}

/// What stands between braces, and what follows them; `None` where they are not closed.
fn tokens(mut text: &str) -> Option<(Vec<Token>, &str)> {
    let mut out = Vec::new();
    loop {
        let first = text.chars().next()?;
        if let Some(rest) = text.strip_prefix("}}") {
            return Some((out, rest));
        } else if let (true, Some(rest)) = (out.is_empty(), text.strip_prefix("\"{{\"")) {
            out.push(Token::Literal);
            text = rest;
        } else if [' ', '\t', '\r', '\n'].contains(&first) {
            text = &text[1..];
        } else if let Some(rest) = text.strip_prefix('|') {
            out.push(Token::Pipe);
            text = rest;
        } else {
            let mut word = String::new();
            while let Some(letter) = text.chars().next()
                && ![' ', '\t', '\r', '\n', '|'].contains(&letter)
                && !text.starts_with("}}")
            {
                word.push(letter);
                text = &text[letter.len_utf8()..];
            }
            out.push(Token::Word(word));
        }
    }
}

fn function(name: &str, value: &[u8]) -> Option<Vec<u8>> {
    match name {
        "base64" => Some(BASE64.encode(value).into_bytes()),
        "quote" => serde_json::to_vec(&String::from_utf8_lossy(value)).ok(),
        _ => None,
    }
}

/// What a text becomes, or the line and the reason of its first error: that of its form before that of a key that is not there.
fn reference(whole: &str) -> Result<Vec<u8>, (usize, TemplateErrorKind)> {
    let values = BTreeMap::from(VALUES);
    let (mut out, mut text, mut missing) = (Vec::new(), whole, None);
    while let Some(first) = text.chars().next() {
        let Some(inside) = text.strip_prefix("{{") else {
            out.extend_from_slice(&text.as_bytes()[..first.len_utf8()]);
            text = &text[first.len_utf8()..];
            continue;
        };
        let line = 1 + whole[..whole.len() - text.len()].matches('\n').count();
        let error = |why| (line, why);
        let (found, rest) = tokens(inside).ok_or(error(TemplateErrorKind::Open))?;
        let value = |key: &str| {
            DataKey::parse(key).ok_or(error(TemplateErrorKind::Expression))?;
            Ok(values.get(key).copied())
        };
        let (there, becomes) = match &found[..] {
            [Token::Literal] => (true, b"{{".to_vec()),
            [Token::Word(key)] => {
                let value = value(key)?;
                (value.is_some(), value.unwrap_or_default().to_vec())
            }
            [Token::Word(key), Token::Pipe, Token::Word(name)] => {
                let value = value(key)?;
                let becomes = function(name, value.unwrap_or_default());
                (value.is_some(), becomes.ok_or(error(TemplateErrorKind::Expression))?)
            }
            _ => return Err(error(TemplateErrorKind::Expression)),
        };
        if !there {
            missing = missing.or(Some(error(TemplateErrorKind::NoKey)));
        }
        out.extend(becomes);
        text = rest;
    }
    missing.map_or(Ok(out), Err)
}

static SEALED: LazyLock<(SealedSecret, KeyRing)> = LazyLock::new(|| {
    let all = keys(1);
    (sealed(Scope::Strict, &VALUES, &recipients(&all)), ring(&all))
});

fn rendered(text: &str) -> Result<Vec<u8>, (usize, TemplateErrorKind)> {
    let (object, ring) = &*SEALED;
    let out = DataKey::parse("out").unwrap();
    let mut object = object.clone();
    object.set_template(Template {
        data: [(out.clone(), text.to_owned())].into(),
        ..Template::default()
    });
    match object.open_rendered(ring) {
        Ok(opened) => Ok(opened.get("out").map(Plaintext::expose_secret).unwrap().to_vec()),
        Err(OpenError::Template(error)) => {
            assert_eq!(error.key, out);
            Err((error.line, error.why))
        }
        Err(other) => panic!("{other}"),
    }
}

fn any_text() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "{{",
        "}}",
        "{",
        "}",
        "\"{{\"",
        "{{ a }}",
        "{{bin|quote}}",
        "a",
        "b.c",
        "bin",
        "zz",
        "|",
        "base64",
        "quote",
        "upper",
        " ",
        "\t",
        "\n",
        "\r",
        "\"",
        "ü",
        "..",
        "text",
    ]);
    prop::collection::vec(piece, 0..14).prop_map(|pieces| pieces.concat())
}

/// Good expressions in a row, so that what is rendered is compared too, and not only what is refused.
fn good_text() -> impl Strategy<Value = String> {
    let blank = || prop::sample::select(vec!["", " ", "\t\n", "  "]);
    let key = prop::sample::select(vec!["a", "b.c", "bin"]);
    let end = prop::sample::select(vec!["", "|base64", "| quote", "\n|\nbase64"]);
    let value = (blank(), key, blank(), end, blank())
        .prop_map(|(a, key, b, end, c)| format!("{{{{{a}{key}{b}{end}{c}}}}}"));
    let literal = (blank(), blank()).prop_map(|(a, b)| format!("{{{{{a}\"{{{{\"{b}}}}}"));
    let text = "[a-z} \n\"|ü]{0,6}";
    prop::collection::vec(prop_oneof![value, literal, text], 0..8).prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn any_text_is_read_as_it_is_letter_by_letter(text in any_text()) {
        prop_assert_eq!(rendered(&text), reference(&text), "{:?}", text);
    }

    #[test]
    fn good_text_becomes_what_it_does_letter_by_letter(text in good_text()) {
        let becomes = rendered(&text);
        prop_assert!(becomes.is_ok(), "{:?}: {:?}", text, becomes);
        prop_assert_eq!(becomes, reference(&text), "{:?}", text);
    }
}
