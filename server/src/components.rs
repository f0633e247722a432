//! Wiring: starts the parts that the configuration asks for, and stops them. The only place that knows them all.

use std::{convert::Infallible, sync::Arc, time::Duration};

use tokio::{
    net::TcpListener,
    signal::unix::{Signal, SignalKind, signal},
    sync::{Notify, OnceCell},
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use crate::{
    admin,
    config::Config,
    failure::Failure,
    health::Health,
    init,
    keyring::{Keyring, Recovered},
    kms::{self, Allowed, Calls, Plugin, Socket},
    memory,
    metrics::Metrics,
    probe::Prober,
    process,
    reload::{Last, Reloader},
    root::Roots,
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
    for away in roots.away() {
        error!(error = %away, "a root key is left out until the next start");
        health.set("roots", Err(away.to_string()));
    }
    let mut reloader = Reloader {
        store: init::store(config).map_err(init::InitError::from)?,
        roots: roots.clone(),
        keyring: Arc::clone(&keyring),
        health: Arc::clone(&health),
        metrics: Arc::clone(&metrics),
        last: Last::default(),
    };
    tokio::select! {
        loaded = reloader.load() => loaded?,
        () = signals.next() => return Ok(()),
    }
    // Nobody else sets it.
    let _ = recovered.set(Recovered::new(roots.clone()));
    parts.start("reload", until(stop.clone(), reloader.run(hangup)));
    parts.start("memory", until(stop.clone(), memory::give_back_regularly()));
    let prober = Prober { roots, keyring, health, metrics, now: probe_now };
    parts.start("probe", until(stop.clone(), prober.run()));

    ready();
    tokio::select! {
        () = signals.next() => {}
        failure = parts.ended() => return Err(failure),
    }
    info!("draining: calls under way are finished, new ones go to the next daemon");
    stop.cancel();
    tokio::select! {
        () = parts.finished() => Ok(()),
        () = signals.next() => Err(Failure::Cut("a second signal came")),
        drained = drained(&calls) => drained,
    }
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
