//! What a crash would leave behind.

use std::{fs, io::Write as _};

use crate::repo::{Repo, secret};

#[test]
fn a_process_that_holds_a_value_dumps_no_core() {
    let repo = Repo::new();
    repo.write("db.yaml", secret("db", &[("password", "hunter2")]));
    repo.ok(&["seal", "-i", "db.yaml"]);
    let mut child = repo.start(&["set", "db.yaml", "password"]);
    // More than a pipe holds: it reads, and has some of it.
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(&[b'x'; 512 << 10]).unwrap();
    let limits = fs::read_to_string(format!("/proc/{}/limits", child.id())).unwrap();
    drop(stdin);
    assert!(child.wait().unwrap().success());
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    let sizes: Vec<_> = core.split_whitespace().skip(4).take(2).collect();
    assert_eq!(sizes, ["0", "0"], "soft and hard: {core}");
}
