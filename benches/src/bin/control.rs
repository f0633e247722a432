//! Measures the control plane: what a plan costs, what a rotation costs beside waiting, how fast the audit chain takes records.
//!
//! Run by hand; docs/benchmarks.md has figures.

#![expect(
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "a report is printed, of arrays that are filled here"
)]

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use envelope::{
    Bundle, Context, KeyId, KeyMaterial, LedgerKey, LocalRoot, Purpose, RingName, SystemRandom,
    WrappedKey,
    bundle::{State as VersionState, Version, WrappedLedgerKey},
};
use futures_util::{StreamExt as _, TryStreamExt as _};
use sqlx::Executor as _;
use strongroomd::{
    clock::SystemClock,
    ledger::{
        ClusterId, Draft, Dump, Entry, Ledger, PostgresLedger, PostgresOptions, ReportRow,
        SqliteLedger, State, VersionRow,
    },
    root::{LocalFile, RootKey, Roots},
    rotation::{Act, Control as _, Controller, Observed, Policy, Step, plan, take},
};
use testbed::{Postgres, folder::Folder};
use zeroize::Zeroizing;

const CLUSTER: ClusterId = ClusterId([7; 16]);
const APPENDS: u32 = 500;
/// The most calls that the admin API has under way.
const AT_ONCE: usize = 64;
const REPLICAS: u32 = 10;
const ROUNDS: usize = 5;

fn main() -> Result<()> {
    testbed::run(async {
        let folder = Folder::make()?;
        let ring = Ring::make(&folder)?;
        planning(&ring)?;
        let server = Postgres::start(&folder.part("postgres")?).await?;
        let options = |url: &str| PostgresOptions {
            url: url.into(),
            ca_file: Some(server.authority().to_owned()),
            password: Some(Zeroizing::new(server.password().to_owned())),
            max_connections: 4,
        };
        PostgresLedger::migrate(&options(server.owner_url())).await?;
        server.grant()?;
        // As a Postgres runs in life: a commit is on the disk when it is answered.
        server.sql("ALTER SYSTEM SET fsync = on")?;
        server.sql("SELECT pg_reload_conf()")?;
        let postgres: Arc<dyn Ledger> =
            Arc::new(PostgresLedger::open(&options(server.url()), CLUSTER).await?);
        let file = folder.path().join("ledger.db");
        let sqlite: Arc<dyn Ledger> =
            Arc::new(SqliteLedger::open(&file, CLUSTER, Arc::new(SystemClock)).await?);

        println!("\n## Audit appends\n");
        println!(
            "| database | bare INSERT/s, one after the other | appends/s | ratio | bare INSERT/s, {AT_ONCE} at once | appends/s | ratio |"
        );
        println!("|---|---:|---:|---:|---:|---:|---:|");
        let bare = Bare::sqlite(&folder).await?;
        sqlite.create(&ring.dump).await?;
        appends("SQLite (WAL, FULL)", &bare, &sqlite, &ring).await?;
        let bare = Bare::postgres(&server).await?;
        postgres.create(&ring.dump).await?;
        appends("Postgres (TLS, loopback, fsync on)", &bare, &postgres, &ring).await?;

        println!("\n## A rotation with {REPLICAS} replicas, acknowledgements at once\n");
        println!(
            "| database | transactions of the leader | reports | stage | activate | converged | finish | whole |"
        );
        println!("|---|---:|---:|---:|---:|---:|---:|---:|");
        rotation("SQLite", &*sqlite, &ring).await?;
        rotation("Postgres", &*postgres, &ring).await
    })
}

/// `plan` for 1,000 versions and 1,000 replicas, while a run waits for all of them.
fn planning(ring: &Ring) -> Result<()> {
    let mut rows = ring.dump.rows.clone();
    let mut state = State::verify(rows.clone(), &ring.key)?;
    let mut draft = Draft::new(&state, None);
    for number in 2..=1000 {
        let row = VersionRow { state: VersionState::Deactivated, ..ring.staged(number)? };
        draft.put_version(row, entry());
    }
    for number in 0..1000 {
        Act::Join { replica: format!("cp-{number}") }.apply(&mut draft, "bench")?;
        // Each sees what was there before it.
        rows = after(rows, draft, ring)?;
        state = State::verify(rows.clone(), &ring.key)?;
        draft = Draft::new(&state, None);
    }
    Act::Begin { trigger: "manual", reason: String::new() }.apply(&mut draft, "bench")?;
    rows = after(rows, draft, ring)?;
    state = State::verify(rows.clone(), &ring.key)?;
    let mut draft = Draft::new(&state, None);
    take(&Step::Stage { version: 1001 }, &mut draft, "bench", Some(ring.staged(1001)?))?;
    rows = after(rows, draft, ring)?;
    let begun = Instant::now();
    let state = State::verify(rows, &ring.key)?;
    let verified = begun.elapsed();
    let observed = Observed {
        state: &state,
        apiservers: &[],
        watched: 0,
        active_for: None,
        provider_rotated: None,
    };
    let policy = Policy::by_hand();
    let mut times: Vec<Duration> = (0..101)
        .map(|_| {
            let begun = Instant::now();
            let planned = plan(&observed, &policy);
            let took = begun.elapsed();
            assert_eq!(planned.waits.len(), 1000, "every replica is waited for");
            took
        })
        .collect();
    times.sort_unstable();
    println!("## Planning with 1,000 versions and 1,000 replicas\n");
    println!(
        "plan: median {:?}, most {:?}; verifying all rows before it: {verified:?}",
        times[50], times[100]
    );
    Ok(())
}

