//! Git, through its own program: whatever the user's configuration, work trees, alternates and partial clones are, it knows.
//!
//! Invariant: only plumbing is asked, with NUL between the fields. What a user configures for people (colours, renames, quoted paths,
//! relative paths, signatures in the log) changes nothing here, and a path may be any bytes.

mod contents;

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

pub(crate) use self::contents::{Content, Contents, MOST};
use crate::failure::Failure;

/// A file as a commit or the index has it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Blob {
    /// Its path from the root of the repository.
    pub(crate) path: PathBuf,
    /// The name of its content.
    pub(crate) id: String,
}

/// What stands at a path.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) blob: Blob,
    /// Else it is a link or a submodule.
    pub(crate) is_file: bool,
}

/// A file that became another, came, or went.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Change {
    /// Its path from the root of the repository.
    pub(crate) path: PathBuf,
    /// The name of its content before; `None` where it was no file.
    pub(crate) old: Option<String>,
    /// The name of its content now; `None` where it is no file any more.
    pub(crate) new: Option<String>,
    /// The commit that did it; `None` for what is staged.
    pub(crate) commit: Option<String>,
}

/// Commits that came on top of others.
#[derive(Debug, Clone)]
pub(crate) struct Range {
    /// Where the two sides parted; `None` where they have nothing in common.
    pub(crate) base: Option<String>,
    /// The last commit.
    pub(crate) tip: String,
    /// What leads to the commits between: `A..B`, or `B` where there is no A.
    commits: String,
}

impl Range {
    /// Takes `A..B` apart. Either may be left out for HEAD; an A of zeros, as code hosts send it for a new branch, is before everything.
    pub(crate) fn parse(text: &str) -> Result<Self, Failure> {
        let wrong = |why: &str| {
            Failure::new(
                format!("{text:?} is no range of commits"),
                why,
                "write it as A..B, such as origin/main..HEAD; in CI, fetch enough history for both",
            )
            .usage()
        };
        let (from, to) = text.split_once("..").ok_or_else(|| wrong("it has no .. in it"))?;
        if to.starts_with('.') {
            return Err(wrong("it has three dots, which mean both sides of a fork"));
        }
        let tip = commit(to).ok_or_else(|| wrong("its end is no commit here"))?;
        if !from.is_empty() && from.bytes().all(|byte| byte == b'0') {
            return Ok(Self { base: None, commits: tip.clone(), tip });
        }
        let from = commit(from).ok_or_else(|| wrong("its beginning is no commit here"))?;
        let base = run(&["merge-base", &from, &tip]).ok().map(|out| line(&out));
        Ok(Self { base, commits: format!("{from}..{tip}"), tip })
    }

    /// Every file that a commit of the range brought, changed or removed, also where a later one did otherwise. Of a merge, what
    /// differs from all of its parents: the rest came with other commits.
    pub(crate) fn changes(&self) -> Result<Vec<Change>, Failure> {
        let commits = run(&["rev-list", "--reverse", "--end-of-options", &self.commits, "--"])?;
        let arguments = [
            "diff-tree",
            "--stdin",
            "--root",
            "-r",
            "-c",
            "--raw",
            "-z",
            "--no-renames",
            "--no-abbrev",
        ];
        Ok(changes(&run_with(&arguments, &commits)?))
    }

    /// What differs between where the sides parted and the end, below folders of this name.
    pub(crate) fn changes_below(&self, folder: &str) -> Result<Vec<Change>, Failure> {
        let Some(base) = &self.base else {
            let blobs = files(entries(&self.tip)?).filter(|blob| is_below(&blob.path, folder));
            return Ok(blobs
                .map(|blob| Change { path: blob.path, old: None, new: Some(blob.id), commit: None })
                .collect());
        };
        let arguments =
            ["diff-tree", "-r", "--raw", "-z", "--no-renames", "--no-abbrev", base, &self.tip];
        let mut out = changes(&run(&arguments)?);
        out.retain(|change| is_below(&change.path, folder));
        Ok(out)
    }
}

