//! Comments that allow.

use crate::repo::Repo;

fn rules(comment: &str, line: &str) -> Vec<String> {
    let repo = Repo::new();
    repo.rules(
        "a.yaml",
        format!("apiVersion: v1\nkind: Secret\nstringData:\n{comment}  a: b{line}\n"),
    )
}

#[test]
fn a_comment_with_a_reason_silences_its_rule_on_its_line_and_the_next() {
    assert_eq!(rules("", ""), ["SR101"]);
    assert_eq!(rules("", " # strongroom:allow SR101 a public test value"), [""; 0]);
    assert_eq!(rules("  # strongroom:allow SR101 a public test value\n", ""), [""; 0]);
}

#[test]
fn a_comment_without_a_reason_silences_nothing_for_long() {
    assert_eq!(rules("", " # strongroom:allow SR101"), ["SR901"]);
}

#[test]
fn a_comment_that_silences_nothing_is_found() {
    assert_eq!(rules("", " # strongroom:allow SR105 a reason"), ["SR101", "SR902"]);
    assert_eq!(rules("", " # strongroom:allow everything a reason"), ["SR101", "SR902"]);
    assert_eq!(rules("\n  # strongroom:allow SR101 too far above\n\n", ""), ["SR902", "SR101"]);
    // In a value it is no comment.
    assert_eq!(rules("", "\n  c: \"x# strongroom:allow SR101 a reason\""), ["SR101"]);
}