/// Refusals of the gate, as the daemon records them: one after the other, and as many at once as the admin API has calls.
async fn appends(name: &str, bare: &Bare, ledger: &Arc<dyn Ledger>, ring: &Ring) -> Result<()> {
    let root: Arc<dyn RootKey> = Arc::new(LocalFile::open(&ring.root_file).await?);
    let controller = Controller::new(ring.name.clone(), Roots::of(vec![root]), Arc::default());
    controller.connect(Arc::clone(ledger));
    let begun = Instant::now();
    for _ in 0..APPENDS {
        controller.deny("bench", "ListKeys", 0).await?;
    }
    let one = f64::from(APPENDS) / begun.elapsed().as_secs_f64();
    let begun = Instant::now();
    let denied = (0..APPENDS).map(|_| controller.deny("bench", "ListKeys", 0));
    futures_util::stream::iter(denied).buffer_unordered(AT_ONCE).try_collect::<()>().await?;
    let many = f64::from(APPENDS) / begun.elapsed().as_secs_f64();
    println!(
        "| {name} | {:.0} | {one:.0} | {:.2} | {:.0} | {many:.0} | {:.2} |",
        bare.one,
        one / bare.one,
        bare.many,
        many / bare.many
    );
    Ok(())
}

async fn rotation(name: &str, ledger: &dyn Ledger, ring: &Ring) -> Result<()> {
    let mut phases: [Vec<Duration>; 5] = Default::default();
    let (mut transactions, mut reports) = (0, 0);
    for number in 0..REPLICAS {
        let join = Act::Join { replica: format!("cp-{number}") };
        ring.change(ledger, |draft| Ok(join.apply(draft, "bench")?)).await?;
    }
    for round in 0..ROUNDS {
        let version = u32::try_from(round)? + 2;
        (transactions, reports) = (0, 0);
        let begun = Instant::now();
        let begin = Act::Begin { trigger: "manual", reason: String::new() };
        ring.change(ledger, |draft| Ok(begin.apply(draft, "bench")?)).await?;
        let steps = [
            Step::Stage { version },
            Step::Activate { version },
            Step::Converged,
            Step::Finish { outcome: String::new() },
        ];
        transactions += 1;
        for (phase, step) in steps.into_iter().enumerate() {
            let since = Instant::now();
            let staged = match step {
                Step::Stage { .. } => Some(ring.staged(version)?),
                _ => None,
            };
            ring.change(ledger, |draft| Ok(take(&step, draft, "bench", staged)?)).await?;
            transactions += 1;
            phases[phase].push(since.elapsed());
            if phase < 2 {
                let generation = ring.state(ledger).await?.head.generation;
                for number in 0..REPLICAS {
                    let report = ReportRow {
                        replica: format!("cp-{number}"),
                        at: 0,
                        generation,
                        bundle: *ring.state(ledger).await?.newest_digest(),
                        serving: version,
                        tested: version,
                        mac: [0; 32],
                    };
                    ledger
                        .report(&ring.name, &report.sealed(&ring.key, &CLUSTER, &ring.name))
                        .await?;
                    reports += 1;
                }
            }
        }
        phases[4].push(begun.elapsed());
    }
    let median = |mut times: Vec<Duration>| {
        times.sort_unstable();
        format!("{:.1} ms", times[times.len() / 2].as_secs_f64() * 1e3)
    };
    let [stage, activate, converged, finish, whole] = phases.map(median);
    println!(
        "| {name} | {transactions} | {reports} | {stage} | {activate} | {converged} | {finish} | {whole} |"
    );
    Ok(())
}

const TABLE: &str = "CREATE TABLE bare (seq BIGINT PRIMARY KEY, text TEXT, hash BYTEA)";
const INSERT: &str = "INSERT INTO bare VALUES ($1, 'a record of about this length', $2)";

/// The plainest row of that size, one a transaction.
struct Bare {
    one: f64,
    many: f64,
}

impl Bare {
    async fn sqlite(folder: &Folder) -> Result<Self> {
        let options = sqlx::sqlite::SqliteConnectOptions::new()
            .filename(folder.path().join("bare.db"))
            .create_if_missing(true)
            .journal_mode(sqlx::sqlite::SqliteJournalMode::Wal)
            .synchronous(sqlx::sqlite::SqliteSynchronous::Full);
        let pool = sqlx::sqlite::SqlitePoolOptions::new().max_connections(2);
        let pool = pool.test_before_acquire(false).connect_with(options).await?;
        pool.execute(TABLE).await?;
        Self::measure(async |seq| {
            sqlx::query(INSERT).bind(seq).bind(vec![0u8; 32]).execute(&pool).await?;
            Ok(())
        })
        .await
    }

