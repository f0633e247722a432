//! Files that mean harm, or are broken: a value or an error with a place, in bounded memory and near linear time.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

#[path = "support/counting.rs"]
mod counting;

use std::{fmt::Write, time::Instant};

use counting::Counting;
use splice::{At, Kind, MAX_DEPTH, Problem, Splice, parse};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Pieces that make files of many values, many documents, much nesting.
const PIECES: [&str; 40] = [
    "[", "{", "]", "}", ",", ":", "- ", "? ", ": ", "a: ", "-\n", "?\n", ":\n", "a\n", "\n", " ",
    "\t", "'", "\"", "|\n", "{a,", "[a,", "{a: b,", "[a: b,", "[:,", "[{", "{? a,", "- - ",
    "---\n", "...\n", "--- a\n", "#\n", " #", "&a ", "*a ", "!t ", "%Y\n", "é", "\\\n", "- [\n",
];

/// Starts that put the pieces in a place of their own.
const STARTS: [&str; 14] = [
    "",
    "[",
    "{",
    "- [",
    "- {",
    "a: [",
    "a: {",
    "{\"a\": [",
    "[[",
    "a: '",
    "a: \"",
    "a: |\n ",
    "a: b\n ",
    "- &a b\n- [",
];

const SIZE: usize = 1 << 20;

#[test]
fn a_mebibyte_of_anything_takes_little_memory_and_time() {
    let mut worst = (0, String::new());
    let mut slowest = (0, String::new());
    let mut over = Vec::new();
    for start in STARTS {
        for piece in PIECES {
            let mut text = start.to_owned();
            text.push_str(&piece.repeat((SIZE - start.len()) / piece.len()));
            measure(&text, &format!("{start:?} + {piece:?}…"), &mut worst, &mut slowest, &mut over);
        }
    }
    for (name, text) in [
        ("lines", lines(|number, out| writeln!(out, "k{number}: v{number}"))),
        ("items", lines(|number, out| writeln!(out, "- v{number}"))),
        ("anchors", lines(|number, out| writeln!(out, "- &a{number} v"))),
        ("anchors and aliases", lines(|number, out| writeln!(out, "- &a{number} v\n- *a{number}"))),
        ("documents", lines(|number, out| writeln!(out, "---\na: {number}"))),
        ("digits", lines(|number, out| writeln!(out, "{}", if number == 0 { "[1" } else { ",1" }))),
        (
            "objects",
            ["{\"items\": [", &lines(|_, out| write!(out, "{{\"a\":\"b\"}},")), "]}"].concat(),
        ),
        (
            "deep objects",
            ["[", &lines(|_, out| write!(out, "{{\"a\":{{\"b\":[{{}}]}}}},")), "]"].concat(),
        ),
        ("folded", ["a: >\n", &lines(|_, out| writeln!(out, "  x"))].concat()),
        ("quoted lines", ["a: \"", &lines(|_, out| writeln!(out, " x")), "\""].concat()),
        ("escapes", ["a: \"", &lines(|_, out| write!(out, "\\x41")), "\""].concat()),
        ("long key", [&"k".repeat(SIZE), ": v\n"].concat()),
        ("long line", ["a: ", &"v ".repeat(SIZE / 2)].concat()),
    ] {
        measure(&text, name, &mut worst, &mut slowest, &mut over);
    }
    println!(
        "worst memory: {} times the text, {}; slowest: {} ms, {}",
        worst.0, worst.1, slowest.0, slowest.1
    );
    assert!(over.is_empty(), "{over:#?}");
}

fn measure(
    text: &str,
    name: &str,
    worst: &mut (usize, String),
    slowest: &mut (u128, String),
    over: &mut Vec<String>,
) {
    let begin = Instant::now();
    let before = Counting::reset();
    let outcome = parse(text.as_bytes()).map(|file| file.documents().len());
    let peak = Counting::peak().saturating_sub(before);
    let (times, time) = (peak / text.len(), begin.elapsed().as_millis());
    if times > worst.0 {
        *worst = (times, name.to_owned());
    }
    if time > slowest.0 {
        *slowest = (time, name.to_owned());
    }
    if peak > 10 * text.len() || time > 10_000 {
        over.push(format!("{name}: {times} times, {time} ms, {outcome:?}"));
    }
}

fn lines(line: impl Fn(usize, &mut String) -> std::fmt::Result) -> String {
    let mut out = String::new();
    let mut number = 0;
    while out.len() < SIZE {
        line(number, &mut out).expect("a string takes all");
        number += 1;
    }
    out
}

/// Twice the text may not take much more than twice the time. Generous, because machines are busy.
#[test]
fn time_grows_with_the_text_and_not_its_square() {
    for (start, piece) in [
        ("", "a: b\n"),
        ("", "- {a: b}\n"),
        ("[", "{\"a\":1},"),
        ("", "---\na: b\n"),
        ("a: |\n", "  x\n"),
        ("a: \"", "\\n \n"),
    ] {
        let time = |bytes: usize| {
            let text = [start, &piece.repeat(bytes / piece.len())].concat();
            let best = |text: &str| {
                let begin = Instant::now();
                let _ = parse(text.as_bytes());
                begin.elapsed()
            };
            (0..3).map(|_| best(&text)).min().unwrap_or_default()
        };
        let (small, large) = (time(1 << 17), time(1 << 21));
        // Sixteen times as much takes sixteen times as long, or 256 times if it is quadratic.
        assert!(
            large < small * 80,
            "{start}{piece}: {small:?}, then {large:?} for sixteen times as much"
        );
    }
}

