//! Each rule for clear text, with files that it finds something in and files that it does not.

use crate::repo::{Repo, VALUE, secret};

/// Files in `tests/lint/files`: `fires` has a folder for each rule, whose files must each give exactly that rule, on the line that ends
/// with `# here` or on the one after `# next`.
#[test]
fn each_rule_finds_what_it_is_for() {
    let repo = Repo::new();
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lint/fires");
    let mut files = 0;
    for rule in std::fs::read_dir(folder).unwrap() {
        let rule = rule.unwrap().path();
        let id = rule.file_name().unwrap().to_str().unwrap().to_owned();
        for file in std::fs::read_dir(&rule).unwrap() {
            let file = file.unwrap().path();
            let name = file.file_name().unwrap().to_str().unwrap();
            let text = std::fs::read_to_string(&file).unwrap();
            let wanted: Vec<_> = text
                .lines()
                .enumerate()
                .filter(|(_, line)| line.contains("# here"))
                .map(|(at, _)| (id.clone(), format!("{name}:{}", at + 1)))
                .collect();
            repo.write(name, &text);
            let found = repo.lint(&[name]);
            if wanted.is_empty() {
                assert!(
                    !found.is_empty() && found.iter().all(|(rule, _)| *rule == id),
                    "{name}: {found:?}"
                );
            } else {
                assert_eq!(found, wanted, "{}", file.display());
            }
            std::fs::remove_file(repo.path(name)).unwrap();
            files += 1;
        }
    }
    assert!(files >= 30, "{files} files only");
}

