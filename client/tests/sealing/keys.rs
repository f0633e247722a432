//! Whom a repository seals for: what is taken in, and what is not.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpListener,
    os::unix::fs::PermissionsExt as _,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use tokio_rustls::rustls::{
    ServerConfig, ServerConnection, StreamOwned,
    pki_types::{PrivateKeyDer, pem::PemObject as _},
};

use crate::repo::{Repo, secret};

fn published(repo: &Repo) -> String {
    fs::read_to_string(repo.beside("prod/prod.yaml")).unwrap()
}

#[test]
fn list_that_somebody_changed_is_refused() {
    let repo = Repo::without_keys();
    let keys = repo.beside("prod");
    repo.ok(&["sealing-keys", "new", "--cluster", "prod", "--dir", keys.to_str().unwrap()]);
    let good = published(&repo);
    for (from, to) in [
        ("serial: 1", "serial: 2"),
        ("state: active", "state: retired"),
        ("cluster: \"prod\"", "cluster: \"prod2\""),
        ("publicKey: ", "publicKey: A"),
    ] {
        repo.write("changed.yaml", good.replacen(from, to, 1));
        let said = repo.refused(1, &["sealing-keys", "fetch", "changed.yaml"]);
        assert!(said.contains("is no list of sealing keys"), "{from}: {said}");
    }
    let said = {
        repo.write("changed.yaml", good.replacen("serial: 1", "serial: 2", 1));
        repo.refused(1, &["sealing-keys", "fetch", "changed.yaml"])
    };
    assert!(said.contains("the signature is not that of the identity in it"), "{said}");
    assert!(!repo.path(".strongroom").exists());
}

#[test]
fn another_identity_is_refused_until_somebody_says_so() {
    let repo = Repo::new();
    let pinned = repo.read(".strongroom/clusters/prod.yaml");
    let other = Repo::new();
    let theirs = other.beside("prod/prod.yaml");
    let said = repo.refused(1, &["sealing-keys", "fetch", theirs.to_str().unwrap()]);
    assert!(
        said.contains("signed by another identity") && said.contains("--replace-identity"),
        "{said}"
    );
    assert_eq!(repo.read(".strongroom/clusters/prod.yaml"), pinned);
    repo.ok(&["sealing-keys", "fetch", theirs.to_str().unwrap(), "--replace-identity"]);
    assert_eq!(repo.read(".strongroom/clusters/prod.yaml"), published(&other));
}

#[test]
fn older_list_is_refused() {
    let repo = Repo::new();
    let old = published(&repo);
    let keys = repo.beside("prod");
    repo.ok(&["sealing-keys", "rotate", "--dir", keys.to_str().unwrap()]);
    repo.fetch("prod");
    repo.write("old.yaml", old);
    let said = repo.refused(1, &["sealing-keys", "fetch", "old.yaml"]);
    assert!(
        said.contains("older than the pinned one")
            && said.contains("pinned is number 2, this is number 1"),
        "{said}"
    );
}

#[test]
fn pins_that_were_changed_in_the_repository_are_not_used() {
    let repo = Repo::new();
    repo.write("db.yaml", secret("db", &[("k", "value")]));
    let pinned = repo.read(".strongroom/clusters/prod.yaml");
    repo.write(
        ".strongroom/clusters/prod.yaml",
        pinned.replacen("state: active", "state: retired", 1),
    );
    let said = repo.refused(1, &["seal", "-i", "db.yaml"]);
    assert!(said.contains("is not to be trusted") && said.contains("git log -p"), "{said}");
    // What it says to do next does it.
    assert!(said.contains("take the file out"), "{said}");
    fs::remove_file(repo.path(".strongroom/clusters/prod.yaml")).unwrap();
    repo.fetch("prod");
    assert_eq!(repo.read(".strongroom/clusters/prod.yaml"), pinned);
    // Under another cluster's name they are not its keys.
    repo.write(".strongroom/clusters/prod.yaml", &pinned);
    repo.write(".strongroom/clusters/dev.yaml", &pinned);
    let said = repo.refused(1, &["seal", "-i", "db.yaml"]);
    assert!(said.contains("it has the keys of cluster prod, and another name"), "{said}");
}

