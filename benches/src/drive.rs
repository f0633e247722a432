//! Drives one server for one stretch of time, and counts.

use std::{
    fmt,
    path::Path,
    str::FromStr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use bytes::Bytes;
use hdrhistogram::Histogram;
use prost::Message as _;
use proto::kms::{DecryptRequest, EncryptRequest, EncryptResponse, StatusRequest, StatusResponse};
use tokio::task::JoinSet;

use crate::{
    process::{cpu_time, machine_time},
    wire::{Prepared, Wire},
};

/// Sends calls in this shape for `stretch`, after a warm-up that is not counted.
pub(crate) async fn drive(
    socket: &Path,
    pid: u32,
    script: &Arc<Script>,
    shape: Shape,
    stretch: Duration,
) -> Result<Sample> {
    let tally = Arc::new(Tally::new()?);
    let mut callers = JoinSet::new();
    for _ in 0..shape.connections {
        let wire = Wire::connect(socket).await?;
        for caller in 0..shape.in_flight {
            callers.spawn(call_until_told(
                wire.clone(),
                Arc::clone(script),
                Arc::clone(&tally),
                caller,
            ));
        }
    }
    tokio::time::sleep(stretch.mul_f64(WARM_UP)).await;
    tally.counting.store(true, Ordering::Relaxed);
    let before = Reading::take(pid, &tally)?;
    tokio::time::sleep(stretch).await;
    let after = Reading::take(pid, &tally)?;
    tally.counting.store(false, Ordering::Relaxed);
    tally.stop.store(true, Ordering::Relaxed);
    while let Some(ended) = callers.join_next().await {
        ended??;
    }
    let calls = after.calls - before.calls;
    ensure!(calls > 0, "no call was answered in {stretch:?}");
    let elapsed = after.at - before.at;
    let server_cpu = after.server_cpu.saturating_sub(before.server_cpu);
    let client_cpu = after.client_cpu.saturating_sub(before.client_cpu);
    let others =
        after.machine.saturating_sub(before.machine).saturating_sub(server_cpu + client_cpu);
    let latency = std::mem::replace(
        &mut *tally.latency.lock().map_err(|_| anyhow!("a caller ended badly"))?,
        Histogram::new(1)?,
    );
    Ok(Sample {
        calls,
        elapsed,
        server_cpu,
        client_cpu,
        others: others.as_secs_f64() / elapsed.as_secs_f64(),
        latency,
    })
}

/// What one stretch showed.
pub(crate) struct Sample {
    pub(crate) calls: u64,
    pub(crate) elapsed: Duration,
    pub(crate) server_cpu: Duration,
    pub(crate) client_cpu: Duration,
    /// What everything else on the machine took meanwhile, in cores.
    pub(crate) others: f64,
    /// Nanoseconds from before a call was handed to the connection until its last frame had been read.
    pub(crate) latency: Histogram<u64>,
}

impl Sample {
    pub(crate) fn rate(&self) -> f64 {
        self.calls as f64 / self.elapsed.as_secs_f64()
    }

    pub(crate) fn server_cpu_per_call(&self) -> Duration {
        self.server_cpu.div_f64(self.calls as f64)
    }

    pub(crate) fn latency(&self, quantile: f64) -> Duration {
        Duration::from_nanos(self.latency.value_at_quantile(quantile))
    }
}

/// How many connections, and how many calls in flight on each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) connections: usize,
    pub(crate) in_flight: usize,
}

impl Shape {
    /// One call after the other, as a starting kube-apiserver decrypts its seeds.
    pub(crate) const SERIAL: Self = Self { connections: 1, in_flight: 1 };
    pub(crate) const TWO_CONNECTIONS: Self = Self { connections: 2, in_flight: 64 };
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::SERIAL => f.write_str("serial"),
            Self { connections, in_flight } => write!(f, "{connections} × {in_flight}"),
        }
    }
}

impl FromStr for Shape {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        if text == "serial" {
            return Ok(Self::SERIAL);
        }
        let (connections, in_flight) =
            text.split_once('x').context("expected serial, or CONNECTIONSxCALLS such as 2x64")?;
        let shape = Self { connections: connections.parse()?, in_flight: in_flight.parse()? };
        ensure!(
            shape.connections > 0 && shape.in_flight > 0,
            "expected at least one connection and one call"
        );
        Ok(shape)
    }
}

/// A method of the KMS protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Method {
    /// What users wait for: a cold list after a start decrypts every seed.
    Decrypt,
    /// Once per start and key.
    Encrypt,
    /// Once in 20 to 60 seconds.
    Status,
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Method {
    fn name(self) -> &'static str {
        match self {
            Self::Decrypt => "Decrypt",
            Self::Encrypt => "Encrypt",
            Self::Status => "Status",
        }
    }
}

/// Calls to make in turn, and what their answers must be.
pub(crate) struct Script(Vec<(Prepared, Expected)>);

enum Expected {
    /// Exactly these bytes.
    Message(Bytes),
    /// Fresh randomness in each answer: only the length is known.
    Length(usize),
}

