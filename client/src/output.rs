//! The only place that prints.
//!
//! Results go to stdout and nothing else does, so that a pipe gets what it asked for; errors and progress go to stderr.

use std::{
    fs,
    io::{self, IsTerminal as _, Write as _},
    os::unix::fs::{FileTypeExt as _, MetadataExt as _},
};

use clap::{Args, ValueEnum};
use rustix::io::Errno;
use serde::Serialize;
use serde_json::Value as Json;
use splice::Value;

use crate::failure::Failure;

/// How to print what was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people; colours on a terminal only
    Table,
    /// For machines; stable
    Json,
    /// The same as JSON, as YAML
    Yaml,
}

/// `--output`, for whatever lists something.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct As {
    /// How to print it
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = Format::Table)]
    output: Format,
}

impl As {
    /// Prints a value, or the table that is made of it.
    pub(crate) fn print<T: Serialize>(
        self,
        value: &T,
        table: impl FnOnce(&T) -> String,
    ) -> Result<(), Failure> {
        match self.output {
            Format::Table => result(table(value).as_bytes()),
            Format::Json => result((json(value)? + "\n").as_bytes()),
            Format::Yaml => result(yaml(value)?.as_bytes()),
        }
    }

    /// Prints one of many values on a line of its own, or as a document of its own, or the text that is made of it.
    pub(crate) fn print_line<T: Serialize>(
        self,
        value: &T,
        text: impl FnOnce(&T) -> String,
    ) -> Result<(), Failure> {
        match self.output {
            Format::Table => result(text(value).as_bytes()),
            Format::Json => result((line(value)? + "\n").as_bytes()),
            Format::Yaml => result(format!("---\n{}", yaml(value)?).as_bytes()),
        }
    }

    pub(crate) fn is_for_machines(self) -> bool {
        self.output != Format::Table
    }
}

/// A value as JSON that a person can read too.
pub(crate) fn json(value: &impl Serialize) -> Result<String, Failure> {
    serde_json::to_string_pretty(value).map_err(unwritable)
}

/// A value as JSON on one line.
pub(crate) fn line(value: &impl Serialize) -> Result<String, Failure> {
    serde_json::to_string(value).map_err(unwritable)
}

/// A value as YAML.
pub(crate) fn yaml(value: &impl Serialize) -> Result<String, Failure> {
    serde_json::to_value(value).map(|json| splice::render(&of_json(&json))).map_err(unwritable)
}

fn of_json(json: &Json) -> Value {
    match json {
        Json::Object(map) => {
            Value::mapping(map.iter().map(|(key, json)| (key.as_str(), of_json(json))))
        }
        Json::Array(items) => Value::sequence(items.iter().map(of_json)),
        Json::String(text) => Value::from(text.as_str()),
        Json::Bool(truth) => Value::Bool(*truth),
        Json::Null => Value::Null,
        // What does not fit stays readable, as text.
        Json::Number(number) => {
            number.as_i64().map_or_else(|| Value::from(number.to_string()), Value::Integer)
        }
    }
}

fn unwritable(error: serde_json::Error) -> Failure {
    Failure::new("the result could not be written", error.to_string(), "this is a bug: report it")
}

/// Whether a person looks at stdout.
pub(crate) fn is_watched() -> bool {
    io::stdout().is_terminal()
}

/// A word in red, where a person looks at stdout.
pub(crate) fn red(word: &str) -> String {
    coloured("31", word)
}

/// A word in yellow, where a person looks at stdout.
pub(crate) fn yellow(word: &str) -> String {
    coloured("33", word)
}

#[expect(
    clippy::disallowed_methods,
    reason = "NO_COLOR (no-color.org) is asked of every program at once; the parser of the command line heeds it too"
)]
fn coloured(colour: &str, word: &str) -> String {
    let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    if is_watched() && !unwanted {
        format!("\x1b[1;{colour}m{word}\x1b[0m")
    } else {
        word.to_owned()
    }
}

/// Replaces what stood on a terminal before. Lines are cleared one by one, so that nothing flickers.
pub(crate) fn redraw(text: &str) -> Result<(), Failure> {
    let lines = text.replace('\n', "\x1b[K\n");
    result(format!("\x1b[H{lines}\x1b[J").as_bytes())
}

/// Begins a screen of its own for [`redraw`].
pub(crate) fn clear() -> Result<(), Failure> {
    result(b"\x1b[2J\x1b[H")
}