#[test]
fn lives_of_keys_go_one_way() {
    let repo = Repo::new();
    let dir = repo.beside("prod");
    let dir = dir.to_str().unwrap();
    let kid = |state: &str| {
        let list = repo.ok(&["sealing-keys", "list", "--output", "json"]);
        let list: serde_json::Value = serde_json::from_str(&list).unwrap();
        list.as_array()
            .unwrap()
            .iter()
            .find(|key| key["state"] == state)
            .map(|key| key["kid"].as_str().unwrap().to_owned())
    };
    let first = kid("active").unwrap();
    let said = repo.refused(1, &["sealing-keys", "retire", &first, "--dir", dir]);
    assert!(said.contains("is not retiring"), "{said}");
    repo.ok(&["sealing-keys", "rotate", "--dir", dir]);
    repo.fetch("prod");
    assert_eq!(kid("retiring").as_deref(), Some(first.as_str()));
    repo.ok(&["sealing-keys", "retire", &first, "--dir", dir]);
    repo.fetch("prod");
    assert_eq!(kid("retired").as_deref(), Some(first.as_str()));
    let said = repo.refused(1, &["sealing-keys", "new", "--cluster", "prod", "--dir", dir]);
    assert!(said.contains("is there already") && said.contains("never overwritten"), "{said}");
    for file in ["identity.key", "sealing.keys"] {
        assert_eq!(
            fs::metadata(repo.beside("prod").join(file)).unwrap().permissions().mode() & 0o777,
            0o600
        );
    }
}

#[test]
fn inventory_counts_what_each_key_opens() {
    let repo = Repo::new();
    repo.new_cluster("dev");
    for (file, clusters) in [("a.yaml", "--cluster=prod"), ("b.yaml", "--all-clusters")] {
        repo.write(file, secret(file.trim_end_matches(".yaml"), &[("k", "value")]));
        repo.ok(&["seal", "-i", file, clusters]);
    }
    repo.ok_with(&["set", "b.yaml", "l"], b"more");
    let rows: serde_json::Value =
        serde_json::from_str(&repo.ok(&["sealing-keys", "inventory", "--output", "json"])).unwrap();
    let counts = |owner: &str| {
        let row = rows.as_array().unwrap().iter().find(|row| row["owner"] == owner).unwrap();
        (row["secrets"].as_u64().unwrap(), row["slots"].as_u64().unwrap())
    };
    assert_eq!((counts("prod (active)"), counts("dev (active)")), ((2, 3), (1, 2)));
    // A key that nobody pinned is told too.
    fs::remove_file(repo.path(".strongroom/clusters/dev.yaml")).unwrap();
    assert!(repo.ok(&["sealing-keys", "inventory"]).contains("nobody's in .strongroom"));
}

#[test]
fn key_file_that_others_may_read_is_refused_with_the_command_that_mends_it() {
    let repo = Repo::new();
    repo.write("db.yaml", secret("db", &[("k", "value")]));
    repo.ok(&["seal", "-i", "db.yaml"]);
    let keys = repo.keys("prod");
    fs::set_permissions(&keys, fs::Permissions::from_mode(0o640)).unwrap();
    let said = repo.refused(1, &["unseal", "db.yaml", "--key", &keys]);
    assert!(
        said.contains("others may read it (mode 640)")
            && said.contains(&format!("chmod 600 {keys}")),
        "{said}"
    );
    // A stick has no modes that could be changed.
    assert!(said.contains("or --key - < "), "{said}");
    let key = fs::read(&keys).unwrap();
    assert!(repo.run_with(&["unseal", "db.yaml", "--key", "-"], &key).status.success());
}

#[test]
fn lists_come_over_tls_from_whom_the_authority_vouches_for() {
    let source = Repo::new();
    let list = published(&source);
    let (port, authority) = serve(list.clone());
    let repo = Repo::without_keys();
    fs::write(repo.beside("ca.pem"), authority).unwrap();
    let (ca, url) = (repo.beside("ca.pem"), format!("https://localhost:{port}/prod.yaml"));
    let said = repo.refused(3, &["sealing-keys", "fetch", &url]);
    assert!(
        said.contains("cannot be read") && said.contains("--ca names a private authority"),
        "{said}"
    );
    repo.ok(&["sealing-keys", "fetch", &url, "--ca", ca.to_str().unwrap()]);
    assert_eq!(repo.read(".strongroom/clusters/prod.yaml"), list);
    let said = repo.refused(
        3,
        &["sealing-keys", "fetch", &format!("{url}.not"), "--ca", ca.to_str().unwrap()],
    );
    assert!(said.contains("404"), "{said}");
    let said = repo.refused(2, &["sealing-keys", "fetch", "http://localhost/prod.yaml"]);
    assert!(said.contains("not taken over plain http"), "{said}");
}

