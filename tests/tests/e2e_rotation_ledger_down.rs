//! All of Postgres is gone. Secrets are read and written, everything restarts; rotation says what it waits for, and goes on unaided.

use std::time::Duration;

use anyhow::Result;
use kube::api::PostParams;
use testbed::fleet::Fleet;
use testbed::object;
use testbed::wait::{Look, until};

const SOON: Duration = Duration::from_secs(60);

#[test]
fn without_a_ledger_secrets_are_served_through_restarts_and_rotation_goes_on_when_it_is_back()
-> Result<()> {
    testbed::run(async {
        let mut fleet = Fleet::start(2).await?;
        let post = PostParams::default();
        let write = async |fleet: &Fleet, name: &str| -> Result<()> {
            for (number, node) in fleet.cluster.nodes.iter().enumerate() {
                let name = format!("{name}-{number}");
                node.apiserver
                    .secrets("default")
                    .create(&post, &object::secret(&name, &name))
                    .await?;
            }
            Ok(())
        };
        let read = async |fleet: &Fleet, name: &str| -> Result<()> {
            for node in &fleet.cluster.nodes {
                for number in 0..fleet.cluster.nodes.len() {
                    let name = format!("{name}-{number}");
                    let read = node.apiserver.secrets("default").get(&name).await?;
                    assert_eq!(object::value_of(&read), Some(name.as_str()));
                }
            }
            Ok(())
        };
        write(&fleet, "before").await?;

        fleet.postgres.kill()?;
        for node in &mut fleet.cluster.nodes {
            node.daemon.kill()?;
            node.daemon.start().await?;
            node.apiserver.restart().await?;
        }
        read(&fleet, "before").await?;
        write(&fleet, "during").await?;
        read(&fleet, "during").await?;
        let refused = fleet.any()?.strongroom(&["rotate", "start", "--reason", "too early"])?;
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(!refused.status.success() && said.contains("ledger"), "{said}");
        until("readiness names the ledger", SOON, async || {
            let (status, text) = fleet.any()?.admin("/readyz").await?;
            Ok(if status == 200 && text.contains("degraded") && text.contains("ledger:") {
                Look::Done(())
            } else {
                Look::NotYet(format!("{status} {text}"))
            })
        })
        .await?;

        fleet.postgres.resume_serving().await?;
        until("the daemons are back at the ledger by themselves", SOON, async || {
            Ok(match fleet.begin("it is back") {
                Ok(_) => Look::Done(()),
                Err(error) => Look::NotYet(format!("{error:#}")),
            })
        })
        .await?;
        let active = fleet.finished(1).await?;
        assert!(active.starts_with("etcd/v2/"), "{active}");
        read(&fleet, "before").await?;
        read(&fleet, "during").await
    })
}
