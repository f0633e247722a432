//! No diff where nothing changed, and a small one where little did.

use std::{fs, os::unix::fs::PermissionsExt as _};

use crate::repo::{Repo, changed_lines, secret};

const FIVE: [(&str, &str); 5] = [
    ("a", "first value"),
    ("b", "second value"),
    ("c", "third value"),
    ("d", "fourth value"),
    ("e", "fifth value"),
];

#[test]
fn sealing_twice_changes_nothing() {
    let repo = Repo::new();
    repo.write("plain.yaml", secret("db", &FIVE));
    repo.ok(&["seal", "plain.yaml", "-o", "db.yaml"]);
    let before = repo.read("db.yaml");
    repo.ok(&["seal", "plain.yaml", "-o", "db.yaml"]);
    assert_eq!(repo.read("db.yaml"), before);
}

#[test]
fn one_of_five_values_changes_its_line_and_adds_its_slot() {
    let repo = Repo::new();
    repo.write("plain.yaml", secret("db", &FIVE));
    repo.ok(&["seal", "plain.yaml", "-o", "db.yaml"]);
    let before = repo.read("db.yaml");
    let mut values = FIVE;
    values[2].1 = "another third value";
    repo.write("plain.yaml", secret("db", &values));
    repo.ok(&["seal", "plain.yaml", "-o", "db.yaml"]);
    one_value_changed(&before, &repo.read("db.yaml"), "    c: s");

    // `set` needs no file in clear text, and does the same.
    let before = repo.read("db.yaml");
    repo.ok_with(&["set", "db.yaml", "e"], b"another fifth value\n");
    one_value_changed(&before, &repo.read("db.yaml"), "    e: s");
    assert_eq!(repo.value("db.yaml", &repo.keys("prod"), "e").unwrap(), b"another fifth value");
    assert_eq!(repo.value("db.yaml", &repo.keys("prod"), "a").unwrap(), b"first value");
}

fn one_value_changed(before: &str, after: &str, value: &str) {
    let (removed, added) = changed_lines(before, after);
    let [old] = removed.as_slice() else { panic!("{removed:?}") };
    assert!(old.starts_with(value), "{old}");
    let [id, commit, wraps, wrap, new] = added.as_slice() else { panic!("{added:?}") };
    assert!(
        id.starts_with("  - id: s") && commit.starts_with("    commit: ") && wraps == "    wraps:"
    );
    assert!(wrap.starts_with("    - {kid: k") && new.starts_with(value), "{added:?}");
}

