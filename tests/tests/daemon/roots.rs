//! A daemon moves from one root key to another, and survives the loss of one, while kube-apiserver's calls go on.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use testbed::{
    Daemon, Endpoint, Moto, binary,
    daemon::aws_root,
    endpoint::{Asked, Line},
    folder::Folder,
    moto::CREDENTIALS,
    random,
    stored_value::{EncryptedObject, Seed},
    wait::{Look, until},
};

const SOON: Duration = Duration::from_secs(60);

/// One daemon, its configured root keys by what `roots list` calls them, and everything that was ever encrypted with it.
struct House {
    daemon: Daemon,
    roots: Vec<String>,
    aws: Option<Endpoint>,
    written: Vec<(Seed, EncryptedObject)>,
    _folder: Folder,
}

impl House {
    async fn new() -> Result<Self> {
        let folder = Folder::make()?;
        let daemon = Daemon::make(folder.path())?;
        daemon.rotate_alone("1s")?;
        daemon.init()?;
        Self::of(folder, daemon).await
    }

    /// Another node of the same ring, on the same ledger, with the first root key of `first`.
    async fn beside(first: &Self) -> Result<Self> {
        let folder = Folder::make()?;
        let daemon = Daemon::make(folder.path())?;
        let (ledger, api) = (first.daemon.ledger(), daemon.api());
        daemon.configure(&format!(
            "[ledger]\nfile = {ledger:?}\nreplica = \"beside\"\n[api]\nsocket = {api:?}\n"
        ))?;
        daemon.copy_keys(&first.daemon)?;
        Self::of(folder, daemon).await
    }

    async fn of(folder: Folder, mut daemon: Daemon) -> Result<Self> {
        let roots = vec![daemon.root().display().to_string()];
        for (name, value) in CREDENTIALS {
            daemon.environment(name, value);
        }
        let mut house = Self { daemon, roots, aws: None, written: Vec::new(), _folder: folder };
        house.daemon.start().await?;
        Ok(house)
    }

    /// The path of a new root key.
    fn make_root(&self, name: &str) -> Result<String> {
        let path = self.daemon.root().with_file_name(name);
        fs::write(&path, random::bytes::<32>()?)?;
        fs::set_permissions(&path, Permissions::from_mode(0o600))?;
        Ok(path.display().to_string())
    }

    /// Restarts with these root keys and no others.
    async fn restart_with(&mut self, roots: &[&str]) -> Result<()> {
        let config = fs::read_to_string(self.daemon.config())?;
        let section = |root: &String| match &self.aws {
            Some(endpoint) if root.starts_with("arn:") => {
                format!("[[roots]]\n{}", aws_root(root, endpoint))
            }
            _ => format!("[[roots]]\nkind = \"local\"\nfile = {root:?}\n"),
        };
        let old: String = self.roots.iter().map(section).collect();
        ensure!(config.contains(&old), "the configuration is another one");
        let roots: Vec<String> = roots.iter().copied().map(Into::into).collect();
        let new: String = roots.iter().map(section).collect();
        fs::write(self.daemon.config(), config.replace(&old, &new))?;
        self.roots = roots;
        self.daemon.terminate().await?;
        self.daemon.start().await?;
        self.everything_opens().await
    }

    /// Encrypts one more seed; then everything that was ever encrypted must open.
    async fn everything_opens(&mut self) -> Result<()> {
        let plugin = self.daemon.plugin()?;
        self.written.push(plugin.make_seed().await?);
        for (seed, object) in &self.written {
            ensure!(plugin.unwrap_seed(object).await? == *seed, "another seed came out");
        }
        Ok(())
    }

    /// A command that must go well once the daemon and its ledger have found each other.
    async fn done(&mut self, arguments: &[&str]) -> Result<String> {
        let said = until(&format!("strongroom {arguments:?}"), SOON, async || {
            let output = self.daemon.strongroom(arguments)?;
            let (out, err) = (text(&output.stdout), text(&output.stderr));
            Ok(if output.status.success() {
                Look::Done(out)
            } else {
                Look::NotYet(format!("{out}{err}"))
            })
        })
        .await?;
        self.everything_opens().await?;
        Ok(said)
    }

