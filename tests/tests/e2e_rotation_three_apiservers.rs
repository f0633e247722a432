//! Three kube-apiservers, three daemons, one Postgres: five rotations in a row under traffic.

use anyhow::Result;
use futures::future::try_join_all;
use kube::api::ListParams;
use testbed::fleet::{Fleet, Traffic};
use testbed::{Plugin, StoredValue};

#[test]
fn five_rotations_in_a_row_fail_no_read_and_no_write_and_no_key_id_comes_back() -> Result<()> {
    testbed::run(async {
        let fleet = Fleet::start(3).await?;
        let apiservers: Vec<_> = fleet.cluster.nodes.iter().map(|node| &node.apiserver).collect();
        let plugins: Vec<Plugin> =
            fleet.cluster.nodes.iter().map(|node| node.daemon.plugin()).collect::<Result<_>>()?;
        let traffic = Traffic::default();
        let rotate = async {
            let mut active = Vec::new();
            for number in 1..=5 {
                let (written, _) = traffic.seen();
                active.push(fleet.rotate(&format!("rotation {number}")).await?);
                assert!(traffic.seen().0 > written, "nothing was written during rotation {number}");
            }
            traffic.stop();
            anyhow::Ok(active)
        };
        let names = try_join_all(plugins.iter().map(|plugin| traffic.names(plugin)));
        let (active, (), names) = tokio::try_join!(rotate, traffic.flow(&apiservers), names)?;

        let versions: Vec<_> = active.iter().map(|id| id.split('/').nth(1).unwrap_or("")).collect();
        assert_eq!(versions, ["v2", "v3", "v4", "v5", "v6"]);
        for named in names {
            assert_eq!(named.get(1..), Some(&active[..]), "every version in turn, none twice");
        }

        // Every object, under whichever version it was written, opens through every apiserver, also after it forgot its seeds.
        let mut fleet = fleet;
        let (written, read) = traffic.seen();
        assert!(written >= 5 && read >= 30, "{written} written, {read} read");
        for node in &mut fleet.cluster.nodes {
            node.apiserver.restart().await?;
            let list = node.apiserver.secrets("default").list(&ListParams::default()).await?;
            assert_eq!(list.items.len(), written);
        }
        let last = fleet.cluster.etcd.value("/registry/secrets/default/traffic-0").await?;
        let first = StoredValue::parse(&last)?.object.key_id;
        assert!(
            first.starts_with("etcd/v1/"),
            "{first}: the first was written before any rotation"
        );
        Ok(())
    })
}