    async fn postgres(server: &Postgres) -> Result<Self> {
        server.sql(&format!("{TABLE}; GRANT ALL ON bare TO strongroom"))?;
        let options: sqlx::postgres::PgConnectOptions = server.url().parse()?;
        let options = options
            .password(server.password())
            .ssl_mode(sqlx::postgres::PgSslMode::VerifyFull)
            .ssl_root_cert(server.authority());
        let pool = sqlx::postgres::PgPoolOptions::new().max_connections(4);
        let pool = pool.test_before_acquire(false).connect_with(options).await?;
        Self::measure(async |seq| {
            sqlx::query(INSERT).bind(seq).bind(vec![0u8; 32]).execute(&pool).await?;
            Ok(())
        })
        .await
    }

    async fn measure(insert: impl AsyncFn(i64) -> Result<()>) -> Result<Self> {
        let mut seq = 0_i64..;
        let begun = Instant::now();
        for seq in seq.by_ref().take(APPENDS as usize) {
            insert(seq).await?;
        }
        let one = f64::from(APPENDS) / begun.elapsed().as_secs_f64();
        let begun = Instant::now();
        let all = seq.take(APPENDS as usize).map(|seq| insert(seq));
        futures_util::stream::iter(all).buffer_unordered(AT_ONCE).try_collect::<()>().await?;
        Ok(Self { one, many: f64::from(APPENDS) / begun.elapsed().as_secs_f64() })
    }
}

/// The rows as they are after a change, without a database.
fn after(
    mut rows: strongroomd::ledger::Rows,
    draft: Draft,
    ring: &Ring,
) -> Result<strongroomd::ledger::Rows> {
    rows.apply(&draft.seal(&ring.key)?);
    Ok(rows)
}

struct Ring {
    name: RingName,
    root: LocalRoot,
    root_file: PathBuf,
    key: LedgerKey,
    dump: Dump,
}

impl Ring {
    fn make(folder: &Folder) -> Result<Self> {
        let name = RingName::parse("etcd")?;
        let root_file = folder.path().join("root.key");
        LocalFile::create(&root_file, &SystemRandom)?;
        let root = KeyMaterial::copy_from(&std::fs::read(&root_file)?).context("the root key")?;
        let root = LocalRoot::new(&root);
        let material = KeyMaterial::make(&SystemRandom)?;
        let id = KeyId::derive(RingName::parse(LedgerKey::RING)?, 1, &material)?;
        let ledger = WrappedLedgerKey { wraps: vec![wrap(&root, &material, &id)?], id: id.clone() };
        let key = LedgerKey::new(id, material).context("the ledger key")?;
        let (id, wraps) = version(&root, &name, 1)?;
        let first =
            Version { id, state: VersionState::Active, created: 1, activated: Some(1), wraps };
        let bundle = Bundle::new(name.clone(), 1, ledger, vec![first])?;
        let bytes = bundle.encode(&key)?;
        let dump = Dump::genesis(CLUSTER, (&bundle, bytes), &key, 1, entry());
        Ok(Self { name, root, root_file, key, dump })
    }

    fn staged(&self, number: u32) -> Result<VersionRow> {
        let (id, wraps) = version(&self.root, &self.name, number)?;
        let state = VersionState::PreActive;
        let (activated, destruction) = (None, None);
        Ok(VersionRow {
            id,
            state,
            created: 1,
            activated,
            changed: 1,
            destruction,
            wraps,
            mac: [0; 32],
        })
    }

    async fn state(&self, ledger: &dyn Ledger) -> Result<State> {
        let rows = ledger.read(&self.name).await?.context("no ring")?;
        Ok(State::verify(rows, &self.key)?)
    }

    async fn change(
        &self,
        ledger: &dyn Ledger,
        plan: impl FnOnce(&mut Draft) -> Result<()>,
    ) -> Result<()> {
        let mut draft = Draft::new(&self.state(ledger).await?, None);
        plan(&mut draft)?;
        Ok(ledger.commit(&draft.seal(&self.key)?).await?)
    }
}

fn version(root: &LocalRoot, ring: &RingName, number: u32) -> Result<(KeyId, Vec<WrappedKey>)> {
    let key = KeyMaterial::make(&SystemRandom)?;
    let id = KeyId::derive(ring.clone(), number, &key)?;
    let wraps = vec![wrap(root, &key, &id)?];
    Ok((id, wraps))
}

fn wrap(root: &LocalRoot, key: &KeyMaterial, key_id: &KeyId) -> Result<WrappedKey> {
    Ok(root.wrap(key, &Context { purpose: Purpose::Key, key_id }, &SystemRandom)?)
}

fn entry() -> Entry {
    Entry {
        actor: "bench".into(),
        action: "bench.noted",
        subject: "a record".into(),
        detail: "of about this length".into(),
    }
}