#[test]
fn our_own_private_keys_are_found() {
    let repo = Repo::new();
    let said = |arguments: &[&str]| {
        let output = repo.run("strongroom", arguments);
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    let beware = "lies in a git repository";
    assert!(said(&["sealing-keys", "new", "--cluster", "a", "--dir", "keys"]).contains(beware));
    assert!(said(&["escrow", "new", "--to-file", "escrow.key"]).contains(beware));
    let outside = repo.beside("outside");
    let outside = ["sealing-keys", "new", "--cluster", "a", "--dir", outside.to_str().unwrap()];
    assert!(!said(&outside).contains(beware));
    repo.write("notes.yaml", repo.read("escrow.key").replace("# ", "#").to_lowercase());
    repo.write("safe.txt", repo.read("escrow.key"));
    let wanted: Vec<_> = [
        "escrow.key:3",
        "keys/identity.key:2",
        "keys/sealing.keys:3",
        "notes.yaml:3",
        "safe.txt:3",
    ]
    .map(|place| ("SR108".to_owned(), place.to_owned()))
    .into();
    assert_eq!(repo.lint(&[]), wanted);
    repo.git(&["add", "keys", "notes.yaml", "escrow.key", "safe.txt"]);
    assert_eq!(repo.lint(&["--staged"]), wanted);
    // One that was typed wrong opens nothing, and other keys are not ours to judge.
    let changed = repo.read("escrow.key").trim_end().to_owned();
    let last = if changed.ends_with('0') { "1" } else { "0" };
    assert_eq!(repo.rules("other.key", changed[..changed.len() - 1].to_owned() + last), [""; 0]);
}

#[test]
fn stdin_is_looked_at_where_it_is_named() {
    use std::{io::Write as _, process::Stdio};
    let repo = Repo::new();
    let mut child =
        repo.command("strongroom").args(["lint", "-"]).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(secret("db").as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.code() == Some(1) && said.starts_with("-:7:3: error SR101 "), "{said}");
}

/// A key for tests is in every other repository; one that is named is judged.
#[test]
fn other_keys_are_found_where_they_are_named() {
    let repo = Repo::new();
    let body = "MIIEpAIBAAKCAQEA7bq0kXc1yq3Yw8mZ0b2VtQ4yqf9w";
    repo.write("tls.key", format!("-----BEGIN {} KEY-----\n{body}\n", "PRIVATE"));
    assert_eq!(repo.lint(&[]), []);
    assert_eq!(repo.lint(&["tls.key"]), [("SR105".to_owned(), "tls.key:1".to_owned())]);
    repo.git(&["add", "."]);
    assert_eq!(repo.lint(&["--staged"]), []);
}

#[test]
fn no_message_repeats_a_value() {
    let repo = Repo::new();
    repo.write("a.yaml", secret("db"));
    repo.write("values.yaml", format!("db:\n  password: {VALUE}\n"));
    repo.write("config.yaml", format!("kind: ConfigMap\napiVersion: v1\ndata:\n  PASSWORD: {VALUE}\n  x: |\n    db.password={VALUE}\n"));
    repo.write(
        "kustomization.yaml",
        format!("secretGenerator:\n- name: a\n  literals:\n  - PASSWORD={VALUE}\n"),
    );
    repo.write(
        "t.yaml",
        format!("{{{{ if .x }}}}\nkind: Secret\nstringData:\n  password: {VALUE}\n{{{{ end }}}}\n"),
    );
    repo.write("broken.yaml", format!("kind: Secret\n  a: [{VALUE}\n"));
    repo.write(".env", format!("PASSWORD={VALUE}\n"));
    for form in ["text", "json", "sarif"] {
        let output = repo.run("strongroom", &["lint", "--output", form]);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert!(!said.contains(VALUE), "{said}");
        for file in [
            "a.yaml",
            "values.yaml",
            "config.yaml",
            "kustomization.yaml",
            "t.yaml",
            "broken.yaml",
            ".env",
        ] {
            assert!(said.contains(file), "{file} is not in {said}");
        }
    }
}

#[test]
fn files_that_a_generator_takes_are_found_only_where_they_would_be_committed() {
    let repo = Repo::new();
    let kustomization = "secretGenerator:\n- name: db\n  envs:\n  - db.env\n- name: tls\n  files:\n  - tls.key=certs/server.key\n";
    repo.write("kustomization.yaml", kustomization);
    assert_eq!(repo.lint(&[]), []);
    repo.write("db.env", "HOST=db\n");
    repo.write("certs/server.key", "something\n");
    let both = [
        ("SR103".to_owned(), "kustomization.yaml:4".to_owned()),
        ("SR103".to_owned(), "kustomization.yaml:7".to_owned()),
    ];
    assert_eq!(repo.lint(&[]), both);
    repo.git(&["add", "."]);
    assert_eq!(repo.lint(&["--staged"]), both);
    repo.git(&["rm", "-q", "--cached", "db.env", "certs/server.key"]);
    repo.write(".gitignore", "*.env\n*.key\n");
    assert_eq!(repo.lint(&["--staged"]), []);
    assert_eq!(repo.lint(&[]), []);
    repo.write("db.env", "HOST=ENC[AES256_GCM,data:x]\nsops_version=3.8.1\n");
    repo.git(&["add", "-f", "db.env"]);
    assert_eq!(repo.lint(&["--staged"]), []);
}

#[test]
fn what_git_ignores_is_not_looked_at_unless_git_has_it() {
    let repo = Repo::new();
    repo.write(".gitignore", "local/\n");
    repo.write("local/a.yaml", secret("a"));
    repo.write("local/b.yaml", secret("b"));
    assert_eq!(repo.lint(&[]), []);
    repo.git(&["add", "-f", "local/b.yaml"]);
    assert_eq!(repo.lint(&[]), [("SR101".to_owned(), "local/b.yaml:7".to_owned())]);
    // Named, it is.
    assert_eq!(repo.lint(&["local/a.yaml"]).len(), 1);
}

#[test]
fn what_cannot_be_read_is_said() {
    let repo = Repo::new();
    let output = repo.run("strongroom", &["lint", "nowhere"]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    for name in ["long.yaml", "corpus.txt"] {
        repo.write(name, vec![b'#'; (16 << 20) + 1]);
    }
    assert_eq!(repo.lint(&[]), [("SR107".to_owned(), "long.yaml:1".to_owned())]);
}
