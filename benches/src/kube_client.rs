//! Drives one server with the client that kube-apiserver itself has: `tests/cluster/load`, a Go program that is built once.
//!
//! What a call costs a server depends on its client: a Go client writes every frame by itself, the lean one of [`crate::wire`] many at
//! once. Whoever runs a kube-apiserver pays what this one shows.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use hdrhistogram::Histogram;

use crate::{
    drive::{Method, Sample, Shape, WARM_UP},
    process::{cpu_time, machine_time},
};

/// The same as [`crate::drive::drive`], by `program`.
pub(crate) fn drive(
    program: &Path,
    socket: &Path,
    server: u32,
    method: Method,
    shape: Shape,
    stretch: Duration,
) -> Result<Sample> {
    let milliseconds = |time: Duration| format!("{}ms", time.as_millis());
    let mut client = Command::new(program)
        .arg(socket)
        .arg(method.to_string())
        .args([shape.connections.to_string(), shape.in_flight.to_string()])
        .args([milliseconds(stretch.mul_f64(WARM_UP)), milliseconds(stretch)])
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot run {}", program.display()))?;
    let said = BufReader::new(client.stdout.take().context("no output of the client")?);
    let id = client.id();
    let outcome = listen(said, server, id);
    if outcome.is_err() {
        // It may have ended already.
        let _ = client.kill();
    }
    let status = client.wait()?;
    ensure!(status.success(), "the client failed: {status}");
    outcome
}

fn listen(said: impl BufRead, server: u32, client: u32) -> Result<Sample> {
    let reading =
        || anyhow::Ok((cpu_time(server)?, cpu_time(client)?, machine_time()?, Instant::now()));
    let mut lines = said.lines();
    let mut next = || lines.next().transpose()?.context("the client ended too early");
    ensure!(next()? == "begin", "the client says something else than expected");
    let (server_before, client_before, machine_before, begun) = reading()?;
    let end = next()?;
    let (server_after, client_after, machine_after, ended) = reading()?;
    let calls: u64 =
        end.strip_prefix("end ").context("the client did not say its count")?.parse()?;
    ensure!(calls > 0, "no call was answered");
    let mut latency = Histogram::new(3)?;
    for line in lines {
        let line = line?;
        let (microseconds, count) = line.split_once(' ').context("no `MICROSECONDS COUNT`")?;
        latency.record_n(microseconds.parse::<u64>()? * 1000, count.parse()?)?;
    }
    let (server_cpu, client_cpu) =
        (server_after.saturating_sub(server_before), client_after.saturating_sub(client_before));
    let elapsed = ended - begun;
    let others =
        machine_after.saturating_sub(machine_before).saturating_sub(server_cpu + client_cpu);
    Ok(Sample {
        calls,
        elapsed,
        server_cpu,
        client_cpu,
        others: others.as_secs_f64() / elapsed.as_secs_f64(),
        latency,
    })
}
