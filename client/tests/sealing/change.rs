//! `set`, `unset`, `rename`, `compact`: by whom, from where, and what they refuse.

use std::{fs, os::unix::fs::PermissionsExt as _};

use crate::repo::{Repo, found_below, secret};

fn sealed() -> Repo {
    let repo = Repo::new();
    repo.write("db.yaml", secret("db", &[("user", "anna"), ("password", "correct horse")]));
    repo.ok(&["seal", "-i", "db.yaml"]);
    repo
}

#[test]
fn values_come_from_stdin_a_file_or_nowhere() {
    let repo = sealed();
    let keys = repo.keys("prod");
    repo.ok_with(&["set", "db.yaml", "typed"], b"a line\r\n");
    assert_eq!(repo.value("db.yaml", &keys, "typed").unwrap(), b"a line");
    repo.ok_with(&["set", "db.yaml", "piped", "--from-file", "-"], b"every byte\n");
    assert_eq!(repo.value("db.yaml", &keys, "piped").unwrap(), b"every byte\n");
    repo.write("blob", [0, 0xff, b'\n']);
    repo.ok(&["set", "db.yaml", "tls.key", "--from-file", "blob"]);
    assert_eq!(repo.value("db.yaml", &keys, "tls.key").unwrap(), [0, 0xff, b'\n']);

    // Nothing is what comes from a program that failed, and from a stdin that is closed; a file may be empty.
    let before = repo.read("db.yaml");
    let said = repo.refused(1, &["set", "db.yaml", "typed"]);
    assert!(said.contains("no value came from stdin") && said.contains("--from-file"), "{said}");
    assert_eq!(repo.run_with(&["set", "db.yaml", "typed"], b"\n").status.code(), Some(1));
    assert_eq!(repo.read("db.yaml"), before);
    repo.ok(&["set", "db.yaml", "empty", "--from-file", "/dev/null"]);
    assert_eq!(repo.value("db.yaml", &keys, "empty").unwrap(), b"");
    // One that says it is longer than memory is told to be, before it is read.
    let sparse = fs::File::create(repo.path("sparse")).unwrap();
    sparse.set_len(1 << 42).unwrap();
    let said = repo.refused(1, &["set", "db.yaml", "long", "--from-file", "sparse"]);
    assert!(said.contains("sparse is too long"), "{said}");

    repo.ok(&["set", "db.yaml", "made", "--generate"]);
    repo.ok(&["set", "db.yaml", "again", "--generate", "64"]);
    let (made, again) = (
        repo.value("db.yaml", &keys, "made").unwrap(),
        repo.value("db.yaml", &keys, "again").unwrap(),
    );
    assert_eq!((made.len(), again.len()), (32, 64));
    assert!(made.iter().chain(&again).all(u8::is_ascii_alphanumeric));
    assert!(!again.starts_with(&made));
}

#[test]
fn values_are_never_arguments() {
    let repo = sealed();
    let said = repo.refused(2, &["set", "db.yaml", "password=hunter2"]);
    assert!(said.contains("this is no data key") && !said.contains("hunter2"), "{said}");
    let said = repo.refused(2, &["set", "db.yaml", "password", "hunter2", "and more"]);
    assert!(said.contains("a value stands on the command line"), "{said}");
    assert!(!said.contains("hunter2") && !said.contains("more"), "{said}");
    let said = repo.refused(2, &["set", "db.yaml", "--generate", "password"]);
    assert!(said.contains("FILE KEY --generate"), "{said}");
}

