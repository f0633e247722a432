//! Contents by their names, from one `git cat-file --batch` that stays.

use std::{
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    process::{Child, ChildStdin, ChildStdout, Stdio},
};

use super::{command, no_git};
use crate::failure::Failure;

/// 16 MiB: larger contents are no manifests.
pub(crate) const MOST: u64 = 16 << 20;

/// A running `git cat-file --batch`.
pub(crate) struct Contents {
    child: Child,
    asks: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

/// What git has under a name.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Content {
    /// A file.
    File(Vec<u8>),
    /// A file with more than [`MOST`] bytes.
    TooLong,
    /// No file.
    Missing,
}

impl Contents {
    /// Starts it.
    pub(crate) fn start() -> Result<Self, Failure> {
        let mut child = command(&["cat-file", "--batch"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| no_git(&error))?;
        let (asks, answers) = (child.stdin.take(), child.stdout.take());
        let answers = answers.ok_or_else(|| no_git(&io::ErrorKind::BrokenPipe.into()))?;
        Ok(Self { child, asks, answers: BufReader::with_capacity(64 << 10, answers) })
    }

    /// The content of a name: an id, `COMMIT:PATH`, or `:PATH` for what is staged.
    pub(crate) fn read(&mut self, name: &[u8]) -> Result<Content, Failure> {
        // A name ends with its line: one with a line break in it would be two.
        if name.contains(&b'\n') {
            return Ok(Content::Missing);
        }
        self.ask(name).map_err(|error| {
            Failure::new(
                format!("git does not give {}", String::from_utf8_lossy(name)),
                error.to_string(),
                "check the repository: git fsck",
            )
        })
    }

    /// `NAME LF` → `ID SP TYPE SP LENGTH LF CONTENT LF`, or `NAME SP missing LF`.
    fn ask(&mut self, name: &[u8]) -> io::Result<Content> {
        let asks = self.asks.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
        asks.write_all(&[name, b"\n"].concat()).and_then(|()| asks.flush())?;
        let mut head = Vec::new();
        self.answers.read_until(b'\n', &mut head)?;
        let head = String::from_utf8_lossy(&head);
        let mut words = head.trim_end().rsplit(' ');
        let (last, kind) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        if matches!(last, "missing" | "ambiguous") {
            return Ok(Content::Missing);
        }
        let length: u64 =
            last.parse().map_err(|_| io::Error::other("an answer without a length"))?;
        if length > MOST || kind != "blob" {
            io::copy(&mut (&mut self.answers).take(length + 1), &mut io::sink())?;
            return Ok(if kind == "blob" { Content::TooLong } else { Content::Missing });
        }
        let mut content = vec![0; length as usize + 1];
        self.answers.read_exact(&mut content)?;
        content.pop();
        Ok(Content::File(content))
    }
}

impl Drop for Contents {
    fn drop(&mut self) {
        // It ends when nobody asks any more.
        drop(self.asks.take());
        let _ = self.child.wait();
    }
}
