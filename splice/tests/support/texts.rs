//! Texts that are hard to write, and easy ones.

/// Texts that some reader takes for something else when they stand without quotes, or that cannot stand so.
pub(crate) const HARD: [&str; 38] = [
    "yes",
    "No",
    "ON",
    "y",
    "true",
    "~",
    "null",
    "NULL",
    "",
    "0",
    "12",
    "0644",
    "0x1F",
    "0o17",
    "1_000",
    "12e00045",
    "1e3",
    ".5",
    "-.inf",
    ".NaN",
    "12:30:45",
    "2001-01-01",
    "<<",
    "=",
    "- x",
    "? x",
    "a: b",
    "a #b",
    " lead",
    "trail ",
    "&a",
    "*a",
    "!t",
    "%d",
    "tab\tin",
    "nel\u{85}",
    "ls\u{2028}",
    "bom\u{feff}",
];
/// Texts of several lines, and easy ones.
const OTHER: [&str; 14] = [
    "plain",
    "s7f3a9c21.AbC+/=",
    "it's",
    "say \"x\"",
    "a, [b] {c}",
    "one\ntwo\n",
    "one\ntwo",
    "\n\none\n",
    "one\n\n",
    " a\nb\n",
    "a\n  \nb\n",
    "a\r\nb",
    "тайна 🔑",
    "---\na\n...\n",
];

/// One of them, by any number.
pub(crate) fn text(number: usize) -> &'static str {
    let at = number % (HARD.len() + OTHER.len());
    if at < HARD.len() { HARD[at] } else { OTHER[at - HARD.len()] }
}
