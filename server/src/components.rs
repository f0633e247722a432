//! Wiring: starts the parts that the configuration asks for, and stops them. The only place that knows them all.

use std::{convert::Infallible, io, sync::Arc, time::Duration};

use envelope::{Random, SystemRandom};
use tokio::{
    net::TcpListener,
    runtime::{Builder, Runtime},
    signal::unix::{Signal, SignalKind, signal},
    sync::{Notify, OnceCell},
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use crate::{
    admin, api,
    config::{self, Config, ReplicaName},
    failure::Failure,
    health::Health,
    init,
    keyring::{Keyring, Recovered, Store},
    kms::{self, Allowed, Calls, Plugin, Socket},
    ledger, memory,
    metrics::Metrics,
    probe::Prober,
    process,
    reload::{Last, Reloader},
    root::Roots,
    rotation::{Controller, Runner, Scraper},
    sync::Syncer,
};

/// How long a drain may take. systemd and the kubelet wait longer before they kill.
const DRAIN: Duration = Duration::from_secs(10);
const MOMENT: Duration = Duration::from_secs(1);

/// Serves until a signal: the first SIGTERM or SIGINT drains, the second cuts. Calls `ready` once the keys are loaded.
///
/// # Errors
/// [`Failure`].
pub async fn serve(config: &Config, ready: impl FnOnce()) -> Result<(), Failure> {
    process::prepare_to_serve();
    let Signals { hangup, stop: mut signals } = Signals::new()?;
    let stop = CancellationToken::new();
    let mut parts = Parts { tasks: JoinSet::new() };

    // Before anything that can be slow: kube-apiserver that finds no socket backs off for up to two minutes.
    let socket = Socket::bind(&config.kms)?;

    let keyring = Arc::new(Keyring::default());
    let health = Arc::new(Health::default());
    let metrics = Arc::new(Metrics::new());
    let recovered = Arc::new(OnceCell::new());
    let probe_now = Arc::new(Notify::new());
    let plugin = Plugin {
        keyring: Arc::clone(&keyring),
        recovered: Arc::clone(&recovered),
        health: Arc::clone(&health),
        annotate: config.kms.annotation,
        probe_now: Arc::clone(&probe_now),
    };
    let (allowed, calls) = (Allowed::new(&config.kms), Calls::default());
    let serving =
        kms::serve(socket, allowed, plugin, calls.clone(), Arc::clone(&metrics), stop.clone());
    parts.start("kms", serving);
    if let Some(admin) = &config.admin {
        let listener = TcpListener::bind(admin.listen)
            .await
            .map_err(|source| Failure::Admin { address: admin.listen, source })?;
        let pages = admin::Pages {
            keyring: Arc::clone(&keyring),
            health: Arc::clone(&health),
            metrics: Arc::clone(&metrics),
        };
        parts.start("admin", admin::serve(listener, pages, stop.clone()));
    }

    let roots = tokio::select! {
        roots = Roots::open(&config.roots) => roots?,
        () = signals.next() => return Ok(()),
    };
    let store = init::store(config).map_err(init::InitError::from)?;
    if config.ledger.is_some() && !store.bundle_path().exists() {
        tokio::select! {
            joined = init::join(config, &roots) => { joined?; }
            () = signals.next() => return Ok(()),
        }
    }
    for away in roots.away() {
        error!(error = %away, "a root key is away; it is tried again every 30 seconds");
        health.set("roots", Err(away));
    }
    let reload_now = Arc::new(Notify::new());
    let mut reloader = Reloader {
        store: store.clone(),
        roots: roots.clone(),
        keyring: Arc::clone(&keyring),
        health: Arc::clone(&health),
        metrics: Arc::clone(&metrics),
        now: Arc::clone(&reload_now),
        last: Last::default(),
    };
    // Before the bundle is served, whose versions need not be all that were ever used. Nobody else sets it.
    let _ = recovered.set(Recovered::new(roots.clone()));
    tokio::select! {
        loaded = reloader.load() => loaded?,
        () = signals.next() => return Ok(()),
    }
    parts.start("reload", until(stop.clone(), reloader.run(hangup)));
    parts.start("memory", until(stop.clone(), memory::give_back_regularly()));
    let shared = Shared { keyring, health, metrics, roots, store, reload_now };
    let control = match &config.ledger {
        Some(ledger) => Some(start_control(config, ledger, &shared, &mut parts, &stop).await?),
        None => None,
    };
    let Shared { keyring, health, metrics, roots, .. } = shared;
    let prober = Prober { roots, keyring, health, metrics, now: probe_now };
    parts.start("probe", until(stop.clone(), prober.run()));

    ready();
    tokio::select! {
        () = signals.next() => {}
        failure = parts.ended() => return Err(failure),
    }
    info!("draining: calls under way are finished, new ones go to the next daemon");
    stop.cancel();
    let ended = tokio::select! {
        () = parts.finished() => Ok(()),
        () = signals.next() => Err(Failure::Cut("a second signal came")),
        drained = drained(&calls) => drained,
    };
    drop(control);
    ended
}

/// What serving and the control plane have in common.
struct Shared {
    keyring: Arc<Keyring>,
    health: Arc<Health>,
    metrics: Arc<Metrics>,
    roots: Roots,
    store: Store,
    reload_now: Arc<Notify>,
}

/// The thread of the control plane: whatever a database or a planner does, a call of kube-apiserver never waits for it.
struct ControlThread(Option<Runtime>);

impl Drop for ControlThread {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// Starts what works with the ledger, on a thread of its own.
async fn start_control(
    config: &Config,
    ledger: &config::Ledger,
    shared: &Shared,
    parts: &mut Parts,
    stop: &CancellationToken,
) -> Result<ControlThread, Failure> {
    let cluster = ledger::cluster(config).map_err(init::InitError::from)?.ok_or_else(|| {
        Failure::Rotation(
            "[ledger] needs the identity of the cluster: give cluster = \"…\" as strongroomd init printed it on the first node, or run \
             strongroomd init --config FILE here to enter this node's ring"
                .into(),
        )
    })?;
    let replica = replica_name(ledger)?;
    let runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("control")
        .enable_all()
        .build()
        .map_err(|source| Failure::System { what: "a thread", source })?;
    let (ring, roots) = (shared.store.ring().clone(), shared.roots.clone());
    let mut controller = Controller::new(ring, roots, Arc::clone(&shared.keyring));
    if let Some(rotation) = &config.rotation {
        let scraper = Scraper::new(rotation.apiservers.clone(), rotation.resources.clone());
        controller = controller.planning(rotation.policy.clone(), scraper);
    }
    let controller = controller.ready(cluster).await.map_err(init::InitError::from)?;
    let controller = Arc::new(controller);

    let syncer = Syncer {
        controller: Arc::clone(&controller),
        store: shared.store.clone(),
        replica: replica.clone(),
        reload: Arc::clone(&shared.reload_now),
        health: Arc::clone(&shared.health),
        metrics: Arc::clone(&shared.metrics),
        joined: false,
        trouble: None,
    };
    let database = ledger.database.clone();
    let sync = async move {
        syncer.connect(&database, cluster).await;
        syncer.run().await
    };
    parts.start_on(&runtime, "sync", until(stop.clone(), sync));
    if config.rotation.is_some() {
        let runner = Runner {
            controller: Arc::clone(&controller),
            holder: holder(&replica)?,
            health: Arc::clone(&shared.health),
            metrics: Arc::clone(&shared.metrics),
        };
        parts.start_on(&runtime, "rotation", runner.run(stop.clone()));
    }
    if let Some(api) = &config.api {
        // On the thread that will serve them.
        let places = api.clone();
        let doors = runtime.spawn(async move { api::Doors::open(&places).await }).await;
        let doors = doors.map_err(|error| Failure::System {
            what: "the doors of the admin API",
            source: error.into(),
        })??;
        let gate = api::Gate::new(api::Allowed::new(api.allow.as_deref()), controller);
        let serving =
            api::serve(doors, gate, Calls::default(), Arc::clone(&shared.metrics), stop.clone());
        parts.start_on(&runtime, "api", serving);
    }
    Ok(ControlThread(Some(runtime)))
}

/// The configured name, or the host's.
fn replica_name(ledger: &config::Ledger) -> Result<String, Failure> {
    if let Some(name) = &ledger.replica {
        return Ok(name.to_string());
    }
    let host = rustix::system::uname().nodename().to_string_lossy().to_lowercase();
    ReplicaName::try_from(host.clone()).map(|name| name.to_string()).map_err(|why| {
        Failure::Rotation(format!(
            "the host is called {host:?}, and {why}: give [ledger] a replica = \"…\""
        ))
    })
}

/// This process, and no other of the same name: what holds a lease.
fn holder(replica: &str) -> Result<String, Failure> {
    let mut process = [0; 8];
    SystemRandom.fill(&mut process).map_err(|error| Failure::System {
        what: "random bytes",
        source: io::Error::other(error),
    })?;
    Ok(format!("{replica}/{:016x}", u64::from_be_bytes(process)))
}

/// Waits for calls, not for connections: one without a call is owed no more than a moment to read that we are going.
async fn drained(calls: &Calls) -> Result<(), Failure> {
    sleep(MOMENT).await;
    let none_left = async {
        while !calls.none() {
            sleep(MOMENT / 10).await;
        }
    };
    timeout(DRAIN, none_left)
        .await
        .map_err(|_| Failure::Cut("the drain took longer than 10 seconds"))
}

/// Work that never ends by itself, until `stop`.
async fn until(
    stop: CancellationToken,
    work: impl Future<Output = Infallible>,
) -> Result<(), Infallible> {
    tokio::select! {
        () = stop.cancelled() => Ok(()),
        never = work => match never {},
    }
}

/// Installed before anything else: a signal that nobody handles kills.
struct Signals {
    hangup: Signal,
    stop: StopSignals,
}

/// SIGTERM and SIGINT.
struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> Result<Self, Failure> {
        let refused = |source| Failure::System { what: "a signal handler", source };
        let signal = |kind| signal(kind).map_err(refused);
        let terminate = signal(SignalKind::terminate())?;
        let interrupt = signal(SignalKind::interrupt())?;
        let hangup = signal(SignalKind::hangup())?;
        Ok(Self { hangup, stop: StopSignals { terminate, interrupt } })
    }
}

impl StopSignals {
    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// The running parts. Dropping it ends them all.
struct Parts {
    tasks: JoinSet<(&'static str, Result<(), String>)>,
}

impl Parts {
    fn start<E: ToString>(
        &mut self,
        name: &'static str,
        part: impl Future<Output = Result<(), E>> + Send + 'static,
    ) {
        self.tasks.spawn(async move { (name, part.await.map_err(|error| error.to_string())) });
    }

    fn start_on<E: ToString>(
        &mut self,
        runtime: &Runtime,
        name: &'static str,
        part: impl Future<Output = Result<(), E>> + Send + 'static,
    ) {
        let part = async move { (name, part.await.map_err(|error| error.to_string())) };
        self.tasks.spawn_on(part, runtime.handle());
    }

    /// The first part that ends although nobody asked it to.
    async fn ended(&mut self) -> Failure {
        let (part, reason) = match self.tasks.join_next().await {
            Some(Ok((part, outcome))) => (part, outcome.err()),
            Some(Err(error)) => ("a part", Some(error.to_string())),
            None => ("everything", None),
        };
        Failure::Ended { part, reason: reason.unwrap_or_else(|| "without a reason".into()) }
    }

    /// All of them have ended, as asked.
    async fn finished(&mut self) {
        while let Some(ended) = self.tasks.join_next().await {
            if let Ok((part, Err(reason))) = ended {
                error!(part, reason, "ended badly");
            }
        }
    }
}
