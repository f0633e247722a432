//! What is printed, and in which colours. The only place that writes to the terminal.

use std::io::{self, IsTerminal as _, Write as _};

use anyhow::Result;

/// A colour with a meaning.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ink {
    Plain,
    Strong,
    Faint,
    /// What nobody should see.
    Alarm,
    Name,
    Data,
    KeyId,
    Seed,
    Note,
}

/// Standard output, in colours where it is a terminal and `NO_COLOR` is not set.
pub(crate) struct Output {
    colours: bool,
}

impl Output {
    pub(crate) fn stdout() -> Self {
        Self { colours: io::stdout().is_terminal() && !refused() }
    }

    /// A heading.
    pub(crate) fn step(&self, text: &str) -> Result<()> {
        self.line("")?;
        self.line(&self.paint(Ink::Strong, &format!("==> {text}")))
    }

    /// A line.
    pub(crate) fn line(&self, text: &str) -> Result<()> {
        Ok(writeln!(io::stdout().lock(), "{text}")?)
    }

    /// The text in a colour, to be put into a line.
    pub(crate) fn paint(&self, ink: Ink, text: &str) -> String {
        let code = match ink {
            _ if !self.colours => return text.to_owned(),
            Ink::Plain => return text.to_owned(),
            Ink::Strong => "1",
            Ink::Faint => "2",
            Ink::Alarm => "1;97;41",
            Ink::Name => "36",
            Ink::Data => "32",
            Ink::KeyId => "33",
            Ink::Seed => "35",
            Ink::Note => "34",
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }
}

/// <https://no-color.org>
#[expect(clippy::disallowed_methods, reason = "NO_COLOR is an environment variable by definition")]
fn refused() -> bool {
    std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
}