/// A slip of the pen makes a new value: what is said tells one from the other.
#[test]
fn what_was_done_is_said_and_a_dry_run_writes_nothing() {
    let repo = sealed();
    let keys = repo.keys("prod");
    let said = |arguments: &[&str]| {
        let output = repo.run(arguments);
        assert!(output.status.success() && output.stdout.is_empty(), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    let before = repo.read("db.yaml");
    for (arguments, done) in [
        (&["set", "db.yaml", "user", "--generate"][..], "sealed user"),
        (&["set", "db.yaml", "usr", "--generate"], "added usr to "),
        (&["unset", "db.yaml", "user"], "took out user"),
        (&["rename", "db.yaml", "user", "login", "--key", &keys], "user is login now"),
        (&["compact", "db.yaml", "--key", &keys], "slots before: 1, now: 1"),
    ] {
        let told = said(&[arguments, &["--dry-run"]].concat());
        assert!(told.contains(done) && told.contains("nothing was written"), "{told}");
    }
    let fresh = repo.run(&["reseal", "db.yaml", "--fresh", "--key", &keys, "--dry-run"]);
    assert!(fresh.status.success(), "{fresh:?}");
    assert_eq!(repo.read("db.yaml"), before);
    let told = said(&["set", "db.yaml", "usr", "--generate"]);
    assert!(told.contains("prod/db: added usr to ") && !told.contains("dry run"), "{told}");
    assert_eq!(said(&["set", "db.yaml", "usr", "--generate"]), "prod/db: sealed usr\n");
}

#[test]
fn stdin_is_the_file_or_the_value() {
    let repo = sealed();
    let output = repo.run_with(&["set", "-", "user"], repo.read("db.yaml").as_bytes());
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(2) && said.contains("both to come from stdin"), "{said}");
    // What is written back must have come from a file.
    let keys = repo.keys("prod");
    for arguments in [
        &["reseal", "-", "--fresh", "--key", &keys][..],
        &["migrate", "-", "--bitnami-keys", &keys],
    ] {
        let output = repo.run_with(arguments, repo.read("db.yaml").as_bytes());
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(2) && said.contains("stdin cannot be"), "{said}");
    }
    let shown = repo.ok(&["diff", "db.yaml"]);
    assert_eq!(repo.ok_with(&["diff", "-"], repo.read("db.yaml").as_bytes()), shown);
    let output =
        repo.run_with(&["set", "-", "user", "--generate"], repo.read("db.yaml").as_bytes());
    assert!(output.status.success() && !output.stdout.is_empty(), "{output:?}");
}

#[test]
fn slots_without_values_go() {
    let repo = sealed();
    let slots = || repo.read("db.yaml").matches("  - id: s").count();
    assert_eq!(slots(), 1);
    repo.ok(&["set", "db.yaml", "password", "--generate"]);
    repo.ok(&["set", "db.yaml", "token", "--generate"]);
    assert_eq!(slots(), 3);
    repo.ok(&["unset", "db.yaml", "token"]);
    assert_eq!(slots(), 2);
    repo.ok(&["unset", "db.yaml", "user", "password"]);
    assert_eq!(slots(), 0);
    assert!(
        repo.read("db.yaml").ends_with("  slots: []\n  values: {}\n"),
        "{}",
        repo.read("db.yaml")
    );
    repo.ok(&["set", "db.yaml", "first", "--generate"]);
    assert_eq!(slots(), 1);
    assert_eq!(repo.value("db.yaml", &repo.keys("prod"), "first").unwrap().len(), 32);
    let said = repo.refused(1, &["unset", "db.yaml", "user"]);
    assert!(said.contains("prod/db has no value user") && said.contains("it has first"), "{said}");
}

#[test]
fn renaming_needs_a_key_that_opens_and_keeps_the_value() {
    let repo = sealed();
    let keys = repo.keys("prod");
    repo.ok(&["rename", "db.yaml", "password", "POSTGRES_PASSWORD", "--key", &keys]);
    assert_eq!(repo.value("db.yaml", &keys, "POSTGRES_PASSWORD").unwrap(), b"correct horse");
    assert_eq!(repo.value("db.yaml", &keys, "password"), None);
    let before = repo.read("db.yaml");
    let said = repo.refused(1, &["rename", "db.yaml", "user", "POSTGRES_PASSWORD", "--key", &keys]);
    assert!(said.contains("has a value POSTGRES_PASSWORD already"), "{said}");
    let other = Repo::new();
    let said =
        repo.refused(1, &["rename", "db.yaml", "user", "login", "--key", &other.keys("prod")]);
    assert!(said.contains("none of these keys is here"), "{said}");
    assert_eq!(repo.read("db.yaml"), before);
}

