//! Two leaders at once: one was paused, and does not know it.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::Result;
use async_trait::async_trait;
use envelope::{
    RingName,
    audit::{Hash, Record},
};
use strongroomd::{
    clock::SystemClock,
    config::Config,
    health::Health,
    init,
    keyring::Keyring,
    ledger::{self, Change, Dump, History, Lease, Ledger, LedgerError, ReportRow, Rows},
    metrics::Metrics,
    root::Roots,
    rotation::{Act, Control as _, Controller, Runner},
};
use testbed::{
    Postgres,
    folder::Folder,
    wait::{Look, until},
};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::support::{Database, ring};

const SOON: Duration = Duration::from_secs(30);

#[test]
fn a_leader_that_was_paused_before_it_wrote_is_refused_by_epoch_and_counted() -> Result<()> {
    testbed::run(async {
        for database in Database::both().await? {
            let folder = Folder::make()?;
            let config = config(&database, folder.path())?;
            init::init(&config, None, &SystemClock).await?;
            let paused = Leader::start("cp-1", &config).await?;
            let join = Act::Join { replica: "cp-1".into() };
            paused.controller.act("test", join).await?;
            until("it leads", SOON, async || look(paused.counted("strongroom_rotation_leader 1")))
                .await?;

            // From here on it is held just before it writes, as a SIGSTOP would hold it.
            paused.ledger.hold.store(true, Ordering::SeqCst);
            let begin = Act::Begin { trigger: "manual", reason: String::new() };
            let operator = Leader::idle(&config).await?;
            operator.controller.act("test", begin).await?;
            paused.ledger.held.notified().await;

            database.sql("UPDATE leases SET until = 1").unwrap();
            let other = Leader::start("cp-2", &config).await?;
            until("the other stages the version", SOON, async || {
                let state = operator.controller.state().await?;
                look(state.open_run().is_some_and(|run| run.to == Some(2)))
            })
            .await?;

            paused.ledger.hold.store(false, Ordering::SeqCst);
            paused.ledger.released.notify_one();
            until("the refused write is counted", SOON, async || {
                look(paused.counted("strongroom_rotation_fenced_total 1"))
            })
            .await?;
            assert!(!other.counted("strongroom_rotation_fenced_total 1"));
            let state = operator.controller.state().await?;
            let staged = state.versions.iter().filter(|row| row.id.version() > 1).count();
            assert_eq!(staged, 1, "one run, one version");
        }
        Ok(())
    })
}

/// `LedgerError::Away`: "after which a change may or may not have been made: read again".
#[test]
fn refusals_are_recorded_once_each_where_the_answer_of_the_ledger_is_lost() -> Result<()> {
    testbed::run(async {
        for database in Database::both().await? {
            let folder = Folder::make()?;
            let config = config(&database, folder.path())?;
            init::init(&config, None, &SystemClock).await?;
            let node = Leader::idle(&config).await?;
            node.ledger.loses_an_answer.store(true, Ordering::SeqCst);
            let refused = (0..8).map(|number| {
                let controller = Arc::clone(&node.controller);
                async move { controller.deny(&format!("uid:{number}"), "ListKeys", 0).await }
            });
            let told = futures::future::join_all(refused).await;
            assert_eq!(told.iter().filter(|told| told.is_err()).count(), 7, "all but the first");
            let recorded = node.controller.audit(0, 1000).await?;
            let mut actors: Vec<_> = recorded
                .into_iter()
                .filter(|(record, _)| record.action == "api.denied")
                .map(|(record, _)| record.actor)
                .collect();
            actors.sort();
            let once: Vec<_> = (0..8).map(|number| format!("uid:{number}")).collect();
            assert_eq!(actors, once, "{}", database.name());
        }
        Ok(())
    })
}

fn look(holds: bool) -> Result<Look<()>> {
    Ok(if holds { Look::Done(()) } else { Look::NotYet("not so".to_owned()) })
}

/// The parts of a daemon that lead, in this process.
struct Leader {
    controller: Arc<Controller>,
    ledger: Arc<Holding>,
    metrics: Arc<Metrics>,
    _stop: tokio_util::sync::DropGuard,
}

