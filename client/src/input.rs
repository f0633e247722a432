//! What is read: a file, or stdin where it is named `-`.

use std::{
    io::{self, Read as _},
    path::Path,
};

/// The bytes of a file or of stdin; what is longer than `most` is cut after one byte more, for the caller to refuse.
pub(crate) fn read(path: &Path, most: usize) -> io::Result<Vec<u8>> {
    if path != Path::new("-") {
        return durable::read(path, most);
    }
    let mut bytes = Vec::new();
    io::stdin().take(most as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}