#[test]
fn nesting_has_an_end() {
    for (open, close) in [("[", "]"), ("{a: ", "}"), ("- ", ""), ("? ", "")] {
        let nested = |depth: usize| {
            let text = [open.repeat(depth), "x".to_owned(), close.repeat(depth)].concat();
            parse(text.as_bytes()).map(drop).map_err(|error| error.problem)
        };
        assert_eq!(nested(MAX_DEPTH - 1), Ok(()), "{open}");
        assert_eq!(nested(MAX_DEPTH + 1), Err(Problem::TooDeep), "{open}");
        assert_eq!(nested(100_000), Err(Problem::TooDeep), "{open}");
    }
}

#[test]
fn other_encodings_are_named() {
    let problem = |bytes: &[u8]| parse(bytes).map(drop).map_err(|error| error.problem);
    for wide in [
        &b"\xff\xfea\0"[..],
        b"\xfe\xff\0a",
        b"a\0:\0",
        b"\0a\0:",
        b"\0\0\xfe\xff",
        b"\xff\xfe\0\0",
    ] {
        assert_eq!(problem(wide), Err(Problem::WideEncoding), "{wide:?}");
    }
    assert_eq!(problem(b"a: \xff"), Err(Problem::NotUtf8));
    assert_eq!(problem(b"a: \xe2\x82"), Err(Problem::NotUtf8));
    assert_eq!(problem(&vec![b' '; splice::MAX_BYTES + 1]), Err(Problem::TooLarge));
}

/// Real files, broken in one to four places: with an edit where they still read.
#[test]
fn ten_thousand_mutated_files_give_a_value_or_an_error_with_a_place() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/awkward");
    let mut paths: Vec<_> = std::fs::read_dir(folder)
        .expect("a folder")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    paths.sort();
    let seeds: Vec<String> = paths
        .iter()
        .map(|path| std::fs::read_to_string(path).expect("UTF-8"))
        .map(|case| {
            case.split("=== ").nth(1).expect("a text").trim_start_matches("before\n").to_owned()
        })
        .collect();
    let mut random = Random(0x5eed);
    let (mut read, mut unread, mut made, mut refused) = (0, 0, 0, 0);
    for round in 0..10_000 {
        let mut bytes = seeds[round % seeds.len()].clone().into_bytes();
        for _ in 0..=random.below(3) {
            mutate(&mut bytes, &mut random, &seeds);
        }
        let lines = bytes.iter().filter(|byte| matches!(byte, b'\n' | b'\r')).count() + 1;
        match parse(&bytes) {
            Err(error) => {
                unread += 1;
                assert!(
                    (1..=lines).contains(&error.place.line) && error.place.column > 0,
                    "{error}"
                );
            }
            Ok(file) => {
                read += 1;
                if edit_something(&file, &mut random) { made += 1 } else { refused += 1 }
            }
        }
    }
    assert!(
        read > 1000 && unread > 1000 && made > 500 && refused > 20,
        "{read} {unread} {made} {refused}"
    );
}

/// Edits a node by chance; whether that was made. Nothing may come out unproven but what layouts nobody writes.
fn edit_something(file: &splice::File<'_>, random: &mut Random) -> bool {
    let roots: Vec<_> = file.documents().iter().filter_map(splice::Document::root).collect();
    let Some(mut id) = roots.get(random.below(roots.len().max(1))).copied() else { return true };
    for _ in 0..random.below(5) {
        let node = file.node(id);
        let below: Vec<_> = node.entries().map(|(_, value)| value).chain(node.items()).collect();
        id = below.get(random.below(below.len().max(1))).copied().unwrap_or(id);
    }
    let mut splice = Splice::new(file);
    let node = file.node(id);
    let done = match (node.kind(), random.below(3)) {
        (Kind::Mapping, 0) => splice.insert(id, "new key", "new\nvalue\n".into(), At::Start),
        (Kind::Mapping, 1) => splice.insert(id, "new key", "new value".into(), At::End),
        (Kind::Mapping, _) => match node.entries().next() {
            Some((key, _)) => splice.remove(id, &file.node(key).text()),
            None => Ok(()),
        },
        (Kind::Sequence, 0) if node.items().next().is_some() => splice.remove_item(id, 0),
        (Kind::Sequence, _) => splice.push(id, "new item".into()),
        _ => splice.set(id, "new text"),
    };
    done.and_then(|()| splice.finish()).is_ok_and(|after| parse(after.as_bytes()).is_ok())
}

fn mutate(bytes: &mut Vec<u8>, random: &mut Random, seeds: &[String]) {
    const ODD: &[u8] = b"-?:,[]{}#&*!|>'\"%@`~ \t\n\r=<.0a\\\x00\x7f\xc2\xff";
    let at = random.below(bytes.len() + 1);
    match random.below(6) {
        0 if at < bytes.len() => {
            bytes.remove(at);
        }
        1 if at < bytes.len() => bytes[at] = ODD[random.below(ODD.len())],
        2 => bytes.truncate(at),
        3 => {
            let other = seeds[random.below(seeds.len())].as_bytes();
            let from = random.below(other.len() + 1);
            let part: Vec<u8> = other.iter().skip(from).take(random.below(20)).copied().collect();
            bytes.splice(at..at, part);
        }
        4 => {
            let end = (at + random.below(20)).min(bytes.len());
            let part = bytes[at..end].to_vec();
            bytes.splice(at..at, part);
        }
        _ => bytes.insert(at, ODD[random.below(ODD.len())]),
    }
}

/// SplitMix64: the same numbers each time.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % u64::try_from(end.max(1)).expect("small")).expect("small")
    }
}