impl Leader {
    async fn idle(config: &Config) -> Result<Self> {
        let roots = Roots::open(&config.roots).await?;
        let controller = Arc::new(Controller::new(ring(), roots, Arc::new(Keyring::default())));
        let cluster = ledger::cluster(config)?.unwrap();
        let inner = ledger::connect(&config.ledger.clone().unwrap().database, cluster).await?;
        let ledger = Arc::new(Holding {
            inner,
            hold: AtomicBool::new(false),
            held: Notify::new(),
            released: Notify::new(),
            loses_an_answer: AtomicBool::new(false),
        });
        controller.connect(Arc::clone(&ledger) as _);
        let metrics = Arc::new(Metrics::new());
        Ok(Self { controller, ledger, metrics, _stop: CancellationToken::new().drop_guard() })
    }

    async fn start(name: &str, config: &Config) -> Result<Self> {
        let this = Self::idle(config).await?;
        let runner = Runner {
            controller: Arc::clone(&this.controller),
            holder: format!("{name}/1"),
            health: Arc::new(Health::default()),
            metrics: Arc::clone(&this.metrics),
        };
        let stop = CancellationToken::new();
        tokio::spawn(runner.run(stop.clone()));
        Ok(Self { _stop: stop.drop_guard(), ..this })
    }

    fn counted(&self, line: &str) -> bool {
        self.metrics.render().unwrap().lines().any(|counted| counted == line)
    }
}

fn config(database: &Database, folder: &Path) -> Result<Config> {
    let ledger = match database {
        Database::Sqlite { folder, .. } => {
            format!("file = {:?}\n", folder.path().join("ledger.db"))
        }
        Database::Postgres { server, .. } => {
            let url = database.options("strongroom").url;
            let (ca, password) = (server.authority(), Postgres::password_file(server));
            format!("url = {url:?}\nca_file = {ca:?}\npassword_file = {password:?}\n")
        }
    };
    let text = format!(
        "[kms]\nsocket = {socket:?}\n[bundle]\ndir = {bundle:?}\n\
         [[roots]]\nkind = \"local\"\nfile = {root:?}\n\
         [rotation]\nconverge_after = \"1s\"\n[ledger]\n{ledger}",
        socket = folder.join("kms.sock"),
        bundle = folder.join("bundle"),
        root = folder.join("root.key"),
    );
    Ok(Config::parse(&text)?)
}

/// A ledger that can be held just before a change is written.
#[derive(Debug)]
struct Holding {
    inner: Arc<dyn Ledger>,
    hold: AtomicBool,
    held: Notify,
    released: Notify,
    /// The next change of more than one record is made, and nobody is told.
    loses_an_answer: AtomicBool,
}

#[async_trait]
impl Ledger for Holding {
    async fn read(&self, ring: &RingName) -> Result<Option<Rows>, LedgerError> {
        self.inner.read(ring).await
    }

    async fn commit(&self, change: &Change) -> Result<(), LedgerError> {
        if self.hold.load(Ordering::SeqCst) {
            self.held.notify_one();
            self.released.notified().await;
        }
        self.inner.commit(change).await?;
        if change.audit.len() > 1 && self.loses_an_answer.swap(false, Ordering::SeqCst) {
            return Err(LedgerError::Away("no answer in 10 seconds".into()));
        }
        Ok(())
    }

    async fn report(&self, ring: &RingName, report: &ReportRow) -> Result<(), LedgerError> {
        self.inner.report(ring, report).await
    }

    async fn lease(&self, holder: &str) -> Result<Lease, LedgerError> {
        self.inner.lease(holder).await
    }

    async fn release(&self, lease: &Lease) -> Result<(), LedgerError> {
        self.inner.release(lease).await
    }

    async fn audit(
        &self,
        ring: &RingName,
        after: u64,
        limit: u32,
    ) -> Result<Vec<(Record, Hash)>, LedgerError> {
        self.inner.audit(ring, after, limit).await
    }

    async fn history(&self, ring: &RingName) -> Result<History, LedgerError> {
        self.inner.history(ring).await
    }

    async fn create(&self, dump: &Dump) -> Result<(), LedgerError> {
        self.inner.create(dump).await
    }

    async fn changed(&self) {
        self.inner.changed().await;
    }
}
