//! Git, through its own program: whatever the user's configuration, work trees, alternates and partial clones are, it knows.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use crate::failure::Failure;

/// Larger blobs are no manifests.
pub(crate) const MOST: u64 = 16 << 20;

/// A file at some commit, or in the index.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Blob {
    /// Its path from the root of the repository.
    pub(crate) path: PathBuf,
    /// The name of its content.
    pub(crate) id: String,
    /// The commit that brought it, where one did.
    pub(crate) commit: Option<String>,
}

/// The files that are staged and differ from HEAD.
pub(crate) fn staged() -> Result<Vec<Blob>, Failure> {
    // In a repository without commits everything that is staged is new.
    if !has_head() {
        return staged_below("");
    }
    let arguments = [
        "diff-index",
        "--cached",
        "--raw",
        "-z",
        "--no-renames",
        "--no-abbrev",
        "--diff-filter=AMT",
        "HEAD",
    ];
    Ok(raw(&run(&arguments)?, None))
}

/// Whether there is a commit at all.
pub(crate) fn has_head() -> bool {
    run(&["rev-parse", "--verify", "--quiet", "HEAD^{tree}"]).is_ok()
}

/// Everything that is in the index below a folder; below the root, where it is empty.
pub(crate) fn staged_below(folder: &str) -> Result<Vec<Blob>, Failure> {
    let top = format!(":(top){folder}");
    let out = run(&["ls-files", "--stage", "-z", "--full-name", "--", &top])?;
    Ok(listed(&out, 1))
}

/// Every content that a commit of `range` brought, also where a later one took it away again.
pub(crate) fn brought_by(range: &str) -> Result<Vec<Blob>, Failure> {
    if range.starts_with('-') || !range.contains("..") {
        return Err(Failure::new(
            format!("{range:?} is no range of commits"),
            "it has no A..B",
            "write it as main..HEAD",
        )
        .usage());
    }
    // A merge is compared with each of its parents, so that what only the merge brought is seen.
    let arguments = [
        "log",
        "--format=%x01%H",
        "-m",
        "--raw",
        "-z",
        "--no-renames",
        "--no-abbrev",
        "--diff-filter=AMT",
        range,
        "--",
    ];
    let out = run(&arguments)?;
    let mut blobs = Vec::new();
    for part in out.split(|byte| *byte == 1).skip(1) {
        let (commit, rest) = part.split_at_checked(40).unwrap_or((part, &[]));
        let commit = String::from_utf8_lossy(commit).into_owned();
        let start = rest.iter().position(|byte| *byte == b':').unwrap_or(rest.len());
        blobs.extend(raw(rest.get(start..).unwrap_or_default(), Some(&commit)));
    }
    blobs.sort();
    blobs.dedup_by(|a, b| a.path == b.path && a.id == b.id);
    Ok(blobs)
}

/// The files of a commit below a folder; all of them, where it is empty.
pub(crate) fn files_below(commit: &str, folder: &str) -> Result<Vec<Blob>, Failure> {
    let mut arguments = vec!["ls-tree", "-r", "-z", "--full-tree", commit];
    if !folder.is_empty() {
        arguments.extend(["--", folder]);
    }
    Ok(listed(&run(&arguments)?, 2))
}

/// Lines of mode, type or not, id, and more, a tab and a path, each with a NUL behind it.
fn listed(out: &[u8], id: usize) -> Vec<Blob> {
    let entries = out.split(|byte| *byte == 0).filter_map(|entry| {
        let tab = entry.iter().position(|byte| *byte == b'\t')?;
        let facts = String::from_utf8_lossy(entry.get(..tab)?);
        let mode = facts.split(' ').next()?;
        let id = facts.split(' ').nth(id)?.to_owned();
        is_file(mode).then(|| Blob {
            path: os_path(entry.get(tab + 1..).unwrap_or_default()),
            id,
            commit: None,
        })
    });
    entries.collect()
}

/// Files only: a link's content is a path, a submodule's a commit.
fn is_file(mode: &str) -> bool {
    matches!(mode, "100644" | "100755")
}