/// A server with a certificate of its own, for as many calls as come, each on a connection of its own.
fn serve(list: String) -> (u16, String) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let authority = made.cert.pem();
    let key = PrivateKeyDer::from_pem_slice(made.signing_key.serialize_pem().as_bytes()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(
        tokio_rustls::rustls::crypto::ring::default_provider(),
    ))
    .with_safe_default_protocol_versions()
    .unwrap()
    .with_no_client_auth()
    .with_single_cert(vec![made.cert.der().clone()], key)
    .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("localhost:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let connection = ServerConnection::new(config.clone()).unwrap();
            let mut stream = StreamOwned::new(connection, stream.unwrap());
            let mut request = [0; 4096];
            // A client that does not trust us ends the handshake.
            let Ok(len) = stream.read(&mut request) else { continue };
            let (status, body) = if request[..len].starts_with(b"GET /prod.yaml ") {
                ("200 OK", list.as_str())
            } else {
                ("404 Not Found", "")
            };
            let answer = format!(
                "HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                body.len()
            );
            let _ = stream.write_all(answer.as_bytes());
            stream.conn.send_close_notify();
            let _ = stream.flush();
        }
    });
    (port, authority)
}

/// Whoever keeps private keys on another disk wants them there and nowhere else.
#[test]
fn keys_that_a_link_leads_to_stay_where_they_are() {
    let repo = Repo::new();
    let (link, there) = (repo.beside("prod/sealing.keys"), repo.beside("vault"));
    fs::rename(&link, &there).unwrap();
    std::os::unix::fs::symlink(&there, &link).unwrap();
    repo.ok(&["sealing-keys", "rotate", "--dir", repo.beside("prod").to_str().unwrap()]);
    assert!(link.is_symlink());
    assert_eq!(fs::read_to_string(there).unwrap().matches("# k").count(), 2);
}

/// Of two that take in lists at once, the slower one has looked at what is pinned before the faster one wrote.
#[test]
fn a_newer_list_that_came_meanwhile_stays() {
    let repo = Repo::new();
    let dir = repo.beside("prod").to_str().unwrap().to_owned();
    let (list, older) = (repo.beside("prod/prod.yaml"), repo.beside("older.yaml"));
    repo.ok(&["sealing-keys", "rotate", "--dir", &dir]);
    fs::copy(&list, &older).unwrap();
    repo.ok(&["sealing-keys", "rotate", "--dir", &dir]);
    let newer = fs::read_to_string(list).unwrap();

    let folder = fs::File::open(repo.path(".strongroom/clusters")).unwrap();
    folder.lock().unwrap();
    let child = repo.start(&["sealing-keys", "fetch", older.to_str().unwrap()]);
    let waits = format!(" {} ", child.id());
    let deadline = Instant::now() + Duration::from_secs(20);
    let is_waiting = || {
        let locks = fs::read_to_string("/proc/locks").unwrap();
        locks.lines().any(|lock| lock.contains("->") && lock.contains(&waits))
    };
    while !is_waiting() && Instant::now() < deadline {
        thread::park_timeout(Duration::from_millis(2));
    }
    repo.write(".strongroom/clusters/prod.yaml", &newer);
    drop(folder);
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("was changed meanwhile"), "{said}");
    assert_eq!(repo.read(".strongroom/clusters/prod.yaml"), newer);
}

#[test]
fn recipients_that_cannot_be_read_are_not_left_out() {
    let repo = Repo::new();
    std::os::unix::fs::symlink("nowhere", repo.path(".strongroom/escrow.yaml")).unwrap();
    repo.write("db.yaml", secret("db", &[("a", "b")]));
    let said = repo.refused(1, &["seal", "-i", "db.yaml"]);
    assert!(said.contains(".strongroom/escrow.yaml cannot be read"), "{said}");
    fs::remove_file(repo.path(".strongroom/escrow.yaml")).unwrap();
    repo.ok(&["escrow", "new"]);
    fs::remove_dir_all(repo.path(".strongroom/clusters")).unwrap();
    std::os::unix::fs::symlink("nowhere", repo.path(".strongroom/clusters")).unwrap();
    let said = repo.refused(1, &["seal", "-i", "db.yaml"]);
    assert!(said.contains(".strongroom/clusters cannot be read"), "{said}");
    // Nor does what lies further up stand in for it.
    for name in ["inner/.strongroom", "inner/db.yaml"] {
        repo.write(name, secret("db", &[("a", "b")]));
    }
    let said = repo.refused(1, &["seal", "-i", "inner/db.yaml"]);
    assert!(said.contains("inner/.strongroom cannot be read"), "{said}");
}