#[test]
fn without_its_cache_everything_is_sealed_anew_and_opens() {
    let repo = Repo::new();
    repo.write("plain.yaml", secret("db", &FIVE));
    repo.ok(&["seal", "plain.yaml", "-o", "db.yaml"]);
    let cache = repo.beside("home/.cache/strongroom/quiet");
    assert_eq!(fs::metadata(&cache).unwrap().permissions().mode() & 0o777, 0o600);
    for damage in [
        None,
        Some(&b""[..]),
        Some(b"strongroom quiet 1\ncut short"),
        Some(b"something else altogether, and longer than its head is"),
    ] {
        match damage {
            None => fs::remove_file(&cache).unwrap(),
            Some(bytes) => fs::write(&cache, bytes).unwrap(),
        }
        let before = repo.read("db.yaml");
        repo.ok(&["seal", "plain.yaml", "-o", "db.yaml"]);
        assert_ne!(repo.read("db.yaml"), before);
        assert_eq!(repo.value("db.yaml", &repo.keys("prod"), "b").unwrap(), b"second value");
        let before = repo.read("db.yaml");
        repo.ok(&["seal", "plain.yaml", "-o", "db.yaml"]);
        assert_eq!(repo.read("db.yaml"), before);
    }
    // Readable by others, it is not believed, and not left lying.
    fs::set_permissions(&cache, fs::Permissions::from_mode(0o644)).unwrap();
    repo.ok(&["seal", "plain.yaml", "-o", "db.yaml"]);
    assert_eq!(fs::metadata(&cache).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn many_at_once_share_the_cache() {
    let repo = Repo::new();
    let names: Vec<_> =
        (0..12).map(|i| (format!("plain{i}.yaml"), format!("sealed{i}.yaml"))).collect();
    let seal_all = || {
        let running: Vec<_> =
            names.iter().map(|(from, to)| repo.start(&["seal", from, "-o", to])).collect();
        for child in running {
            let output = child.wait_with_output().unwrap();
            assert!(output.status.success(), "{output:?}");
        }
    };
    for (i, (plain, _)) in names.iter().enumerate() {
        repo.write(plain, secret(&format!("db{i}"), &FIVE));
    }
    seal_all();
    let before: Vec<_> = names.iter().map(|(_, sealed)| repo.read(sealed)).collect();
    seal_all();
    let after: Vec<_> = names.iter().map(|(_, sealed)| repo.read(sealed)).collect();
    assert_eq!(before, after);
}

#[test]
fn rotation_changes_lines_of_wraps_only() {
    let repo = Repo::new();
    repo.write("plain.yaml", secret("db", &FIVE));
    repo.ok(&["seal", "plain.yaml", "-o", "db.yaml"]);
    repo.ok_with(&["set", "db.yaml", "c"], b"new");
    let before = repo.read("db.yaml");

    let keys = repo.beside("prod");
    repo.ok(&["sealing-keys", "rotate", "--dir", keys.to_str().unwrap()]);
    repo.fetch("prod");
    let said = repo.refused(1, &["reseal", "--all", "--check"]);
    assert!(said.contains("1 are not for whom they are to be"), "{said}");
    assert_eq!(repo.read("db.yaml"), before);

    repo.ok(&["reseal", "--all", "--key", &repo.keys("prod")]);
    let (removed, added) = changed_lines(&before, &repo.read("db.yaml"));
    assert_eq!((removed.len(), added.len()), (2, 2), "one for each slot");
    assert!(
        removed.iter().chain(&added).all(|line| line.starts_with("    - {kid: k")),
        "{removed:?} {added:?}"
    );
    repo.ok(&["reseal", "--all", "--check"]);
    assert_eq!(repo.value("db.yaml", &repo.keys("prod"), "a").unwrap(), b"first value");

    // The key of before opens it no more; that of now alone does.
    let all = fs::read_to_string(repo.keys("prod")).unwrap();
    let seeds: Vec<_> = all.lines().filter(|line| !line.starts_with('#')).collect();
    for (seed, opens) in seeds.iter().zip([false, true]) {
        let one = repo.beside("one");
        fs::write(&one, seed).unwrap();
        fs::set_permissions(&one, fs::Permissions::from_mode(0o600)).unwrap();
        let output = repo.run(&["unseal", "db.yaml", "--key", one.to_str().unwrap()]);
        assert_eq!(output.status.success(), opens, "{output:?}");
    }
}

/// A file that cannot be read is told beside those that are for the wrong keys, not instead of them.
#[test]
fn check_tells_of_what_it_could_not_look_at() {
    let repo = Repo::new();
    repo.write("plain.yaml", secret("db", &FIVE));
    repo.ok(&["seal", "plain.yaml", "-o", "db.yaml"]);
    repo.ok(&["sealing-keys", "rotate", "--dir", repo.beside("prod").to_str().unwrap()]);
    repo.fetch("prod");
    repo.write("broken.yaml", repo.read("db.yaml").replace("suite: 1", "suite: 2"));
    let output = repo.run(&["reseal", "--all", "--check"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(said.contains("1 are not for whom they are to be"), "{said}");
    assert!(said.contains("broken.yaml:7:10: spec.suite"), "{said}");
    assert!(String::from_utf8(output.stdout).unwrap().contains("prod/db"));
}

/// Five values of 32 bytes for one recipient take at most 2,700 bytes.
#[test]
fn five_values_of_32_bytes_are_small() {
    let repo = Repo::new();
    let value = "0123456789abcdef0123456789abcdef";
    repo.write("plain.yaml", secret("db", &["a", "b", "c", "d", "e"].map(|key| (key, value))));
    repo.ok(&["seal", "plain.yaml", "-o", "db.yaml"]);
    let len = repo.read("db.yaml").len();
    assert!(len <= 2_700, "{len} bytes");
}

/// A value that was made here may be nowhere else.
#[test]
fn what_the_source_has_not_is_told_as_it_goes() {
    let repo = Repo::new();
    let both = format!("{}---\n{}", secret("db", &FIVE), secret("web", &FIVE));
    repo.ok_with(&["seal", "-", "-o", "db.yaml"], both.as_bytes());
    repo.ok(&["set", "db.yaml", "password", "--generate", "--object", "db"]);
    let again = |text: &str| {
        let output = repo.run_with(&["seal", "-", "-o", "db.yaml"], text.as_bytes());
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    assert_eq!(again(&both), "db.yaml has no password of prod/db any more: - has none\n");
    assert_eq!(again(&both), "");
    let said = again(&secret("db", &FIVE));
    assert_eq!(said, "db.yaml has no prod/web any more: - has none\n");
    let other = "---\nkind: ConfigMap\nmetadata: {name: web, namespace: prod}\n";
    repo.write("db.yaml", repo.read("db.yaml") + other);
    let said = again(&secret("db", &FIVE));
    assert_eq!(said, "db.yaml has no ConfigMap prod/web any more: - has none\n");
}

#[test]
fn the_cache_is_for_its_owner_only_whatever_the_umask_is() {
    let repo = Repo::new();
    repo.write("db.yaml", secret("db", &FIVE));
    let mut command = std::process::Command::new("/bin/sh");
    command.args(["-c", "umask 000; exec \"$0\" \"$@\""]).arg(repo.command(&[]).get_program());
    command.args(["seal", "-i", "db.yaml"]).current_dir(repo.path(""));
    assert!(command.env_clear().env("HOME", repo.beside("home")).status().unwrap().success());
    let mode = |path| fs::metadata(repo.beside(path)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode("home/.cache/strongroom"), 0o700);
    assert_eq!(mode("home/.cache/strongroom/quiet"), 0o600);
}
