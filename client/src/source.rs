//! Where a value comes from: never from the command line itself, which every user of the machine can read.

use std::{
    fs,
    io::{self, IsTerminal as _, Read as _},
    path::{Path, PathBuf},
};

use clap::Args;
use envelope::{Random, RandomError};
use sealing::{MAX_VALUE, Plaintext};
use zeroize::Zeroizing;

use crate::failure::Failure;

/// Letters and digits: fits every configuration file, URL and shell, 5.95 bits each.
const ALPHABET: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// Where the value comes from. Without an option: asked for on a terminal, else read from stdin, where it must not be empty.
#[derive(Args, Debug, Clone)]
#[group(multiple = false)]
pub(crate) struct Source {
    /// Take the value from a file, byte by byte; - is stdin
    #[arg(long, value_name = "FILE")]
    from_file: Option<PathBuf>,
    /// Make a value: this many random letters and digits
    #[arg(
        long,
        value_name = "LENGTH",
        num_args = 0..=1,
        default_missing_value = "32",
        value_parser = length
    )]
    generate: Option<u16>,
}

impl Source {
    /// Whether the value is to come from stdin.
    pub(crate) fn is_stdin(&self) -> bool {
        match &self.from_file {
            Some(path) => path == Path::new("-"),
            None => self.generate.is_none() && !io::stdin().is_terminal(),
        }
    }

    /// The value. One that is typed or piped loses the line end that echo and people put behind it; a file keeps every byte.
    pub(crate) fn read(&self, key: &str, random: &dyn Random) -> Result<Plaintext, Failure> {
        if let Some(length) = self.generate {
            return generate(length, random).map_err(|error| {
                Failure::new(
                    "no value was made",
                    error.to_string(),
                    "check whether a seccomp profile forbids getrandom",
                )
            });
        }
        match &self.from_file {
            Some(path) if path != Path::new("-") => file(path),
            Some(_) => stdin(),
            None if io::stdin().is_terminal() => prompt(key),
            None => stdin().map(without_line_end).and_then(not_empty),
        }
    }
}

/// The length of a value that is made. `--generate KEY` is what people type first.
fn length(text: &str) -> Result<u16, String> {
    let length = text.parse().ok().filter(|length| (8..=4096).contains(length));
    length.ok_or_else(|| {
        "expected a length from 8 to 4096; the data key stands before: FILE KEY --generate"
            .to_owned()
    })
}

/// The bytes of a file that may be a value.
pub(crate) fn file(path: &Path) -> Result<Plaintext, Failure> {
    let length = fs::metadata(path).map(|metadata| metadata.len()).unwrap_or(0);
    let room = length.min(MAX_VALUE as u64) as usize + 1;
    let mut bytes = Zeroizing::new(Vec::with_capacity(room));
    let read = fs::File::open(path)
        .and_then(|file| file.take(MAX_VALUE as u64 + 1).read_to_end(&mut bytes));
    read.map_err(|error| {
        Failure::new(
            format!("{} cannot be read", path.display()),
            error.to_string(),
            "name a file that you may read",
        )
    })?;
    not_too_long(bytes, &path.display().to_string())
}

fn stdin() -> Result<Plaintext, Failure> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(64 << 10));
    io::stdin().take(MAX_VALUE as u64 + 1).read_to_end(&mut bytes).map_err(|error| {
        Failure::new(
            "stdin cannot be read",
            error.to_string(),
            "pipe the value in, or name a file with --from-file",
        )
    })?;
    not_too_long(bytes, "stdin")
}

fn not_too_long(bytes: Zeroizing<Vec<u8>>, from: &str) -> Result<Plaintext, Failure> {
    if bytes.len() > MAX_VALUE {
        return Err(Failure::new(
            format!("{from} is too long"),
            "a Secret holds at most 1,048,576 bytes",
            "keep it elsewhere, and a key to it in the Secret",
        ));
    }
    Ok(bytes.into())
}

fn prompt(key: &str) -> Result<Plaintext, Failure> {
    let asked = |error: io::Error| {
        Failure::new(
            "no value was typed",
            error.to_string(),
            "pipe it in, or name a file with --from-file",
        )
    };
    let once =
        Zeroizing::new(rpassword::prompt_password(format!("Value of {key}: ")).map_err(asked)?);
    let again = Zeroizing::new(rpassword::prompt_password("The same again: ").map_err(asked)?);
    if *once != *again {
        return Err(Failure::new(
            "nothing was changed",
            "the two values differ",
            "run the command again",
        ));
    }
    Ok(Plaintext::new(once.as_bytes().to_vec()))
}

/// What a program that failed sends is no value, nor is what comes from a stdin that is closed.
fn not_empty(value: Plaintext) -> Result<Plaintext, Failure> {
    if value.expose_secret().is_empty() {
        return Err(Failure::new(
            "no value came from stdin",
            "it is closed, or the program before the pipe printed nothing",
            "see why; where the value is to be empty: --from-file /dev/null",
        ));
    }
    Ok(value)
}

/// One line with its end, as `echo` leaves it before `base64`: a password that no server takes.
pub(crate) fn has_line_end(value: &Plaintext) -> bool {
    let bytes = value.expose_secret();
    bytes.len() > 1 && memchr::memchr(b'\n', bytes) == Some(bytes.len() - 1)
}

fn without_line_end(value: Plaintext) -> Plaintext {
    let bytes = value.expose_secret();
    let bytes =
        bytes.strip_suffix(b"\n").map_or(bytes, |line| line.strip_suffix(b"\r").unwrap_or(line));
    Plaintext::new(bytes.to_vec())
}

fn generate(length: u16, random: &dyn Random) -> Result<Plaintext, RandomError> {
    let mut out = Zeroizing::new(Vec::with_capacity(length.into()));
    let mut drawn = Zeroizing::new([0; 64]);
    while out.len() < length.into() {
        random.fill(drawn.as_mut_slice())?;
        // Bytes from 248 on would make the first letters likelier: they are thrown away.
        let fair = drawn
            .iter()
            .filter(|byte| **byte < 248)
            .filter_map(|byte| ALPHABET.get(usize::from(*byte) % 62));
        let missing = usize::from(length) - out.len();
        out.extend(fair.take(missing));
    }
    Ok(out.into())
}
