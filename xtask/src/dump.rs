//! A hex dump in colours.

use crate::output::{Ink, Output};

/// Sixteen bytes in a line: offset, hex, text. `ink` says the colour of the byte at an offset.
pub(crate) fn lines(output: &Output, bytes: &[u8], ink: impl Fn(usize) -> Ink) -> Vec<String> {
    bytes
        .chunks(16)
        .enumerate()
        .map(|(row, chunk)| {
            let start = row * 16;
            let hex = runs(output, chunk, start, &ink, |byte| format!("{byte:02x} "));
            let text = runs(output, chunk, start, &ink, |byte| match byte {
                b' '..=b'~' => char::from(byte).to_string(),
                _ => ".".to_owned(),
            });
            let gap = "   ".repeat(16 - chunk.len());
            let offset = output.paint(Ink::Faint, &format!("{start:04x}"));
            format!("    {offset}  {hex}{gap} {text}")
        })
        .collect()
}

/// The bytes as text, with one change of colour per run and not per byte.
fn runs(
    output: &Output,
    chunk: &[u8],
    start: usize,
    ink: &impl Fn(usize) -> Ink,
    show: impl Fn(u8) -> String,
) -> String {
    let mut line = String::new();
    let mut run = String::new();
    let mut colour = Ink::Plain;
    for (offset, byte) in (start..).zip(chunk) {
        if ink(offset) != colour {
            line += &output.paint(colour, &std::mem::take(&mut run));
            colour = ink(offset);
        }
        run += &show(*byte);
    }
    line + &output.paint(colour, &run)
}
