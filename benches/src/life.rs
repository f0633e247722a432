//! What a server costs outside its calls: start, restart, memory, size on disk.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use prost::Message as _;
use proto::kms::{StatusRequest, StatusResponse};
use rustix::process::Signal;

use crate::{
    contender::Home,
    drive::{Method, Script, Shape, drive},
    output,
    process::{Resident, resident},
    wire::{Prepared, Wire},
};

/// What was measured; a server that somebody else runs is not restarted.
pub(crate) struct Life {
    pub(crate) size: Option<u64>,
    pub(crate) starts: Vec<Duration>,
    pub(crate) idle: Resident,
    pub(crate) after_calls: (u64, Resident),
    pub(crate) restarts: Option<Restarts>,
}

/// Time without service, from the signal until the next answered Status.
pub(crate) struct Restarts {
    /// SIGTERM, wait for the end, start.
    pub(crate) terminated: Vec<Duration>,
    /// SIGKILL, start: the socket of the dead process lies in the way.
    pub(crate) killed: Vec<Duration>,
}

/// Measures one contender.
pub(crate) async fn measure(home: &Home, repeats: usize, calls: u64) -> Result<Life> {
    let name = &home.contender.name;
    let mut starts = Vec::new();
    if home.is_ours() {
        output::progress(&format!("{name}: {repeats} starts"));
        for _ in 0..repeats {
            let start = Instant::now();
            let live = home.start()?;
            first_status(home).await?;
            starts.push(start.elapsed());
            live.stop(Signal::TERM).await?;
        }
    }
    let (idle, after_calls) = memory(home, calls).await?;
    let restarts = if home.is_ours() {
        output::progress(&format!("{name}: {repeats} restarts by SIGTERM, {repeats} by SIGKILL"));
        let terminated = restarts(home, repeats, Signal::TERM).await?;
        Some(Restarts { terminated, killed: restarts(home, repeats, Signal::KILL).await? })
    } else {
        None
    };
    Ok(Life { size: home.program_size()?, starts, idle, after_calls, restarts })
}

/// Waits until the server answers Status with `ok`; connecting is tried again at short intervals, as a reconnecting client would.
pub(crate) async fn first_status(home: &Home) -> Result<()> {
    let call = Prepared::new("Status", &StatusRequest {})?;
    let deadline = Instant::now() + PATIENCE;
    loop {
        let error = match ask(home, &call).await {
            Ok(status) if status.healthz == "ok" => return Ok(()),
            Ok(status) => anyhow::anyhow!("healthz is {:?}", status.healthz),
            Err(error) => error,
        };
        if Instant::now() > deadline {
            bail!(
                "{}: no healthy Status within {PATIENCE:?}: {error:#}\n{}",
                home.contender.name,
                home.last_words()
            );
        }
        pause();
    }
}

const PATIENCE: Duration = Duration::from_secs(10);

#[expect(
    clippy::disallowed_methods,
    reason = "tokio's clock counts in milliseconds; nothing else runs on this thread now"
)]
fn pause() {
    std::thread::sleep(Duration::from_micros(50));
}

async fn ask(home: &Home, call: &Prepared) -> Result<StatusResponse> {
    let mut wire = Wire::connect(&home.socket).await?;
    Ok(StatusResponse::decode(wire.call(call).await?)?)
}

async fn restarts(home: &Home, repeats: usize, signal: Signal) -> Result<Vec<Duration>> {
    let mut live = home.start()?;
    first_status(home).await?;
    let mut gaps = Vec::with_capacity(repeats);
    for _ in 0..repeats {
        // kube-apiserver keeps its connection open all the time.
        let _connection = Wire::connect(&home.socket).await?;
        let start = Instant::now();
        live.stop(signal).await?;
        live = home.start()?;
        first_status(home).await?;
        gaps.push(start.elapsed());
    }
    live.stop(Signal::TERM).await?;
    Ok(gaps)
}

async fn memory(home: &Home, calls: u64) -> Result<(Resident, (u64, Resident))> {
    let live = home.start()?;
    first_status(home).await?;
    let idle = resident(live.pid())?;
    output::progress(&format!("{}: {calls} calls of Decrypt for its memory", home.contender.name));
    let script = Arc::new(Script::make(&home.socket, Method::Decrypt).await?);
    let mut made = 0;
    while made < calls {
        let sample = drive(
            &home.socket,
            live.pid(),
            &script,
            Shape::TWO_CONNECTIONS,
            Duration::from_secs(1),
        )
        .await;
        made += sample.with_context(|| home.last_words())?.calls;
    }
    Ok((idle, (made, resident(live.pid())?)))
}
