//! Random bytes for keys of the tests and for values to look for.

use anyhow::{Result, anyhow};
use ring::rand::{SecureRandom as _, SystemRandom};

/// `N` random bytes.
pub fn bytes<const N: usize>() -> Result<[u8; N]> {
    let mut out = [0; N];
    SystemRandom::new().fill(&mut out).map_err(|_| anyhow!("the system gives no random bytes"))?;
    Ok(out)
}

/// A text of `2 * N` hex digits that is nowhere else.
pub fn text<const N: usize>() -> Result<String> {
    Ok(bytes::<N>()?.iter().map(|byte| format!("{byte:02x}")).collect())
}
