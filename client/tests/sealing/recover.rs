//! On the day that everything else is lost.

use std::{fs, path::PathBuf};

use crate::repo::{Repo, secret};

/// Two clusters, an escrow key, files in folders; then only the files and the printed text are left.
fn lost() -> (Repo, String) {
    let repo = Repo::new();
    repo.new_cluster("dev");
    let printed = repo.ok(&["escrow", "new"]);
    let text = printed.lines().last().unwrap().to_owned();
    for (folder, cluster, name) in
        [("a", "prod", "db"), ("a/b", "dev", "web"), ("c", "prod", "queue")]
    {
        let file = format!("{folder}/{name}.yaml");
        repo.write(&file, secret(name, &[("password", &format!("of {name}"))]));
        repo.ok(&["seal", "-i", &file, "--cluster", cluster]);
    }
    repo.write("a/other.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n");
    fs::remove_dir_all(repo.path(".strongroom")).unwrap();
    fs::remove_dir_all(repo.beside("prod")).unwrap();
    fs::remove_dir_all(repo.beside("dev")).unwrap();
    fs::remove_dir_all(repo.beside("home")).unwrap();
    fs::create_dir(repo.beside("home")).unwrap();
    (repo, text)
}

#[test]
fn everything_opens_with_the_printed_text_and_its_slips() {
    let (repo, text) = lost();
    let slips = [
        text.clone(),
        text.to_lowercase(),
        text.replace('-', " "),
        text.replace('-', ""),
        text.replace('0', "O").replace('1', "l"),
        text.replace('0', "o").replace('1', "I"),
    ];
    for typed in slips {
        let opened = repo.ok_with(
            &["recover", ".", "--key", "-"],
            format!("# from the safe\n  {typed}  \n").as_bytes(),
        );
        for name in ["db", "web", "queue"] {
            let value = data_encoding::BASE64.encode(format!("of {name}").as_bytes());
            assert!(
                opened.contains(&format!("name: {name}\n"))
                    && opened.contains(&format!("password: {value}\n")),
                "{opened}"
            );
        }
    }
}

#[test]
fn wrong_text_is_told_by_its_checksum() {
    let (repo, text) = lost();
    let first = text.chars().next().unwrap();
    let wrong = text.replacen(first, if first == '2' { "3" } else { "2" }, 1);
    let output = repo.run_with(&["recover", ".", "--key", "-"], wrong.as_bytes());
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && said.contains("the checksum differs"), "{said}");
    let output =
        repo.run_with(&["recover", ".", "--key", "-"], text.replacen(first, "U", 1).as_bytes());
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("character 1 is none of"), "{said}");
    assert!(!said.contains(&text[5..]), "the rest of the key is not repeated");
}

#[test]
fn one_file_that_does_not_open_keeps_no_other_shut() {
    let (repo, text) = lost();
    repo.write("a/db.yaml", repo.read("a/db.yaml").replace("name: db\n", "name: other\n"));
    let output = repo.run_with(&["recover", ".", "--key", "-", "--check"], text.as_bytes());
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "prod/web opens\nprod/queue opens\n");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("a/db.yaml:1:1: prod/other does not open"), "{said}");
    assert!(said.contains("it was sealed for name \"db\", and has \"other\""), "{said}");
    assert!(said.contains("2 Secrets opened, 1 did not"), "{said}");
}

#[test]
fn folder_gets_the_same_files_for_its_owner_only() {
    use std::os::unix::fs::PermissionsExt as _;
    let (repo, text) = lost();
    let to = repo.beside("recovered");
    let printed = repo
        .ok_with(&["recover", ".", "--key", "-", "--to", to.to_str().unwrap()], text.as_bytes());
    let there = ["a/b/web.yaml", "a/db.yaml", "c/queue.yaml"].map(|file| to.join(file));
    assert_eq!(printed.lines().map(PathBuf::from).collect::<Vec<_>>(), there);
    let db = fs::read_to_string(&there[1]).unwrap();
    assert!(db.contains("kind: Secret\n") && db.contains("name: db\n"), "{db}");
    assert_eq!(fs::metadata(&to).unwrap().permissions().mode() & 0o777, 0o700);
    for file in there {
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(
            fs::metadata(file.parent().unwrap()).unwrap().permissions().mode() & 0o777,
            0o700
        );
    }
    let output = repo
        .run_with(&["recover", ".", "--key", "-", "--to", to.to_str().unwrap()], text.as_bytes());
    assert_eq!(output.status.code(), Some(1), "a folder that is there is not written into");
    // In clear text, where the next commit takes it along.
    repo.write(".git/HEAD", "ref: refs/heads/main\n");
    let output =
        repo.run_with(&["recover", ".", "--key", "-", "--to", "recovered"], text.as_bytes());
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("recovered lies in a git repository"), "{said}");
}

