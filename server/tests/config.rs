//! What is wrong with a configuration is said with its line and key.

use strongroomd::config::Config;

const GOOD: &str = r#"[kms]
socket = "/run/strongroom/kms.sock"

[bundle]
dir = "/var/lib/strongroom"

[[roots]]
kind = "local"
file = "/etc/strongroom/root.key"
"#;

#[test]
fn smallest_configuration_has_safe_defaults() {
    let config = Config::parse(GOOD).unwrap();
    assert!(config.kms.annotation);
    assert!(config.kms.allow_uids.is_none() && config.kms.allow_gids.is_empty());
    assert!(config.admin.is_none());
}

#[test]
fn what_is_wrong_is_named_with_its_line() {
    let long = format!("socket = \"/{}\"", "x".repeat(103));
    let cases = [
        ("[kms]", "[kms]\nsokket = 1", 2, "unknown field `sokket`"),
        ("[bundle]", "[bundel]", 4, "unknown field `bundel`"),
        (
            "[kms]",
            "[kms]\nallow_uids = [\"root\"]",
            2,
            "invalid type: string \"root\", expected u32",
        ),
        ("[kms]", "[kms]\nallow_uids = []", 2, "an empty list admits nobody"),
        ("[kms]", "[kms]\nallow_uids = [-1]", 2, "invalid value: integer `-1`, expected u32"),
        (
            "socket = \"/run/strongroom/kms.sock\"",
            "socket = \"kms.sock\"",
            2,
            "the path must be absolute",
        ),
        ("socket = \"/run/strongroom/kms.sock\"", "", 1, "missing field `socket`"),
        (
            "socket = \"/run/strongroom/kms.sock\"",
            &long,
            2,
            "can have 103 bytes, and this one has 104",
        ),
        ("\"local\"", "\"lokal\"", 8, "unknown variant `lokal`"),
        ("file = \"/etc", "fil = \"/etc", 9, "unknown field `fil`"),
        (
            "file = \"/etc/strongroom/root.key\"",
            "file = \"root.key\"",
            9,
            "the path must be absolute",
        ),
        (
            "[[roots]]",
            "[admin]\nlisten = \"localhost\"\n[[roots]]",
            8,
            "invalid socket address syntax",
        ),
        ("[kms]", "[kms", 1, "unclosed table"),
    ];
    for (from, to, line, words) in cases {
        let error = Config::parse(&GOOD.replace(from, to)).unwrap_err().to_string();
        assert!(error.contains(words), "{to}: {error}");
        assert!(error.contains(&format!("line {line},")), "{to}: {error}");
    }
}

#[test]
fn root_key_that_stands_twice_is_refused() {
    let root = GOOD.split_once("[[roots]]").unwrap().1;
    let error = Config::parse(&format!("{GOOD}\n[[roots]]{root}")).unwrap_err().to_string();
    assert!(error.contains("a root key stands here twice"), "{error}");
    let error = Config::parse(&GOOD.replace("[[roots]]", "[[other]]")).unwrap_err().to_string();
    assert!(error.contains("unknown field `other`"), "{error}");
}
