//! How long `strongroom lint` takes, from start to end of the program: 10,000 files of a work tree, 500 staged ones, a range of 500
//! commits. By hand: `cargo bench -p strongroom --bench lint`.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "a bench is run by hand, and prints"
)]

use std::{
    fmt::Write as _,
    fs,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

const ROUNDS: usize = 11;

fn main() {
    let folder = tempfile::tempdir().unwrap();
    let (big, staged) = (folder.path().join("big"), folder.path().join("staged"));
    let corpus = clean_files();
    for (path, files) in [(&big, 10_000), (&staged, 10_000)] {
        fs::create_dir(path).unwrap();
        git(path, &["init", "-q", "-b", "main"]);
        fill(path, "old", files, &corpus);
        git(path, &["add", "-A"]);
        git(path, &["commit", "-q", "-m", "old"]);
    }
    let bytes: u64 = size(&big);
    println!("work tree: 10,000 files, {} KiB", bytes >> 10);
    report("lint, 10,000 files", &big, &["lint"]);
    fill(&staged, "new", 500, &corpus);
    git(&staged, &["add", "-A"]);
    report("lint --staged, 500 files", &staged, &["lint", "--staged"]);
    history(&big, 500);
    report("lint --range, 500 commits", &big, &["lint", "--range", "HEAD~500..HEAD"]);
    let empty = folder.path().join("empty");
    fs::create_dir(&empty).unwrap();
    git(&empty, &["init", "-q"]);
    report("lint --staged, nothing", &empty, &["lint", "--staged"]);
}

/// The clean files of the tests, over and over, each a little different.
fn clean_files() -> Vec<String> {
    let mut out = Vec::new();
    let mut open = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lint/corpus")];
    while let Some(at) = open.pop() {
        for entry in fs::read_dir(at).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|ending| ending == "yaml") {
                out.push(fs::read_to_string(path).unwrap());
            }
        }
    }
    out.sort();
    out
}

fn fill(root: &Path, name: &str, files: usize, corpus: &[String]) {
    for (i, text) in corpus.iter().cycle().take(files).enumerate() {
        let folder = root.join(format!("{name}/{}", i / 50));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(format!("{i}.yaml")), format!("# {name} {i}\n{text}")).unwrap();
    }
}

/// Commits that each change one file.
fn history(root: &Path, commits: usize) {
    let mut stream = String::from("");
    for i in 0..commits {
        let text = format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: a}}\ndata: {{TOKEN_TTL: \"{i}\"}}\n"
        );
        let from = if i == 0 { "from refs/heads/main^0\n" } else { "" };
        write!(
            stream,
            "commit refs/heads/main\ncommitter a <a@b> {} +0000\ndata 1\nx\n{from}M 644 inline h.yaml\ndata {}\n{text}\n",
            1_800_000_000 + i,
            text.len()
        )
        .unwrap();
    }
    let mut child = command("git", root)
        .args(["fast-import", "--quiet", "--force"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), stream.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
}

fn size(at: &Path) -> u64 {
    let files = ignore::WalkBuilder::new(at).build();
    files
        .map(|entry| entry.unwrap().metadata().unwrap())
        .filter(fs::Metadata::is_file)
        .map(|file| file.len())
        .sum()
}

fn report(what: &str, root: &Path, arguments: &[&str]) {
    let mut times: Vec<Duration> = (0..ROUNDS)
        .map(|_| {
            let started = Instant::now();
            let output =
                command(env!("CARGO_BIN_EXE_strongroom"), root).args(arguments).output().unwrap();
            let took = started.elapsed();
            assert!(output.status.success(), "{output:?}");
            took
        })
        .collect();
    times.sort();
    let (first, middle, last) = (times[0], times[ROUNDS / 2], times[ROUNDS - 1]);
    println!("{what:<28} median {middle:>9.1?}   {first:.1?} to {last:.1?}, {ROUNDS} rounds");
}

fn git(root: &Path, arguments: &[&str]) {
    let output = command("git", root).args(arguments).output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

fn command(program: &str, root: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(root).env("HOME", root).env("GIT_CONFIG_NOSYSTEM", "1").envs([
        ("GIT_AUTHOR_NAME", "a"),
        ("GIT_AUTHOR_EMAIL", "a@b"),
        ("GIT_COMMITTER_NAME", "a"),
        ("GIT_COMMITTER_EMAIL", "a@b"),
    ]);
    command
}