    /// SIGKILL in the middle of a rewrap, when AWS was asked about keys this often or it is over; then a new start.
    async fn is_killed_in_a_rewrap(&mut self, after: usize) -> Result<()> {
        let aws = self.aws.as_ref().context("no root key in AWS")?;
        aws.take_asked();
        let mut rewrap = Command::new(binary::path("strongroom")?);
        rewrap.arg("--admin").arg(self.daemon.api()).args(["roots", "rewrap"]);
        let mut rewrap = rewrap.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let mut asked = 0;
        until("AWS is asked", SOON, async || {
            let about_keys =
                |asked: &Asked| asked.body["EncryptionContext"]["strongroom:purpose"] == "key";
            asked += aws.take_asked().into_iter().filter(about_keys).count();
            let over = rewrap.try_wait()?.is_some();
            Ok(if asked >= after || over {
                Look::Done(())
            } else {
                Look::NotYet(asked.to_string())
            })
        })
        .await?;
        self.daemon.kill()?;
        rewrap.wait()?;
        self.daemon.start().await?;
        self.everything_opens().await
    }

    async fn rotate(&mut self) -> Result<()> {
        let before = self.daemon.plugin()?.status().await?.key_id;
        self.done(&["rotate", "start", "--reason", "test"]).await?;
        until("the rotation ends", SOON, async || {
            let now = self.daemon.plugin()?.status().await?.key_id;
            let status = self.daemon.ask(&["rotate", "status"])?;
            let done = now != before && status["run"]["state"] == "done";
            Ok(if done { Look::Done(()) } else { Look::NotYet(now) })
        })
        .await
    }

