//! Templates: rendered, or refused for their text alone.

use proptest::prelude::*;
use sealing::{DataKey, OpenError, Plaintext, Scope, SealedSecret, Template};

use crate::support::{keys, recipients, ring, set};

fn render(text: &str, values: &[(&str, &[u8])]) -> Result<Vec<u8>, String> {
    let all = keys(1);
    let out = DataKey::parse("out").unwrap();
    let template = Template { data: [(out, text.to_owned())].into(), ..Template::default() };
    let mut object = SealedSecret::new(Scope::Strict, Some("prod"), "db", template);
    set(&mut object, values, &recipients(&all));
    match object.open_rendered(&ring(&all)) {
        Ok(opened) => Ok(opened.get("out").map(Plaintext::expose_secret).unwrap().to_vec()),
        Err(OpenError::Template(error)) => Err(error.to_string()),
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn values_stand_where_they_are_named() {
    let values: [(&str, &[u8]); 3] =
        [("user", b"anna"), ("pw", b"a\"b\\c\n\xc3\xbc"), ("bin", &[0xff, 0x00, b'x'])];
    for (text, rendered) in [
        ("", &b""[..]),
        ("nothing { here } }}", b"nothing { here } }}"),
        ("u={{ user }}", b"u=anna"),
        ("{{user}}{{\tuser\n}}", b"annaanna"),
        ("{{ pw }}", b"a\"b\\c\n\xc3\xbc"),
        ("{{ pw | quote }}", b"\"a\\\"b\\\\c\\n\xc3\xbc\""),
        ("{{ bin | quote }}", b"\"\xef\xbf\xbd\\u0000x\""),
        ("{{ bin | base64 }};{{user|base64}}", b"/wB4;YW5uYQ=="),
        ("{{ \"{{\" }} {{\"{{\"}}user}}", b"{{ {{user}}"),
    ] {
        assert_eq!(render(text, &values).as_deref(), Ok(rendered), "{text}");
    }
}

#[test]
fn what_cannot_be_rendered_is_told_with_its_line() {
    let values: [(&str, &[u8]); 1] = [("user", b"hunter2")];
    for (text, line, why) in [
        ("a\n{{ user", 2, "is not closed"),
        ("{{", 1, "is not closed"),
        ("\n\n{{ other }}", 3, "not among the values"),
        ("{{ user | upper }}", 1, "between the braces"),
        ("{{ user | base64 | quote }}", 1, "between the braces"),
        ("{{ }}", 1, "between the braces"),
        ("{{ a b }}", 1, "between the braces"),
        ("{{ user }}{{ \"{{\" x }}", 1, "between the braces"),
    ] {
        let error = render(text, &values).unwrap_err();
        assert!(
            error.starts_with(&format!("template of out, line {line}: ")) && error.contains(why),
            "{text}: {error}"
        );
        assert!(!error.contains("hunter2"));
    }
}

/// Whether it is too long is judged on sealed lengths, so that it does not tell a value's.
#[test]
fn length_is_judged_before_anything_is_opened() {
    let block = vec![b'x'; 300_000];
    let all = keys(1);
    let values: [(&str, &[u8]); 1] = [("v", &block)];
    assert!(render("{{ v }}{{ v }}{{ v }}", &values).is_ok());
    let error = render("{{ v }}{{ v }}{{ v }}{{ v }}", &values).unwrap_err();
    assert!(error.contains("could be over 1,048,576 bytes"), "{error}");
    // Without a key that opens it, the answer about the template is the same.
    let template = Template {
        data: [(DataKey::parse("out").unwrap(), "{{ v }}".repeat(4))].into(),
        ..Template::default()
    };
    let mut object = SealedSecret::new(Scope::Strict, Some("prod"), "db", template);
    set(&mut object, &values, &recipients(&all));
    assert!(matches!(object.open_rendered(&ring(&keys(1))), Err(OpenError::Template(_))));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// Text without two open braces is itself, and with them in their literal form it is itself again.
    #[test]
    fn any_text_can_be_written(text in "[a-z{}|\" \n]{0,40}") {
        let escaped = text.replace("{{", "{{ \"{{\" }}");
        prop_assume!(!escaped.replace("{{ \"{{\" }}", "").contains("{{"));
        prop_assert_eq!(render(&escaped, &[("v", b"x")]), Ok(text.into_bytes()));
    }
}