impl Script {
    /// Asks the server for what the script needs: ciphertexts to open, the status that is to stay.
    pub(crate) async fn make(socket: &Path, method: Method) -> Result<Self> {
        let mut wire = Wire::connect(socket).await?;
        let mut steps = Vec::with_capacity(SEEDS);
        for index in 0..SEEDS {
            steps.push(Self::step(&mut wire, method, u8::try_from(index)?).await?);
        }
        Ok(Self(steps))
    }

    async fn step(wire: &mut Wire, method: Method, index: u8) -> Result<(Prepared, Expected)> {
        // The form of a uid of kube-apiserver.
        let uid = format!("5b1c22f1-7b5e-4e7c-9d0a-0000000000{index:02x}");
        if method == Method::Status {
            let call = Prepared::new(method.name(), &StatusRequest {})?;
            let answer = wire.call(&call).await?;
            let status = StatusResponse::decode(answer.clone())?;
            ensure!(status.healthz == "ok", "the server is not healthy: {}", status.healthz);
            return Ok((call, Expected::Message(answer)));
        }
        let plaintext: Vec<u8> = (0..32).map(|at: u8| at.wrapping_mul(7) ^ index).collect();
        let call = Prepared::new(
            Method::Encrypt.name(),
            &EncryptRequest { plaintext: plaintext.clone(), uid: uid.clone() },
        )?;
        let answer = wire.call(&call).await?;
        if method == Method::Encrypt {
            return Ok((call, Expected::Length(answer.len())));
        }
        let EncryptResponse { ciphertext, key_id, annotations } = EncryptResponse::decode(answer)?;
        let call =
            Prepared::new(method.name(), &DecryptRequest { ciphertext, uid, key_id, annotations })?;
        let expected = proto::kms::DecryptResponse { plaintext }.encode_to_vec();
        Ok((call, Expected::Message(expected.into())))
    }
}

impl Expected {
    fn check(&self, answer: &Bytes) -> Result<()> {
        match self {
            Self::Message(bytes) if bytes == answer => Ok(()),
            Self::Length(length) if *length == answer.len() => Ok(()),
            _ => bail!("a wrong answer: figures of a server that is wrong are worth nothing"),
        }
    }
}

/// Different ciphertexts in a script: enough that nothing is answered from a branch predictor, few enough to stay in a cache.
const SEEDS: usize = 64;

/// Warm-up, as a part of the stretch that is measured.
pub(crate) const WARM_UP: f64 = 0.1;

async fn call_until_told(
    mut wire: Wire,
    script: Arc<Script>,
    tally: Arc<Tally>,
    caller: usize,
) -> Result<()> {
    for (call, expected) in script.0.iter().cycle().skip(caller % SEEDS) {
        if tally.stop.load(Ordering::Relaxed) {
            break;
        }
        let counting = tally.counting.load(Ordering::Relaxed);
        let start = Instant::now();
        let answer = wire.call(call).await?;
        let taken = start.elapsed();
        expected.check(&answer)?;
        tally.calls.fetch_add(1, Ordering::Relaxed);
        if counting {
            let nanos = u64::try_from(taken.as_nanos())?;
            tally
                .latency
                .lock()
                .map_err(|_| anyhow!("another caller ended badly"))?
                .saturating_record(nanos);
        }
    }
    Ok(())
}

/// Shared by the callers of one stretch, which all run on one thread: the lock is never waited for.
struct Tally {
    counting: AtomicBool,
    stop: AtomicBool,
    calls: AtomicU64,
    latency: Mutex<Histogram<u64>>,
}

impl Tally {
    fn new() -> Result<Self> {
        let longest = u64::try_from(Duration::from_secs(60).as_nanos())?;
        Ok(Self {
            counting: AtomicBool::new(false),
            stop: AtomicBool::new(false),
            calls: AtomicU64::new(0),
            latency: Mutex::new(Histogram::new_with_max(longest, 3)?),
        })
    }
}

/// All counters at one moment.
struct Reading {
    at: Instant,
    calls: u64,
    server_cpu: Duration,
    client_cpu: Duration,
    machine: Duration,
}

impl Reading {
    fn take(server: u32, tally: &Tally) -> Result<Self> {
        Ok(Self {
            server_cpu: cpu_time(server)?,
            client_cpu: cpu_time(std::process::id())?,
            machine: machine_time()?,
            calls: tally.calls.load(Ordering::Relaxed),
            at: Instant::now(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shape_reads_back_what_it_says() {
        assert_eq!("serial".parse::<Shape>().unwrap(), Shape::SERIAL);
        assert_eq!("1x32".parse::<Shape>().unwrap(), Shape { connections: 1, in_flight: 32 });
        assert_eq!("2x64".parse::<Shape>().unwrap().to_string(), "2 × 64");
        for wrong in ["", "x", "0x1", "1x0", "parallel", "2×64"] {
            assert!(wrong.parse::<Shape>().is_err(), "{wrong:?} was taken for a shape");
        }
    }
}
