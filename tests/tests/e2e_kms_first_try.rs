//! `strongroomd dev` as somebody tries it who has read nothing else: what it prints is followed, line by line.

use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result};
use kube::api::PostParams;
use testbed::cluster::secret_key;
use testbed::process::{Process, complete};
use testbed::wait::{Look, until};
use testbed::{Cluster, Plugin, StoredValue, binary, folder::Folder, object};

#[test]
fn what_dev_says_to_do_next_encrypts_a_cluster() -> Result<()> {
    testbed::run(async {
        let folder = Folder::make()?;
        let log = folder.path().join("dev.log");
        let start = || {
            let mut command = Command::new(binary::path("strongroomd")?);
            command.current_dir(folder.path()).args(["dev", "--dir", "try"]);
            Process::start("strongroomd dev", command, &log)
        };
        let dev = start()?;
        let place = folder.path().canonicalize()?.join("try");
        let plugin = Plugin::at(&place.join("kms.sock"))?;
        let key_id = until("dev serves", Duration::from_secs(15), async || {
            Ok(match plugin.status().await {
                Ok(status) => Look::Done(status.key_id),
                Err(error) => Look::NotYet(format!("{error}; {}", std::fs::read_to_string(&log)?)),
            })
        })
        .await?;

        // What was stored before is plaintext, and readable afterwards.
        let cluster = Cluster::empty().await?;
        let mut apiserver = cluster.make_apiserver("kube-apiserver")?;
        apiserver.start().await?;
        let secret = object::secret("before", "hello");
        apiserver.secrets("default").create(&PostParams::default(), &secret).await?;
        apiserver.kill()?;

        let said = std::fs::read_to_string(&log)?;
        let config = place.join("encryption-config.yaml");
        assert!(
            said.contains(&format!("--encryption-provider-config={}", config.display())),
            "{said}"
        );
        apiserver.encrypt_as(&std::fs::read_to_string(config)?)?;
        apiserver.start().await?;

        let line = said.lines().map(str::trim).find(|line| line.starts_with("kubectl get"));
        let (get, replace) = line.and_then(|line| line.split_once(" | ")).context("no kubectl")?;
        let words = |line: &'static str| line.split_whitespace().skip(1);
        assert_eq!(get, "kubectl get secrets,configmaps -A -o json");
        assert_eq!(replace, "kubectl replace -f -");
        let mut got = apiserver
            .kubectl()?
            .args(words("kubectl get secrets,configmaps -A -o json"))
            .stdout(Stdio::piped())
            .spawn()?;
        let objects = got.stdout.take().context("no output")?;
        complete(apiserver.kubectl()?.args(words("kubectl replace -f -")).stdin(objects))?;
        assert!(got.wait()?.success());

        let stored = StoredValue::parse(&cluster.etcd.value(&secret_key("before")).await?)?;
        assert_eq!(stored.object.key_id, key_id);
        let read = apiserver.secrets("default").get("before").await?;
        assert_eq!(object::value_of(&read), Some("hello"));

        // A second start finds everything as the first has left it.
        assert!(dev.terminate(Duration::from_secs(15)).await?.success());
        let _again = start()?;
        let same = until("dev serves again", Duration::from_secs(15), async || {
            Ok(match plugin.status().await {
                Ok(status) => Look::Done(status.key_id),
                Err(error) => Look::NotYet(error.to_string()),
            })
        })
        .await?;
        assert_eq!(same, key_id);

        // The commands that it names are those of the program beside it.
        let named = said.match_indices("strongroom ").map(|(at, name)| &said[at + name.len()..]);
        let named: Vec<_> = named.filter_map(|rest| rest.lines().next()).collect();
        assert_eq!(named.len(), 3, "{said}");
        for arguments in named {
            // To look on until a rotation is done takes longer than to look once.
            let once = arguments.split_whitespace().filter(|word| *word != "--watch");
            complete(Command::new(binary::path("strongroom")?).args(once))?;
        }
        Ok(())
    })
}