/// The files whose staged content differs from HEAD; all of them, before the first commit.
pub(crate) fn staged() -> Result<Vec<Change>, Failure> {
    if commit("HEAD").is_none() {
        let all = files(staged_entries(&[":(top)"])?);
        return Ok(all
            .map(|blob| Change { path: blob.path, old: None, new: Some(blob.id), commit: None })
            .collect());
    }
    let arguments =
        ["diff-index", "--cached", "--raw", "-z", "--no-renames", "--no-abbrev", "HEAD", "--"];
    Ok(changes(&run(&arguments)?))
}

/// What the index has that matches any of these pathspecs.
pub(crate) fn staged_entries(pathspecs: &[&str]) -> Result<Vec<Entry>, Failure> {
    let arguments = [&["ls-files", "--stage", "-z", "--full-name", "--"], pathspecs].concat();
    Ok(listed(&run(&arguments)?, 1))
}

/// What a commit has.
pub(crate) fn entries(commit: &str) -> Result<Vec<Entry>, Failure> {
    Ok(listed(&run(&["ls-tree", "-r", "-z", "--full-tree", commit])?, 2))
}

/// The files among entries.
pub(crate) fn files(entries: Vec<Entry>) -> impl Iterator<Item = Blob> {
    entries.into_iter().filter(|entry| entry.is_file).map(|entry| entry.blob)
}

/// Whether a folder of this name is on the way to a path.
pub(crate) fn is_below(path: &Path, folder: &str) -> bool {
    path.parent().is_some_and(|parent| parent.iter().any(|name| name == folder))
}

/// The files below the current folder that git has although it ignores them, relative to it; none outside of a repository.
pub(crate) fn tracked_but_ignored() -> Vec<PathBuf> {
    let out = run(&["ls-files", "-z", "--cached", "--ignored", "--exclude-standard"]);
    let paths = out.unwrap_or_default();
    paths.split(|byte| *byte == 0).filter(|path| !path.is_empty()).map(os_path).collect()
}

/// Whether git ignores a file, and does not have it all the same.
pub(crate) fn is_ignored(path: &Path) -> bool {
    let asked = command(&["check-ignore", "--quiet", "--"]).arg(path).stdin(Stdio::null()).output();
    asked.is_ok_and(|output| output.status.success())
}

/// All values of a name in git's configuration.
pub(crate) fn configured(name: &str) -> Vec<String> {
    let out = run(&["config", "--get-all", name]).unwrap_or_default();
    String::from_utf8_lossy(&out).lines().map(str::to_owned).collect()
}

/// The name of a commit; `None` where there is no such commit.
fn commit(name: &str) -> Option<String> {
    let name = if name.is_empty() { "HEAD" } else { name };
    let name = format!("{name}^{{commit}}");
    let out = run(&["rev-parse", "--verify", "--quiet", "--end-of-options", &name]).ok()?;
    Some(line(&out)).filter(|id| !id.is_empty())
}

/// Where git looks for hooks, whatever is configured.
pub(crate) fn hooks() -> Result<PathBuf, Failure> {
    path_of(&["rev-parse", "--git-path", "hooks"])
}

/// The folder that git keeps what it knows in, for the work tree that `folder` lies in.
pub(crate) fn own_folder(folder: &Path) -> Result<PathBuf, Failure> {
    let folder = folder.to_string_lossy();
    path_of(&["-C", &folder, "rev-parse", "--absolute-git-dir"])
}

/// Where git keeps what all work trees of a repository share.
pub(crate) fn common_folder() -> Result<PathBuf, Failure> {
    path_of(&["rev-parse", "--git-common-dir"])
}

/// The root of the work tree; `None` outside of one.
pub(crate) fn root() -> Option<PathBuf> {
    path_of(&["rev-parse", "--show-toplevel"]).ok()
}

fn path_of(arguments: &[&str]) -> Result<PathBuf, Failure> {
    let mut out = run(arguments)?;
    if out.last() == Some(&b'\n') {
        out.pop();
    }
    Ok(os_path(&out))
}

/// What git prints.
pub(crate) fn run(arguments: &[&str]) -> Result<Vec<u8>, Failure> {
    run_with(arguments, &[])
}