    /// The id of the root key that the configuration calls so.
    fn id_of(&self, path: &str) -> Result<String> {
        let listed = self.daemon.ask(&["roots", "list"])?;
        let mut roots = listed["roots"].as_array().into_iter().flatten();
        let root = roots.find(|root| root["name"] == path).context("it is not listed")?;
        Ok(root["id"].as_str().context("it has no id")?.to_owned())
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_ring_moves_to_another_root_key_while_it_serves() -> Result<()> {
    testbed::run(async {
        let house = House::new().await?;
        let new = house.make_root("new.key")?;
        moves(house, new).await
    })
}

#[test]
fn a_ring_moves_into_aws_while_it_serves() -> Result<()> {
    testbed::run(async {
        let folder = Folder::make()?;
        let moto = Moto::start(folder.path()).await?;
        let mut house = House::new().await?;
        house.aws = Some(Endpoint::before(moto.port()).await?);
        moves(house, moto.make_key("eu-central-1").await?).await
    })
}

async fn moves(mut house: House, new: String) -> Result<()> {
    let old = house.roots[0].clone();
    house.rotate().await?;

    // Add, on this only node.
    house.restart_with(&[&old, &new]).await?;
    let planned = house.done(&["roots", "rewrap", "--dry-run"]).await?;
    assert!(planned.contains("would come under"), "{planned}");
    let said = house.done(&["roots", "rewrap"]).await?;
    assert_eq!(said.matches("etcd/v").count(), 2, "{said}");
    assert!(said.contains("state/v1"), "{said}");
    let said = house.done(&["roots", "check"]).await?;
    assert_eq!(said.matches(" opens ").count(), 6, "three keys under two roots: {said}");
    let old_id = house.id_of(&old)?;
    let remove = ["roots", "remove", &old_id, "--reason", "moving house", "--yes"];
    let output = house.daemon.strongroom(&remove)?;
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("take it out of [[roots]] on every node"));

    // Take out, remove, and let go of the key itself.
    house.restart_with(&[&new]).await?;
    let said = house.done(&["roots", "list"]).await?;
    assert!(
        said.contains(&format!("root key {old_id} wraps 3 keys and is not open here")),
        "{said}"
    );
    house.done(&remove).await?;
    fs::remove_file(&old)?;
    house.restart_with(&[&new]).await?;
    house.rotate().await?;
    house.done(&["roots", "check"]).await?;
    let listed = house.daemon.ask(&["roots", "list"])?;
    assert!(!listed.to_string().contains(&old_id), "{listed}");
    assert_eq!(listed["keys"].as_array().map(Vec::len), Some(4));
    Ok(())
}

#[test]
fn either_of_two_root_keys_is_lost_and_a_third_takes_its_place() -> Result<()> {
    testbed::run(async {
        for lost in [0, 1] {
            let mut house = House::new().await?;
            let first = house.roots[0].clone();
            let second = house.make_root("second.key")?;
            house.restart_with(&[&first, &second]).await?;
            house.done(&["roots", "rewrap"]).await?;
            let both = [first.as_str(), second.as_str()];
            let lost_id = house.id_of(both[lost])?;
            fs::remove_file(Path::new(both[lost]))?;

            // While it runs, and after a restart.
            for restarted in [false, true] {
                if restarted {
                    house.restart_with(&both).await?;
                }
                until("the check says so", SOON, async || {
                    let output = house.daemon.strongroom(&["roots", "check"])?;
                    let said = text(&output.stdout);
                    let named = said.contains(&format!("{} is missing", both[lost]));
                    Ok(if output.status.code() == Some(1) && named {
                        Look::Done(())
                    } else {
                        Look::NotYet(format!("{said}{}", text(&output.stderr)))
                    })
                })
                .await?;
                house.everything_opens().await?;
            }
            let third = house.make_root("third.key")?;
            house.restart_with(&[both[1 - lost], &third]).await?;
            house.done(&["roots", "rewrap"]).await?;
            house.done(&["roots", "remove", &lost_id, "--reason", "burned", "--yes"]).await?;
            fs::remove_file(both[1 - lost])?;
            house.restart_with(&[&third]).await?;
        }
        Ok(())
    })
}

/// Within a wrap, between the wraps and the transaction, and between the transaction and the file.
#[test]
fn a_rewrap_that_is_killed_loses_nothing_and_the_next_one_ends_it() -> Result<()> {
    testbed::run(async {
        let folder = Folder::make()?;
        let moto = Moto::start(folder.path()).await?;
        let mut house = House::new().await?;
        house.aws = Some(Endpoint::before(moto.port()).await?);
        let (old, new) = (house.roots[0].clone(), moto.make_key("eu-central-1").await?);
        house.rotate().await?;
        house.restart_with(&[&old, &new]).await?;
        for (line, after) in [(Line::IsSilent, 1), (Line::Works, 2), (Line::Works, 5)] {
            house.done(&["roots", "list"]).await?;
            house.aws.as_mut().context("no root key in AWS")?.becomes(line).await?;
            house.is_killed_in_a_rewrap(after).await?;
        }

        let third = house.make_root("third.key")?;
        house.restart_with(&[&old, &new, &third]).await?;
        let in_the_way = house.daemon.bundle().join(".etcd.bundle.tmp");
        fs::create_dir(&in_the_way)?;
        house.done(&["roots", "rewrap"]).await?;
        let before = fs::read(house.daemon.bundle_file())?;
        house.daemon.kill()?;
        assert_eq!(fs::read(house.daemon.bundle_file())?, before);
        house.daemon.start().await?;
        house.everything_opens().await?;
        fs::remove_dir(&in_the_way)?;
        until("the file follows", SOON, async || {
            let now = fs::read(house.daemon.bundle_file())?;
            Ok(if now == before { Look::NotYet("it is old".into()) } else { Look::Done(()) })
        })
        .await?;

        let said = house.done(&["roots", "rewrap"]).await?;
        assert!(!said.contains("etcd/v"), "nothing was left to do: {said}");
        for root in [&new, &third, &old] {
            house.restart_with(&[root]).await?;
        }
        Ok(())
    })
}

#[test]
fn a_node_that_lacks_the_new_root_key_keeps_what_it_has_until_it_has_it() -> Result<()> {
    testbed::run(async {
        let mut house = House::new().await?;
        let old = house.roots[0].clone();
        let new = house.make_root("new.key")?;
        let mut beside = House::beside(&house).await?;
        house.restart_with(&[&old, &new]).await?;
        house.done(&["roots", "rewrap"]).await?;
        let old_id = house.id_of(&old)?;
        let new_id = house.id_of(&new)?;
        house.restart_with(&[&new]).await?;
        // The other node is forgotten: it opens the newest bundle with the old root key, and so it says that it has it.
        house.done(&["roots", "remove", &old_id, "--reason", "moved", "--yes"]).await?;

        for restarted in [false, true] {
            if restarted {
                let own = beside.roots[0].clone();
                beside.restart_with(&[&own]).await?;
            }
            until("it says which root key it lacks", SOON, async || {
                let (status, said) = beside.daemon.admin("/readyz").await?;
                let named = said.contains(&format!("is wrapped under {new_id}"));
                Ok(if status == 200 && named { Look::Done(()) } else { Look::NotYet(said) })
            })
            .await?;
            beside.everything_opens().await?;
        }
        let listed = house.daemon.ask(&["replicas", "list"])?;
        assert!(listed.to_string().contains("and the newest is"), "{listed}");

        let own = beside.roots[0].clone();
        beside.restart_with(&[&own, &new]).await?;
        until("it follows", SOON, async || {
            let (_, said) = beside.daemon.admin("/readyz").await?;
            Ok(if said == "ok\n" { Look::Done(()) } else { Look::NotYet(said) })
        })
        .await?;
        beside.restart_with(&[&new]).await
    })
}