#[test]
fn many_slots_are_told_of_and_compacted() {
    let repo = sealed();
    for i in 0..7 {
        let output = repo.run_with(&["set", "db.yaml", &format!("k{i}")], b"value");
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success() && !said.contains("slots"), "{said}");
    }
    let output = repo.run_with(&["set", "db.yaml", "k8"], b"value");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.contains("has 9 slots now") && said.contains("strongroom compact db.yaml --key FILE"),
        "{said}"
    );
    repo.ok(&["compact", "db.yaml", "--key", &repo.keys("prod")]);
    assert_eq!(repo.read("db.yaml").matches("  - id: s").count(), 1);
    assert_eq!(repo.value("db.yaml", &repo.keys("prod"), "user").unwrap(), b"anna");
    assert_eq!(repo.value("db.yaml", &repo.keys("prod"), "k8").unwrap(), b"value");
}

/// The 65th slot is one too many, and what is there stays.
#[test]
fn more_than_64_slots_are_refused() {
    let repo = sealed();
    for i in 0..63 {
        repo.ok_with(&["set", "db.yaml", &format!("k{i}")], b"v");
    }
    let before = repo.read("db.yaml");
    let output = repo.run_with(&["set", "db.yaml", "one-more"], b"v");
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("has 64 slots already") && said.contains("compact"), "{said}");
    assert_eq!(repo.read("db.yaml"), before);
}

#[test]
fn two_at_once_both_stay_or_one_is_told() {
    let repo = sealed();
    let keys = repo.keys("prod");
    for round in 0..8 {
        let names = [format!("left{round}"), format!("right{round}")];
        let running: Vec<_> =
            names.iter().map(|name| repo.start(&["set", "db.yaml", name, "--generate"])).collect();
        let outputs: Vec<_> =
            running.into_iter().map(|child| child.wait_with_output().unwrap()).collect();
        for (name, output) in names.iter().zip(&outputs) {
            let there = repo.value("db.yaml", &keys, name).is_some();
            let told = String::from_utf8(output.stderr.clone()).unwrap();
            assert_eq!(there, output.status.success(), "{told}");
            assert!(
                there
                    || told.contains("was changed meanwhile")
                        && told.contains("run the command again"),
                "{told}"
            );
        }
        assert!(outputs.iter().any(|output| output.status.success()));
    }
}

#[test]
fn of_several_objects_one_is_named() {
    let repo = Repo::new();
    repo.write(
        "all.yaml",
        format!("{}---\n{}", secret("one", &[("k", "1")]), secret("two", &[("k", "2")])),
    );
    repo.ok(&["seal", "-i", "all.yaml"]);
    let before = repo.read("all.yaml");
    let said = repo.refused(2, &["unset", "all.yaml", "k"]);
    assert!(said.contains("it has prod/one, prod/two") && said.contains("--object NAME"), "{said}");
    let said = repo.refused(2, &["unset", "all.yaml", "k", "--object", "three"]);
    assert!(said.contains("no sealed Secret of this name"), "{said}");
    repo.ok_with(&["set", "all.yaml", "k", "--object", "prod/two"], b"new");
    let (first, _) = before.split_once("---\n").unwrap();
    assert!(repo.read("all.yaml").starts_with(first), "the other document is as it was");
}