#[test]
fn one_secret_that_does_not_open_keeps_no_other_in_its_file_shut() {
    let (repo, text) = lost();
    let spoiled = repo.read("a/db.yaml").replace("name: db\n", "name: other\n");
    repo.write("both.yaml", format!("{spoiled}---\n{}", repo.read("c/queue.yaml")));
    let output = repo.run_with(&["recover", "both.yaml", "--key", "-", "--check"], text.as_bytes());
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "prod/queue opens\n");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("both.yaml:1:1: prod/other does not open"), "{said}");
    assert!(said.contains("1 Secrets opened, 1 did not"), "{said}");
}

#[test]
fn two_secrets_of_one_name_are_both_recovered() {
    let (repo, text) = lost();
    for (file, of) in [("d/db.yaml", "a/db.yaml"), ("d/list.json", "c/queue.yaml")] {
        repo.write(file, repo.read(of));
    }
    let output = repo.run_with(&["recover", ".", "--key", "-"], text.as_bytes());
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("prod/db is in ./a/db.yaml, ./d/db.yaml; --to DIR keeps them"), "{said}");
    assert!(said.contains("prod/queue is in ./c/queue.yaml, ./d/list.json"), "{said}");

    let to = repo.beside("recovered");
    let to = to.to_str().unwrap();
    repo.ok_with(&["recover", ".", "--key", "-", "--to", to], text.as_bytes());
    for file in ["a/db.yaml", "d/db.yaml"] {
        let opened = fs::read_to_string(repo.beside("recovered").join(file)).unwrap();
        assert!(opened.contains("name: db\n"), "{opened}");
    }
    let list = fs::read_to_string(repo.beside("recovered/d/list.json")).unwrap();
    let list: serde_json::Value = serde_json::from_str(&list).unwrap();
    assert_eq!(list["items"][0]["metadata"]["name"], "queue");
}

#[test]
fn two_files_that_would_be_one_are_refused_before_anything_is_written() {
    let (repo, text) = lost();
    let to = repo.beside("recovered");
    let arguments = ["recover", "a", "./a", "--key", "-", "--to", to.to_str().unwrap()];
    let output = repo.run_with(&arguments, text.as_bytes());
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("a/b/web.yaml and ./a/b/web.yaml would be one file"), "{said}");
    assert!(!to.exists());
}

/// Half a file of clear text, or of keys, is one that nobody knows of.
#[test]
fn what_could_not_be_written_whole_is_not_there_at_all() {
    let repo = Repo::new();
    let value = "a-long-value ".repeat(300);
    repo.write("a/db.yaml", secret("db", &[("password", &value)]));
    repo.ok(&["seal", "-i", "a/db.yaml"]);
    let (keys, to) = (repo.keys("prod"), repo.beside("recovered"));
    let program = repo.command(&[]).get_program().to_owned();
    let in_no_room = |arguments: &[&str]| {
        let mut command = std::process::Command::new("/bin/sh");
        command.args(["-c", "trap '' XFSZ; ulimit -f 1; exec \"$0\" \"$@\""]).arg(&program);
        let output = command.args(arguments).current_dir(repo.path("")).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains("File too large"), "{said}");
    };
    in_no_room(&["recover", "a/db.yaml", "--key", &keys, "--to", to.to_str().unwrap()]);
    in_no_room(&["reseal", "a/db.yaml", "--fresh", "--key", &keys]);
    let left = |folder: PathBuf| -> Vec<_> {
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect()
    };
    assert_eq!(left(to.join("a")), [""; 0]);
    assert_eq!(left(repo.path("a")), ["db.yaml"]);
}

/// The disk of a machine that is gone has a lost+found, for root only.
#[test]
fn a_folder_that_cannot_be_entered_keeps_no_other_shut() {
    use std::os::unix::{fs::PermissionsExt as _, process::CommandExt as _};
    let (repo, text) = lost();
    let allow = |path: PathBuf, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    repo.write("lost+found/x.yaml", "a: b\n");
    allow(repo.path("lost+found"), 0o000);
    let mut command = repo.command(&["recover", ".", "--key", "-", "--check"]);
    if fs::read_dir(repo.path("lost+found")).is_ok() {
        // Nothing is shut to us: then somebody else looks.
        allow(repo.beside(""), 0o755);
        command.uid(65534).gid(65534);
    }
    let mut child = command.stdin(std::process::Stdio::piped()).spawn().unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    allow(repo.path("lost+found"), 0o755);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("lost+found") && said.contains("Permission denied"), "{said}");
    assert!(said.contains("3 Secrets opened, 1 did not"), "{said}");
}