/// All values of a name in git's configuration.
pub(crate) fn configured(name: &str) -> Vec<String> {
    let out = run(&["config", "--get-all", name]).unwrap_or_default();
    String::from_utf8_lossy(&out).lines().map(str::to_owned).collect()
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

fn path_of(arguments: &[&str]) -> Result<PathBuf, Failure> {
    let out = run(arguments)?;
    let text = String::from_utf8_lossy(&out);
    Ok(PathBuf::from(text.trim_end_matches('\n')))
}

/// What git prints.
pub(crate) fn run(arguments: &[&str]) -> Result<Vec<u8>, Failure> {
    let command = arguments.first().copied().unwrap_or_default();
    let output = Command::new("git")
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| no_git(&error))?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    Err(Failure::new(
        format!("git {command} failed"),
        String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        "run it inside of a git repository, with commits that exist",
    ))
}

fn no_git(error: &std::io::Error) -> Failure {
    Failure::new("git cannot be run", error.to_string(), "install git, or check PATH")
}

/// `:mode mode id id status NUL path NUL …`
fn raw(out: &[u8], commit: Option<&str>) -> Vec<Blob> {
    let mut fields = out.split(|byte| *byte == 0);
    let mut blobs = Vec::new();
    while let (Some(facts), Some(path)) = (fields.next(), fields.next()) {
        let facts = String::from_utf8_lossy(facts);
        let mut words = facts.trim_start_matches(['\n', ':']).split(' ');
        let (mode, id) = (words.nth(1), words.nth(1));
        if let (Some(mode), Some(id)) = (mode, id)
            && is_file(mode)
        {
            blobs.push(Blob {
                path: os_path(path),
                id: id.to_owned(),
                commit: commit.map(str::to_owned),
            });
        }
    }
    blobs
}

fn os_path(bytes: &[u8]) -> PathBuf {
    use std::os::unix::ffi::OsStrExt as _;
    Path::new(std::ffi::OsStr::from_bytes(bytes)).to_owned()
}

/// A running `git cat-file --batch`, which gives contents by their names.
pub(crate) struct Contents {
    child: Child,
    asks: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Contents {
    /// Starts it.
    pub(crate) fn start() -> Result<Self, Failure> {
        let mut child = Command::new("git")
            .args(["cat-file", "--batch"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| no_git(&error))?;
        let (asks, answers) = (child.stdin.take(), child.stdout.take());
        let answers = answers.ok_or_else(|| no_git(&std::io::ErrorKind::BrokenPipe.into()))?;
        Ok(Self { child, asks, answers: BufReader::new(answers) })
    }

    /// The content of a name; `None` where it is longer than any manifest.
    pub(crate) fn read(&mut self, id: &str) -> Result<Option<Vec<u8>>, Failure> {
        let failed = |error: std::io::Error| {
            Failure::new(
                format!("git has no content {id}"),
                error.to_string(),
                "check the repository: git fsck",
            )
        };
        let asks =
            self.asks.as_mut().ok_or_else(|| failed(std::io::ErrorKind::BrokenPipe.into()))?;
        writeln!(asks, "{id}").and_then(|()| asks.flush()).map_err(failed)?;
        let mut head = String::new();
        self.answers.read_line(&mut head).map_err(failed)?;
        let length =
            head.trim_end().rsplit(' ').next().and_then(|length| length.parse::<u64>().ok());
        let length =
            length.ok_or_else(|| failed(std::io::Error::other(head.trim_end().to_owned())))?;
        if length > MOST {
            std::io::copy(&mut (&mut self.answers).take(length + 1), &mut std::io::sink())
                .map_err(failed)?;
            return Ok(None);
        }
        let mut content = vec![0; length as usize + 1];
        self.answers.read_exact(&mut content).map_err(failed)?;
        content.pop();
        Ok(Some(content))
    }
}

impl Drop for Contents {
    fn drop(&mut self) {
        // It ends when nobody asks any more.
        drop(self.asks.take());
        let _ = self.child.wait();
    }
}
