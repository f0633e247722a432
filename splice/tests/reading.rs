//! What a file tells of itself: places, lines, kinds, texts.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

use proptest::prelude::*;
use splice::{File, Kind, Node, Place, Style, Value, parse};

fn root<'f>(file: &'f File<'_>) -> Node<'f> {
    file.node(file.documents()[0].root().expect("a value"))
}

fn value<'f>(file: &'f File<'_>, key: &str) -> Node<'f> {
    file.node(root(file).get(key).expect("the key"))
}

#[test]
fn spans_are_of_the_own_text() {
    let text = "a: &x !!str 'one' # c\nb: [x, {y: z}] # c\nc: |- # c\n  l1\n  l2\n\nd:\n  e: f\n  g:\nh: \"q\"   \ni:\n- j\n-\n";
    let file = parse(text.as_bytes()).expect("YAML");
    let own = |key: &str| &text[value(&file, key).span()];
    assert_eq!(own("a"), "'one'");
    assert_eq!(own("b"), "[x, {y: z}]");
    assert_eq!(own("c"), "|- # c\n  l1\n  l2");
    assert_eq!(own("d"), "e: f\n  g:");
    assert_eq!(own("h"), "\"q\"");
    assert_eq!(own("i"), "- j\n-");
    let a = value(&file, "a");
    assert_eq!((a.anchor(), a.tag(), a.style()), (Some("x"), Some("!!str"), Some(Style::Single)));
    let empty = file.node(value(&file, "d").get("g").expect("the key"));
    assert!(empty.span().is_empty() && text[..empty.span().start].ends_with("g:"));
}

#[test]
fn documents_cover_the_file() {
    for text in [
        "a: b",
        "---\n---\n",
        "%YAML 1.2\n---\na\n...\n# c\n---\nb\n",
        "\u{feff}# c\na: b\n...\n",
        "a\n---\n# c\n...\n...\nb\n",
    ] {
        let file = parse(text.as_bytes()).expect("YAML");
        let mut at = 0;
        for document in file.documents() {
            let (span, content) = (document.span(), document.content());
            assert_eq!(span.start, at, "{text}");
            assert!(span.start <= content.start && content.end <= span.end, "{text}");
            at = span.end;
        }
        assert_eq!(at, text.len(), "{text}");
    }
}

#[test]
fn empty_documents_have_no_value() {
    let file = parse(b"---\n# c\n---\na\n---\n").expect("YAML");
    let roots: Vec<_> = file.documents().iter().map(|document| document.root().is_some()).collect();
    assert_eq!(roots, [false, true, false]);
}

#[test]
fn what_readers_take_for_something_else_is_no_text() {
    let not_text = [
        "~",
        "null",
        "Null",
        "NULL",
        "",
        "true",
        "True",
        "FALSE",
        "yes",
        "No",
        "ON",
        "off",
        "y",
        "N",
        "0",
        "-1",
        "+1",
        "007",
        "0x1f",
        "0X1F",
        "0o17",
        "0b11",
        "1_000",
        "190:20:30",
        "190:20:30.15",
        "1.5",
        ".5",
        "1.",
        "1e3",
        "12e00045",
        "1E-3",
        "-.inf",
        ".Inf",
        ".NAN",
        "+.INF",
    ];
    let text = [
        "nULL",
        "tRue2",
        "yess",
        "x",
        "1.2.3",
        "v1",
        "0xg",
        "0x",
        "+",
        ".",
        "..",
        "1e",
        "e3",
        "1:99",
        ":1",
        "1-2",
        "_1",
        "inf",
        ".infinity",
        "2001-01-01",
        "<<",
        "=",
    ];
    for (words, is) in [(&not_text[..], false), (&text[..], true)] {
        for word in words {
            let written = format!(
                "a: {word}\nb: '{word}'\nc: !!str {word}\nd: !!binary {word}\ne: !own {word}\n"
            );
            let file = parse(written.as_bytes()).expect("YAML");
            assert_eq!(value(&file, "a").is_text(), is, "{word}");
            assert!(value(&file, "b").is_text() && value(&file, "c").is_text(), "{word}");
            assert!(!value(&file, "d").is_text() && !value(&file, "e").is_text(), "{word}");
        }
    }
}

#[test]
fn booleans_and_integers_are_those_of_both_versions() {
    let file = parse(b"a: true\nb: yes\nc: 12\nd: 012\ne: '12'\nf: !!int 7\ng: 1_0\nh: -0\ni: 99999999999999999999\nj: !!str 5\n")
        .expect("YAML");
    let integers: Vec<_> = ["a", "c", "d", "e", "f", "g", "h", "i", "j"]
        .iter()
        .map(|key| value(&file, key).as_integer())
        .collect();
    assert_eq!(integers, [None, Some(12), None, None, Some(7), None, Some(0), None, None]);
    assert_eq!((value(&file, "a").as_bool(), value(&file, "b").as_bool()), (Some(true), None));
}

