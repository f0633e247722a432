//! Rotations while everything dies: daemons, the leader, Postgres, one after the other. No Secret is lost, and every run ends.

use std::time::Duration;

use anyhow::Result;
use kube::api::{ListParams, PostParams};
use testbed::fleet::Fleet;
use testbed::object;
use testbed::wait::{Look, until};

const SOON: Duration = Duration::from_secs(90);

#[test]
fn rotations_end_although_daemons_the_leader_and_the_database_are_killed_paused_and_restored()
-> Result<()> {
    testbed::run(async {
        let mut fleet = Fleet::start(3).await?;
        let mut written = 0;
        write(&fleet, &mut written).await?;

        // The leader dies while it waits for the others.
        fleet.begin("the leader dies")?;
        let leader = leader(&fleet).await?;
        fleet.cluster.nodes[leader].daemon.kill()?;
        write(&fleet, &mut written).await?;
        fleet.cluster.nodes[leader].daemon.start().await?;
        fleet.finished(1).await?;

        // A daemon is paused past every lease, then goes on with what it knew.
        fleet.begin("a daemon is paused")?;
        fleet.cluster.nodes[0].daemon.pause()?;
        until("the run waits for the one that is paused", SOON, async || {
            let other = &fleet.cluster.nodes[1].daemon;
            let status = other.ask(&["rotate", "status"])?.to_string();
            Ok(if status.contains("strongroom replicas remove cp-0") {
                Look::Done(())
            } else {
                Look::NotYet(status)
            })
        })
        .await?;
        fleet.cluster.nodes[0].daemon.resume()?;
        fleet.finished(2).await?;
        write(&fleet, &mut written).await?;

        // Postgres dies in the middle.
        fleet.begin("Postgres dies")?;
        fleet.postgres.kill()?;
        write(&fleet, &mut written).await?;
        fleet.postgres.resume_serving().await?;
        fleet.finished(3).await?;

        // It is put back to what it was before the next rotation.
        let dump = fleet.postgres.dump("before.dump")?;
        let newest = fleet.rotate("forgotten by the database").await?;
        fleet.postgres.restore(&dump)?;
        until("every daemon names the old ledger", SOON, async || {
            for node in &fleet.cluster.nodes {
                let (_, text) = node.daemon.admin("/readyz").await?;
                if !text.contains("restored from an old backup") {
                    return Ok(Look::NotYet(text));
                }
            }
            Ok(Look::Done(()))
        })
        .await?;
        write(&fleet, &mut written).await?;
        for node in &fleet.cluster.nodes {
            let status = node.daemon.plugin()?.status().await?;
            assert_eq!(status.key_id, newest, "nobody goes back");
        }
        let adopted = fleet.any()?.strongroom(&["ledger", "adopt", "--yes"])?;
        assert!(adopted.status.success(), "{}", String::from_utf8_lossy(&adopted.stderr));
        // The rotation that the database has forgotten is made up as run 4, from where its version became active.
        assert_eq!(fleet.finished(4).await?, newest);
        let last = fleet.rotate("after the ledger was mended").await?;
        assert!(last.starts_with("etcd/v6/"), "{last}: a number is used once");

        for node in &mut fleet.cluster.nodes {
            node.apiserver.restart().await?;
            let list = node.apiserver.secrets("default").list(&ListParams::default()).await?;
            assert_eq!(list.items.len(), written, "every Secret opens through every apiserver");
        }
        let exported = fleet.any()?.strongroom(&["audit", "export"])?;
        assert!(exported.status.success(), "{}", String::from_utf8_lossy(&exported.stderr));
        let file = fleet.cluster.part("audit")?.join("audit.jsonl");
        std::fs::write(&file, exported.stdout)?;
        let file = file.display().to_string();
        let verified = fleet.any()?.strongroom(&["audit", "verify", &file])?;
        assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));
        Ok(())
    })
}

async fn write(fleet: &Fleet, written: &mut usize) -> Result<()> {
    for node in &fleet.cluster.nodes {
        let name = format!("secret-{written}");
        let secret = object::secret(&name, &name);
        node.apiserver.secrets("default").create(&PostParams::default(), &secret).await?;
        *written += 1;
    }
    Ok(())
}

/// The number of the node whose daemon leads.
async fn leader(fleet: &Fleet) -> Result<usize> {
    until("somebody leads", SOON, async || {
        for (number, node) in fleet.cluster.nodes.iter().enumerate() {
            if node.daemon.metrics().await?.sum("strongroom_rotation_leader", &[]) == Some(1.0) {
                return Ok(Look::Done(number));
            }
        }
        Ok(Look::NotYet("nobody".to_owned()))
    })
    .await
}