#[test]
fn files_keep_their_mode_and_links_stay_links() {
    let repo = sealed();
    fs::set_permissions(repo.path("db.yaml"), fs::Permissions::from_mode(0o640)).unwrap();
    std::os::unix::fs::symlink("db.yaml", repo.path("link.yaml")).unwrap();
    repo.ok(&["set", "link.yaml", "k", "--generate"]);
    assert!(repo.path("link.yaml").symlink_metadata().unwrap().is_symlink());
    assert_eq!(fs::metadata(repo.path("db.yaml")).unwrap().permissions().mode() & 0o777, 0o640);
    assert!(repo.value("db.yaml", &repo.keys("prod"), "k").is_some());
    // Whoever shares a file goes on sharing it, whatever the umask is.
    let mut command = std::process::Command::new("/bin/sh");
    command.args(["-c", "umask 077; exec \"$0\" \"$@\""]).arg(repo.command(&[]).get_program());
    command.args(["set", "db.yaml", "l", "--generate"]).current_dir(repo.path(""));
    assert!(command.status().unwrap().success());
    assert_eq!(fs::metadata(repo.path("db.yaml")).unwrap().permissions().mode() & 0o777, 0o640);
}

/// As where a container that runs as root changes a work tree that is mounted there.
#[test]
fn files_keep_their_owner() {
    use std::os::unix::fs::{MetadataExt as _, chown};
    let repo = sealed();
    let [file, keys] = [repo.path("db.yaml"), repo.beside("prod/sealing.keys")];
    if [&file, &keys].into_iter().any(|path| chown(path, Some(65534), Some(65534)).is_err()) {
        return; // Only root gives files away, and takes those of others.
    }
    repo.ok(&["set", "db.yaml", "k", "--generate"]);
    repo.ok(&["sealing-keys", "rotate", "--dir", repo.beside("prod").to_str().unwrap()]);
    for (path, mode) in [(file, 0o644), (keys, 0o600)] {
        let metadata = fs::metadata(path).unwrap();
        assert_eq!((metadata.uid(), metadata.gid()), (65534, 65534));
        assert_eq!(metadata.mode() & 0o777, mode);
    }
}

#[test]
fn nothing_of_a_value_is_left_anywhere() {
    let repo = Repo::new();
    let value = b"a-value-that-stands-nowhere-else";
    repo.ok_with(
        &["seal", "-", "-o", "db.yaml"],
        secret("db", &[("k", std::str::from_utf8(value).unwrap())]).as_bytes(),
    );
    repo.ok_with(&["set", "db.yaml", "l"], value);
    repo.ok(&["rename", "db.yaml", "l", "m", "--key", &repo.keys("prod")]);
    let base64 = data_encoding::BASE64.encode(value);
    for needle in [&value[..], base64.as_bytes()] {
        assert_eq!(found_below(&repo.beside(""), needle), Vec::<std::path::PathBuf>::new());
    }
}

/// What one cluster opens and what another one opens would be no Secret for either.
#[test]
fn what_is_sealed_for_nobody_that_is_pinned_is_not_changed() {
    let repo = sealed();
    repo.ok(&["escrow", "new"]);
    let keys = repo.keys("prod");
    let pins = |cluster: &str| repo.path(&format!(".strongroom/clusters/{cluster}.yaml"));
    fs::remove_file(pins("prod")).unwrap();
    let before = repo.read("db.yaml");
    let commands: [&[&str]; 5] = [
        &["set", "db.yaml", "password", "--generate"],
        &["rename", "db.yaml", "user", "login", "--key", &keys],
        &["compact", "db.yaml", "--key", &keys],
        &["reseal", "db.yaml", "--key", &keys],
        &["reseal", "db.yaml", "--fresh", "--key", &keys],
    ];
    let refused = || {
        for command in commands {
            let said = repo.refused(1, command);
            let expected = "prod/db is sealed for nobody that is pinned here";
            assert!(said.contains(expected) && said.contains("--all-clusters"), "{said}");
            assert_eq!(repo.read("db.yaml"), before);
        }
    };
    // The escrow key is pinned, and no cluster; then another cluster.
    refused();
    repo.new_cluster("dev");
    refused();
    repo.ok(&["reseal", "db.yaml", "--cluster", "dev", "--key", &keys]);
    assert_eq!(repo.value("db.yaml", &repo.keys("dev"), "user").unwrap(), b"anna");
}