#[test]
fn a_key_that_stands_twice_is_found_with_both_places() {
    let file = parse("é: {a: 1, b: 2, \"a\": 3}\n".as_bytes()).expect("YAML");
    let places = value(&file, "é").duplicate_key();
    assert_eq!(places, Some((Place { line: 1, column: 17 }, Place { line: 1, column: 5 })));
    assert_eq!(root(&file).duplicate_key(), None);
}

#[test]
fn aliases_are_told_and_not_followed() {
    let file = parse(b"a: &x [b]\nc: *x\n").expect("YAML");
    let alias = value(&file, "c");
    assert_eq!((alias.kind(), alias.alias(), alias.items().count()), (Kind::Alias, Some("x"), 0));
}

/// Comments of the first document, each behind the keys that it is about.
fn comments(text: &str) -> Vec<String> {
    let file = parse(text.as_bytes()).expect("YAML");
    let all = file.comments(file.documents()[0].root().expect("a value"));
    for comment in &all {
        let line = file.line(comment.place.line);
        let at: String = line.chars().skip(comment.place.column - 1).collect();
        assert!(at.starts_with(comment.text), "{comment:?} is not there");
    }
    all.iter().map(|comment| format!("{} {}", comment.about.join("."), comment.text)).collect()
}

#[test]
fn comments_are_about_the_entry_on_their_line_or_below() {
    let text = "\
# before all
a: 1 # a1
# b1

  # b2
b: # b3
  # c1
  c: 'x # no' # c2
  d: | # d1
    # no
    text
  # e1
  e: >-
    # no
# f1
f: {g: [1, # g1
  2], # g2
  # h1
  h: i#no} # h2
s:
- &x # t0
  t: u # t1
# s2
- v # s3
# last
";
    let expected = [
        "a # a1", "b # b1", "b # b2", "b # b3", "b.c # c1", "b.c # c2", "b.d # d1", "b.e # e1",
        "f # f1", "f.g # g1", "f.g # g2", "f.h # h1", "f.h # h2", "s.t # t0", "s.t # t1", "s # s2",
        "s # s3",
    ];
    assert_eq!(comments(text), expected);
    assert_eq!(comments(&text.replace('\n', "\r\n")), expected);
    assert_eq!(comments("a: b # c"), ["a # c"]);
    assert_eq!(comments("{a: b, # c\n}"), ["a # c"]);
    assert_eq!(comments("{ # c\n}"), [" # c"]);
    assert_eq!(comments("a: \"# b\"\n# c\n"), Vec::<String>::new());
}

proptest! {
    #[test]
    fn places_and_lines_are_those_of_an_editor(lines in prop::collection::vec("[a-zé🔑 ]{0,40}", 0..120), end in 0..3_usize, at in any::<prop::sample::Index>()) {
        let end = ["\n", "\r\n", "\r"][end];
        let text: String = lines.iter().flat_map(|line| ["# ", line, end]).collect();
        let file = parse(text.as_bytes()).expect("comments");
        let offset = at.index(text.len() + 1);
        if text.is_char_boundary(offset) && !(text[..offset].ends_with('\r') && text[offset..].starts_with('\n')) {
            let before = text[..offset].replace("\r\n", "\n").replace('\r', "\n");
            let line = before.matches('\n').count() + 1;
            let column = before.rsplit('\n').next().unwrap_or_default().trim_end_matches('\r').chars().count() + 1;
            prop_assert_eq!(file.place(offset), Place { line, column });
        }
        for (number, line) in lines.iter().enumerate() {
            prop_assert_eq!(file.line(number + 1), format!("# {line}"));
        }
        prop_assert_eq!(file.line(lines.len() + 1), "");
        prop_assert_eq!(file.line(lines.len() + 2), "");
    }

    #[test]
    fn comments_that_are_written_are_read(above in prop::collection::vec(prop::collection::vec("#[ -~é🔑]{0,20}", 0..3), 1..6)) {
        let entry = |(number, comments): (usize, &Vec<String>)| {
            let value = if number % 3 == 2 {
                Value::mapping([("inner", Value::from("a\n# b\n").commented(comments.clone()))])
            } else {
                Value::from(["x", "y\nz\n"][number % 2])
            };
            (format!("k{number}"), value.commented(comments.clone()))
        };
        let mut entries = vec![("first".to_owned(), Value::from("x"))];
        entries.extend(above.iter().enumerate().map(entry));
        let text = splice::render(&Value::Mapping(entries));
        let file = parse(text.as_bytes()).expect("our own writing");
        let found = file.comments(file.documents()[0].root().expect("a value"));
        let found: Vec<_> = found.iter().map(|comment| (comment.about.join("."), comment.text.to_owned())).collect();
        let mut expected = Vec::new();
        for (number, comments) in above.iter().enumerate() {
            let inner = if number % 3 == 2 { vec![String::new(), ".inner".to_owned()] } else { vec![String::new()] };
            for inner in inner {
                expected.extend(comments.iter().map(|comment| {
                    (format!("k{number}{inner}"), comment.trim_end().to_owned())
                }));
            }
        }
        prop_assert_eq!(found, expected, "{}", text);
    }
}
