use std::sync::LazyLock;

use data_encoding::{Encoding, Specification};
use envelope::KeyMaterial;
use ring::digest::{Context, SHA256};
use zeroize::Zeroizing;

const CHECKSUM: usize = 3;
const DIGITS: usize = 56;

/// Why a text is not an escrow key. Nothing of the text is repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EscrowError {
    /// A character that is no digit of Crockford's base32.
    #[error(
        "character {0} is none of 0-9 and A-Z without I, L, O and U (I and L are read as 1, O as 0)"
    )]
    Character(usize),
    /// Too few or too many digits.
    #[error("it has {0} digits, not 56")]
    Length(usize),
    /// The checksum differs: at least one digit is wrong.
    #[error("the checksum differs: at least one of the 56 digits is not as it was printed")]
    Checksum,
}

/// A seed as text that can be printed, and typed again: 56 digits of Crockford's base32 in groups of four.
///
/// ```text
/// base32(seed[32] ‖ first 3 bytes of SHA-256("strongroom/escrow" ‖ seed))
/// ```
#[must_use]
pub fn escrow_text(seed: &KeyMaterial) -> Zeroizing<String> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(KeyMaterial::LEN + CHECKSUM));
    bytes.extend_from_slice(seed.expose_secret());
    bytes.extend_from_slice(&checksum(seed));
    let digits = Zeroizing::new(CROCKFORD.encode(&bytes));
    let mut out = Zeroizing::new(String::with_capacity(DIGITS + DIGITS / 4));
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && i % 4 == 0 {
            out.push('-');
        }
        out.push(digit);
    }
    out
}

/// The seed of a text that somebody typed: case, `i` and `l` for 1, `o` for 0, hyphens and ASCII white space are forgiven.
///
/// # Errors
/// [`EscrowError`] says what cannot be read, with the place of the first such character, counted from 1.
pub fn parse_escrow_text(text: &str) -> Result<KeyMaterial, EscrowError> {
    let mut digits = Zeroizing::new(String::with_capacity(text.len()));
    for (i, character) in text.chars().enumerate() {
        match character.to_ascii_uppercase() {
            'I' | 'L' => digits.push('1'),
            'O' => digits.push('0'),
            digit if ALPHABET.contains(digit) => digits.push(digit),
            '-' => {}
            blank if blank.is_ascii_whitespace() => {}
            _ => return Err(EscrowError::Character(i + 1)),
        }
    }
    if digits.len() != DIGITS {
        return Err(EscrowError::Length(digits.len()));
    }
    let bytes = CROCKFORD
        .decode(digits.as_bytes())
        .map(Zeroizing::new)
        .map_err(|_| EscrowError::Length(DIGITS))?;
    let (seed, sum) = bytes.split_at(KeyMaterial::LEN.min(bytes.len()));
    let seed = KeyMaterial::copy_from(seed).ok_or(EscrowError::Length(DIGITS))?;
    if checksum(&seed) == sum { Ok(seed) } else { Err(EscrowError::Checksum) }
}

const ALPHABET: &str = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

static CROCKFORD: LazyLock<Encoding> = LazyLock::new(|| {
    let mut specification = Specification::new();
    specification.symbols.push_str(ALPHABET);
    #[expect(
        clippy::expect_used,
        reason = "32 different ASCII characters, known when this was written"
    )]
    specification.encoding().expect("an alphabet of 32")
});

fn checksum(seed: &KeyMaterial) -> [u8; CHECKSUM] {
    let mut hash = Context::new(&SHA256);
    hash.update(b"strongroom/escrow");
    hash.update(seed.expose_secret());
    let mut out = [0; CHECKSUM];
    for (to, from) in out.iter_mut().zip(hash.finish().as_ref()) {
        *to = *from;
    }
    out
}
