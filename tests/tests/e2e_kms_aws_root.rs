//! A root key in AWS under a real kube-apiserver: what AWS is asked, however many Secrets there are.

use std::time::Duration;

use anyhow::{Result, ensure};
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use kube::api::{ListParams, PostParams};
use testbed::{
    Apiserver, Cluster, Endpoint, Moto,
    endpoint::Asked,
    moto::CREDENTIALS,
    object,
    wait::{Look, until},
};

const REGION: &str = "eu-central-1";
const ROTATES: Duration = Duration::from_secs(60);
/// In flight at once: enough to keep two cores busy.
const WIDTH: usize = 16;

#[test]
fn what_aws_is_asked_does_not_depend_on_the_number_of_secrets() -> Result<()> {
    testbed::run(async {
        let mut cluster = Cluster::empty().await?;
        let moto = Moto::start(&cluster.part("moto")?).await?;
        let arn = moto.make_key(REGION).await?;
        let endpoint = Endpoint::before(moto.port()).await?;
        cluster.make_node()?;
        let node = cluster.node()?;
        for (name, value) in CREDENTIALS {
            node.daemon.environment(name, value);
        }
        node.daemon.root_in_aws(&arn, &endpoint)?;
        node.daemon.rotate_alone("1s")?;
        let config = node.daemon.config().display().to_string();
        let made = node.daemon.run(&["init", "--config", &config, "--first-version", "1"])?;
        ensure!(made.status.success(), "{made:?}");
        endpoint.take_asked();

        node.daemon.start().await?;
        node.apiserver.start().await?;
        let started = keys(&endpoint);
        assert_eq!(
            started, ["Decrypt"; 3],
            "version 1; the ledger key, for the bundle and for the ledger"
        );

        let mut rotations = Vec::new();
        for (count, version) in [(20, 2), (2_000, 3)] {
            write(&node.apiserver, count).await?;
            // With empty caches it decrypts all of them again.
            node.apiserver.restart().await?;
            let listed = node.apiserver.secrets("default").list(&ListParams::default()).await?;
            assert!(listed.items.len() >= count);
            assert_eq!(keys(&endpoint), Vec::<String>::new(), "{count} Secrets");

            let begun = node.daemon.strongroom(&["rotate", "start", "--reason", "a test"])?;
            ensure!(begun.status.success(), "{begun:?}");
            until("the run ends", ROTATES, async || {
                let status = node.daemon.ask(&["rotate", "status"])?;
                let done = status["run"]["to"] == version && status["run"]["state"] == "done";
                Ok(if done { Look::Done(()) } else { Look::NotYet(status.to_string()) })
            })
            .await?;
            rotations.push(keys(&endpoint));
        }
        // The new version is wrapped once, and opened by who wrapped it and by who will take it; two new bundles are read, each
        // with the ledger key and all versions (docs/aws.md).
        for (asked, versions) in rotations.iter().zip([2, 3]) {
            let count = |operation| asked.iter().filter(|it| *it == operation).count();
            assert_eq!(
                (count("Encrypt"), count("Decrypt")),
                (1, 2 + 2 * (versions + 1)),
                "{asked:?}"
            );
        }
        Ok(())
    })
}

/// What was asked about keys since the last look: probes go on by themselves.
fn keys(endpoint: &Endpoint) -> Vec<String> {
    let about_keys = |asked: &Asked| {
        let context = asked.body.pointer("/EncryptionContext/strongroom:purpose");
        context.and_then(|purpose| purpose.as_str()) == Some("key")
    };
    let asked = endpoint.take_asked().into_iter().filter(about_keys);
    asked.map(|asked| asked.operation).collect()
}

/// Writes and reads so many Secrets of their own.
async fn write(apiserver: &Apiserver, count: usize) -> Result<()> {
    let secrets = apiserver.secrets("default");
    stream::iter(0..count)
        .map(async |number| {
            let name = format!("secret-{count}-{number}");
            secrets.create(&PostParams::default(), &object::secret(&name, "value")).await?;
            let read = secrets.get(&name).await?;
            ensure!(object::value_of(&read) == Some("value"), "{name}");
            Ok(())
        })
        .buffer_unordered(WIDTH)
        .try_for_each(async |()| Ok(()))
        .await
}