#[test]
fn a_recipient_that_is_left_out_is_told() {
    let repo = Repo::new();
    repo.new_cluster("dev");
    let plain = secret("db", &[("user", "anna"), ("password", "correct horse")]);
    repo.ok_with(&["seal", "-", "--all-clusters", "-o", "db.yaml"], plain.as_bytes());
    let before = repo.read("db.yaml");
    let list = repo.read(".strongroom/clusters/dev.yaml");
    let dev = list.split("kid: ").nth(1).unwrap().split(',').next().unwrap();
    let dev = dev.trim_matches('"');
    fs::remove_file(repo.path(".strongroom/clusters/dev.yaml")).unwrap();
    let keys = repo.keys("prod");
    let commands: [&[&str]; 3] = [
        &["set", "db.yaml", "password", "--generate"],
        &["rename", "db.yaml", "user", "login", "--key", &keys],
        &["compact", "db.yaml", "--key", &keys],
    ];
    for command in commands {
        repo.write("db.yaml", &before);
        let output = repo.run(command);
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{said}");
        assert!(said.contains(&format!("{dev} does not open prod/db any more")), "{said}");
    }
    // It was left out before, and nothing of that changes.
    let output = repo.run(&["unset", "db.yaml", "user"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.success(), &*said), (true, "prod/db: took out user\n"));
}

#[test]
fn a_cluster_is_not_shut_out_by_one_value() {
    let repo = Repo::new();
    repo.new_cluster("dev");
    repo.write("db.yaml", secret("db", &[("user", "shop"), ("password", "hunter2")]));
    repo.ok(&["seal", "-i", "db.yaml", "--all-clusters"]);
    let before = repo.read("db.yaml");
    let said = repo.refused(1, &["set", "db.yaml", "password", "--generate", "--cluster", "dev"]);
    assert!(said.contains("cluster prod would open nothing of prod/db any more"), "{said}");
    assert_eq!(repo.read("db.yaml"), before);
    repo.ok(&["set", "db.yaml", "password", "--generate", "--cluster", "dev", "--cluster", "prod"]);
    for cluster in ["dev", "prod"] {
        assert!(repo.value("db.yaml", &repo.keys(cluster), "password").is_some(), "{cluster}");
    }
}

#[test]
fn a_value_that_the_template_names_stays() {
    let repo = sealed();
    let keys = repo.keys("prod");
    let template = "  template:\n    type: Opaque\n    data: {app.conf: \"pw={{ password }}\"}\n";
    let text = repo.read("db.yaml");
    let text = text.replacen("  template:\n    type: Opaque\n", "", 1);
    repo.write("db.yaml", text.replacen("  slots:\n", &format!("{template}  slots:\n"), 1));
    assert_eq!(repo.value("db.yaml", &keys, "app.conf").unwrap(), b"pw=correct horse");
    let before = repo.read("db.yaml");
    repo.write("less.yaml", secret("db", &[("user", "anna")]));
    let commands: [&[&str]; 3] = [
        &["unset", "db.yaml", "password"],
        &["rename", "db.yaml", "password", "pw", "--key", &keys],
        &["seal", "less.yaml", "-o", "db.yaml"],
    ];
    for command in commands {
        let said = repo.refused(1, command);
        let expected = "template of app.conf, line 1: it names a key that is not among the values";
        assert!(said.contains(expected) && said.contains("prod/db would not open"), "{said}");
        assert_eq!(repo.read("db.yaml"), before);
    }
    // What is broken already may be mended.
    repo.write("db.yaml", before.replace("{{ password }}", "{{ passwort }}"));
    repo.ok(&["set", "db.yaml", "other", "--generate"]);
    repo.ok(&["set", "db.yaml", "passwort", "--generate"]);
    assert!(repo.value("db.yaml", &keys, "app.conf").is_some());
}
