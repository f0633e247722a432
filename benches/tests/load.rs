//! The load tool measures what it says it measures: short runs against its own bare server.
#![expect(clippy::unwrap_used, reason = "what goes wrong in a test is to end it")]

use std::process::{Command, Output};

const QUICK: [&str; 7] = ["--rounds", "2", "--seconds", "0.05", "--patience", "0", "--no-life"];

#[test]
fn every_method_and_shape_gets_a_table_with_a_ratio_to_the_first_server() {
    let echoes = ["--server", "", "--echo", "current-thread", "--echo", "multi-thread:2"];
    let text = report(&run(&[&QUICK[..], &echoes].concat()));
    for method in ["Decrypt", "Encrypt", "Status"] {
        for shape in ["serial", "1 × 32", "2 × 64"] {
            let heading = format!("## {method}, {shape}\n");
            let table = text.split_once(&heading).map(|(_, rest)| rest).unwrap();
            let rows: Vec<&str> =
                table.lines().filter(|line| line.starts_with("| echo")).take(2).collect();
            assert!(
                rows[0].starts_with("| echo current-thread |") && rows[0].ends_with("| 1 | 1 |"),
                "{rows:?}"
            );
            assert!(
                rows[1].starts_with("| echo multi-thread:2 |") && rows[1].contains('–'),
                "{rows:?}"
            );
        }
    }
}

#[test]
fn start_restart_memory_and_size_are_measured_without_load() {
    let arguments = ["--server", "", "--no-load", "--starts", "2", "--calls", "1000"];
    let text = report(&run(&arguments));
    let row = text.lines().find(|line| line.starts_with("| echo current-thread |")).unwrap();
    let figures: Vec<&str> = row.split('|').map(str::trim).collect();
    assert!(
        figures[2..9].iter().all(|figure| figure.starts_with(|first: char| first.is_ascii_digit())),
        "{row}"
    );
}

#[test]
fn a_program_that_does_not_serve_is_named_with_what_it_said() {
    let output = run(&[&QUICK[..], &["--server", "broken=/bin/false"]].concat());
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("error: broken: `init` failed"), "{text}");
    assert!(output.stdout.is_empty(), "figures were printed");
    assert_eq!(output.status.code(), Some(1));
}

fn report(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_load"))
        .args(["--cores", "free"])
        .args(arguments)
        .output()
        .unwrap()
}
