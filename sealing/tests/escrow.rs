//! The key in the safe, printed and typed.

use envelope::KeyMaterial;
use sealing::{EscrowError, escrow_text, parse_escrow_text};

const KNOWN: &str = "000G-40R4-0M30-E209-185G-R38E-1W81-24GK-2GAH-C5RR-34D1-P70X-3RFN-HTGA";

fn seed() -> KeyMaterial {
    let bytes: Vec<u8> = (0..32).collect();
    KeyMaterial::copy_from(&bytes).unwrap()
}

#[test]
fn known_answer() {
    assert_eq!(*escrow_text(&seed()), KNOWN);
    assert_eq!(parse_escrow_text(KNOWN).unwrap().expose_secret(), seed().expose_secret());
}

#[test]
fn common_slips_are_forgiven() {
    for typed in [
        KNOWN.to_lowercase(),
        KNOWN.replace('-', ""),
        KNOWN.replace('-', " \t\r\n\x0c"),
        KNOWN.replace('0', "O").replace('1', "I"),
        KNOWN.replace('0', "o").replace('1', "l"),
        KNOWN.replace('1', "L").replace('1', "i"),
        format!("  --{KNOWN}--\n"),
    ] {
        assert_eq!(
            parse_escrow_text(&typed).unwrap().expose_secret(),
            seed().expose_secret(),
            "{typed:?}"
        );
    }
}

#[test]
fn others_are_found() {
    for (typed, error) in [
        (KNOWN.replacen('0', "U", 1), EscrowError::Character(1)),
        (KNOWN.replace("HTGA", "HTG€"), EscrowError::Character(KNOWN.len())),
        (KNOWN.replace('-', "_"), EscrowError::Character(5)),
        (KNOWN.replace("-HTGA", ""), EscrowError::Length(52)),
        (format!("{KNOWN}0"), EscrowError::Length(57)),
        (String::new(), EscrowError::Length(0)),
    ] {
        assert_eq!(parse_escrow_text(&typed).err(), Some(error), "{typed}");
    }
}

/// Each digit made each other one, and each two neighbours swapped: the checksum of 24 bits finds all of these here.
#[test]
fn every_wrong_digit_and_every_swap_is_found() {
    let digits: Vec<char> = KNOWN.chars().filter(|digit| *digit != '-').collect();
    let typed = |digits: &[char]| parse_escrow_text(&digits.iter().collect::<String>()).err();
    for at in 0..digits.len() {
        for other in "0123456789ABCDEFGHJKMNPQRSTVWXYZ".chars().filter(|other| *other != digits[at])
        {
            let mut changed = digits.clone();
            changed[at] = other;
            assert_eq!(typed(&changed), Some(EscrowError::Checksum), "{other} at {at}");
        }
        if digits.get(at + 1).is_some_and(|next| *next != digits[at]) {
            let mut changed = digits.clone();
            changed.swap(at, at + 1);
            assert_eq!(typed(&changed), Some(EscrowError::Checksum), "swapped at {at}");
        }
    }
}