fn run_with(arguments: &[&str], stdin: &[u8]) -> Result<Vec<u8>, Failure> {
    let input = if stdin.is_empty() { Stdio::null() } else { Stdio::piped() };
    let mut child = command(arguments)
        .stdin(input)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| no_git(&error))?;
    // It answers while it is still asked: both at once, or both would wait for ever.
    let input = child.stdin.take();
    let output = std::thread::scope(|scope| {
        scope.spawn(move || input.map(|mut input| input.write_all(stdin)));
        child.wait_with_output()
    });
    let output = output.map_err(|error| no_git(&error))?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    Err(Failure::new(
        format!("git {} failed", arguments.first().copied().unwrap_or_default()),
        String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        "run it inside of a git repository, with commits that exist",
    )
    .usage())
}

/// Git, with nothing that would write beside what it is asked for.
fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new("git");
    command.args(arguments).env("GIT_OPTIONAL_LOCKS", "0");
    command
}

fn no_git(error: &std::io::Error) -> Failure {
    Failure::new("git cannot be run", error.to_string(), "install git, or check PATH")
}

/// Raw differences, and between them the names of the commits that they are of:
///
/// ```text
/// :mode mode id id status NUL path NUL                        one parent
/// ::mode mode mode id id id status NUL path NUL               a merge: as many colons as parents
/// ```
fn changes(out: &[u8]) -> Vec<Change> {
    let mut fields = out.split(|byte| *byte == 0);
    let (mut commit, mut changes) = (None, Vec::new());
    while let Some(facts) = fields.next() {
        let facts = String::from_utf8_lossy(facts);
        let parents = facts.bytes().take_while(|byte| *byte == b':').count();
        if parents == 0 {
            commit = Some(facts.trim().to_owned()).filter(|name| !name.is_empty());
            continue;
        }
        let Some(path) = fields.next() else { break };
        let words: Vec<_> = facts.trim_start_matches(':').split(' ').collect();
        let content = |at: usize| {
            let (mode, id) = (words.get(at)?, words.get(parents + 1 + at)?);
            is_file(mode).then(|| (*id).to_owned())
        };
        changes.push(Change {
            path: os_path(path),
            old: content(0),
            new: content(parents),
            commit: commit.clone(),
        });
    }
    changes
}

/// Lines of mode, type or not, id, and more, a tab and a path, each with a NUL behind it.
fn listed(out: &[u8], id: usize) -> Vec<Entry> {
    let entries = out.split(|byte| *byte == 0).filter_map(|entry| {
        let tab = entry.iter().position(|byte| *byte == b'\t')?;
        let facts = String::from_utf8_lossy(entry.get(..tab)?);
        let mode = facts.split(' ').next()?;
        let id = facts.split(' ').nth(id)?.to_owned();
        let path = os_path(entry.get(tab + 1..).unwrap_or_default());
        Some(Entry { blob: Blob { path, id }, is_file: is_file(mode) })
    });
    entries.collect()
}

/// Files only: a link's content is a path, a submodule's a commit.
fn is_file(mode: &str) -> bool {
    matches!(mode, "100644" | "100755" | "100664")
}

fn os_path(bytes: &[u8]) -> PathBuf {
    use std::os::unix::ffi::OsStrExt as _;
    Path::new(std::ffi::OsStr::from_bytes(bytes)).to_owned()
}

fn line(out: &[u8]) -> String {
    String::from_utf8_lossy(out).trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_read_with_their_commits_and_any_bytes_in_a_path() {
        let raw = b"c1\0:000000 100644 0 a A\0a b\n\xff.yaml\0:100644 120000 b c T\0link\0c2\0::100644 100644 100755 d e f MM\0x\0:100644 000000 g 0 D\0gone\0";
        let seen: Vec<_> = changes(raw)
            .into_iter()
            .map(|change| (change.commit.unwrap(), change.path, change.old, change.new))
            .collect();
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(
            seen,
            [
                ("c1".into(), os_path(b"a b\n\xff.yaml"), None, text("a")),
                ("c1".into(), "link".into(), text("b"), None),
                ("c2".into(), "x".into(), text("d"), text("f")),
                ("c2".into(), "gone".into(), text("g"), None),
            ]
        );
    }
}