/// Asks for a yes before something that cannot be undone, or not easily; `said` is a yes from the command line.
pub(crate) fn confirm(what: &str, said: bool) -> Result<(), Failure> {
    let mut stderr = io::stderr().lock();
    if said {
        return Ok(());
    }
    if !io::stdin().is_terminal() || !stderr.is_terminal() {
        return Err(Failure::new(
            format!("not confirmed: {what}"),
            "there is no terminal to ask on",
            "add --yes where a script means it",
        )
        .usage());
    }
    let _ = write!(stderr, "{what}\nType yes to go on: ").and_then(|()| stderr.flush());
    let mut answer = String::new();
    match io::stdin().read_line(&mut answer) {
        Ok(_) if answer.trim() == "yes" => Ok(()),
        _ => Err(Failure::new(
            "nothing was done",
            "it was not confirmed",
            "run the command again, and type yes",
        )),
    }
}

/// Writes a result. A reader that has gone away (`| head`) is no failure.
pub(crate) fn result(bytes: &[u8]) -> Result<(), Failure> {
    match write(bytes) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.map_err(unwritten),
    }
}

/// Writes what exists nowhere else: here a reader that has gone away, or was never there, is a failure.
pub(crate) fn only_copy(bytes: &[u8]) -> Result<(), Failure> {
    if is_read_by_nobody() {
        return Err(Failure::new(
            "nothing was made: the only copy of the key would be lost",
            "stdout is closed, or leads to /dev/null",
            "let it lead to where the key is kept, or name a file",
        ));
    }
    write(bytes).map_err(unwritten)?;
    // A terminal and a pipe have nothing to make durable, and say so.
    match rustix::fs::fsync(io::stdout()) {
        Err(error) if error != Errno::INVAL && error != Errno::ROFS => Err(unwritten(error.into())),
        _ => Ok(()),
    }
}

/// Whether stdout leads to /dev/null, as it does too where it was closed when we were started.
fn is_read_by_nobody() -> bool {
    let (Ok(stdout), Ok(null)) = (rustix::fs::fstat(io::stdout()), fs::metadata("/dev/null"))
    else {
        return false;
    };
    null.file_type().is_char_device() && (stdout.st_dev, stdout.st_ino) == (null.dev(), null.ino())
}

fn write(bytes: &[u8]) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(bytes).and_then(|()| stdout.flush())
}

fn unwritten(error: io::Error) -> Failure {
    Failure::new(
        "the result could not be written",
        error.to_string(),
        "check where stdout leads to (disk full? no such program behind the pipe?) and run the command again",
    )
}

/// Says what is wrong. When stderr is gone too, the exit code still tells.
pub(crate) fn failure(failure: &Failure) {
    let mut stderr = io::stderr().lock();
    let _ = writeln!(
        stderr,
        "error: {}\n  why:  {}\n  next: {}",
        failure.what,
        indented(&failure.why),
        indented(&failure.next)
    );
}

/// Asks a person something; the answer is read by whoever knows what else can happen meanwhile.
pub(crate) fn ask(question: &str) {
    let mut stderr = io::stderr().lock();
    let _ = write!(stderr, "{question}").and_then(|()| stderr.flush());
}

/// Says all that is wrong but the last of it, which is what the command fails with.
pub(crate) fn all_failures(mut failures: Vec<Failure>) -> Result<(), Failure> {
    let Some(last) = failures.pop() else { return Ok(()) };
    failures.iter().for_each(failure);
    Err(last)
}

/// Says what was done, and what to do next, beside the result.
pub(crate) fn note(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Says that something takes its time, to a person and not to a log.
pub(crate) fn progress(line: &str) {
    let mut stderr = io::stderr().lock();
    if stderr.is_terminal() {
        let _ = writeln!(stderr, "{line}");
    }
}

/// Text from elsewhere, without what could move a terminal's cursor.
pub(crate) fn plain(text: &str) -> String {
    let shown = |c: char| if c.is_control() && c != '\n' { '\u{fffd}' } else { c };
    text.chars().map(shown).collect()
}

/// Keeps the second and further lines under the first.
fn indented(text: &str) -> String {
    text.replace('\n', "\n        ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn yaml_says_what_json_says() {
        let value = serde_json::json!({
            "schema": "strongroom.dev/probe/v1",
            "kid": "k9d1c2f44a0b7e6d3",
            "cluster": null,
            "serial": -3,
            "most": u64::MAX,
            "odd": ["yes", "12e5", "", "a: b", true, null, [], {}],
            "rows": [{"file": "a.yaml", "missing": ["escrow"]}],
            "detail": "first\nsecond\n",
        });
        let expected = "\
schema: strongroom.dev/probe/v1
kid: k9d1c2f44a0b7e6d3
cluster: null
serial: -3
most: \"18446744073709551615\"
odd:
- \"yes\"
- \"12e5\"
- \"\"
- \"a: b\"
- true
- null
- []
- {}
rows:
- file: a.yaml
  missing:
  - escrow
detail: |
  first
  second
";
        assert_eq!(yaml(&value).ok().as_deref(), Some(expected));
    }
}
