//! Metrics, in one place. Labels are bounded: enums, configured roots, and one key id at a time.

use std::{fmt, sync::atomic::AtomicU64, time::Duration};

use envelope::{KeyId, RootId};
use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder, text},
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::Registry,
};
use ring::digest;
use tonic::Code;

use crate::{root::RootErrorKind, rotation::Phase};

/// Content type of [`Metrics::render`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// A method of the KMS v2 service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
#[expect(missing_docs, reason = "named as the protocol names them")]
pub enum Method {
    Status,
    Encrypt,
    Decrypt,
    /// Any other path.
    Other,
}

impl Method {
    const ALL: [Self; 4] = [Self::Status, Self::Encrypt, Self::Decrypt, Self::Other];

    /// The method of an HTTP/2 path.
    #[must_use]
    pub fn of_path(path: &str) -> Self {
        match path.rsplit('/').next() {
            Some("Status") => Self::Status,
            Some("Encrypt") => Self::Encrypt,
            Some("Decrypt") => Self::Decrypt,
            _ => Self::Other,
        }
    }
}

/// Why a connection was not admitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum Refused {
    /// Its user and group are on no list.
    Identity,
    /// Too many are open.
    Connections,
}

/// How reading the bundle went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
#[expect(missing_docs, reason = "they say it themselves")]
pub enum Load {
    Accepted,
    Refused,
}

/// How a pass of the sync went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
#[expect(missing_docs, reason = "they say it themselves")]
pub enum Sync {
    Done,
    Failed,
}

/// Everything that is counted.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    api_calls: Family<ApiLabels, Counter>,
    calls: Family<CallLabels, Counter>,
    /// One for each [`Method`], in its order: a call should cost no look-up by label.
    methods: [MethodMetrics; Method::ALL.len()],
    refused: Family<RefusedLabel, Counter>,
    generation: Gauge<u64, AtomicU64>,
    key_id_hash: Family<KeyIdLabel, Gauge>,
    loads: Family<LoadLabel, Counter>,
    probes: Family<ProbeLabels, Counter>,
    probe_ok: Family<RootLabel, Gauge>,
    root_ends: Family<RootLabel, Gauge>,
    roots_away: Gauge,
    syncs: Family<SyncLabel, Counter>,
    ledger_up: Gauge,
    leads: Gauge,
    fenced: Counter,
    phase: Family<PhaseLabel, Gauge>,
    stuck: Gauge,
}

/// What nearly every call touches.
#[derive(Debug)]
struct MethodMetrics {
    ok: Counter,
    seconds: Histogram,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CallLabels {
    method: Method,
    code: GrpcCode,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ApiLabels {
    method: &'static str,
    code: GrpcCode,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct MethodLabel {
    method: Method,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RefusedLabel {
    reason: Refused,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KeyIdLabel {
    key_id_hash: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LoadLabel {
    outcome: Load,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SyncLabel {
    outcome: Sync,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PhaseLabel {
    phase: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RootLabel {
    root: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ProbeLabels {
    root: String,
    outcome: &'static str,
}

/// A gRPC code under its name in the specification's Go and Prometheus form (`InvalidArgument`).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct GrpcCode(Code);

impl EncodeLabelValue for GrpcCode {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        EncodeLabelValue::encode(&format!("{:?}", self.0), encoder)
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// All of them at zero.
    #[must_use]
    pub fn new() -> Self {
        // 10 µs to 5 s, the time-out of kube-apiserver within.
        let seconds: Family<MethodLabel, Histogram, fn() -> Histogram> =
            Family::new_with_constructor(|| Histogram::new(exponential_buckets(10e-6, 2.5, 15)));
        let calls = Family::<CallLabels, Counter>::default();
        let methods = Method::ALL.map(|method| MethodMetrics {
            ok: calls.get_or_create_owned(&CallLabels { method, code: GrpcCode(Code::Ok) }),
            seconds: seconds.get_or_create_owned(&MethodLabel { method }),
        });
        let mut metrics = Self {
            registry: Registry::with_prefix("strongroom"),
            api_calls: Family::default(),
            calls,
            methods,
            refused: Family::default(),
            generation: Gauge::default(),
            key_id_hash: Family::default(),
            loads: Family::default(),
            probes: Family::default(),
            probe_ok: Family::default(),
            root_ends: Family::default(),
            roots_away: Gauge::default(),
            syncs: Family::default(),
            ledger_up: Gauge::default(),
            leads: Gauge::default(),
            fenced: Counter::default(),
            phase: Family::default(),
            stuck: Gauge::default(),
        };
        let registry = &mut metrics.registry;
        registry.register("kms_calls", "Calls by method and gRPC code", metrics.calls.clone());
        registry.register(
            "kms_call_duration_seconds",
            "Time from the request's headers to the answer",
            seconds,
        );
        registry.register(
            "api_calls",
            "Calls of the admin API by method and gRPC code; PermissionDenied are those that the gate refused",
            metrics.api_calls.clone(),
        );
        registry.register(
            "kms_refused_peers",
            "Connections that were not admitted",
            metrics.refused.clone(),
        );
        registry.register(
            "bundle_generation",
            "Generation of the bundle that is served; 0 before the first",
            metrics.generation.clone(),
        );
        registry.register(
            "kms_key_id_hash",
            "1 for the active key version; the label is what kube-apiserver exports as key_id_hash",
            metrics.key_id_hash.clone(),
        );
        registry.register(
            "bundle_loads",
            "Bundles that were read, by outcome",
            metrics.loads.clone(),
        );
        registry.register(
            "root_probes",
            "Probes of each root key, by outcome",
            metrics.probes.clone(),
        );
        registry.register(
            "root_up",
            "1 where the last probe of the root key went well",
            metrics.probe_ok.clone(),
        );
        registry.register(
            "root_ends_timestamp_seconds",
            "When the root key, or its imported material, is destroyed: a deletion that is scheduled; no series without one",
            metrics.root_ends.clone(),
        );
        registry.register(
            "roots_away",
            "Root keys of the configuration that could not be opened yet",
            metrics.roots_away.clone(),
        );
        registry.register("ledger_syncs", "Looks at the ledger, by outcome", metrics.syncs.clone());
        registry.register(
            "ledger_up",
            "1 where the last look at the ledger went well",
            metrics.ledger_up.clone(),
        );
        registry.register(
            "rotation_leader",
            "1 on the replica that holds the lease",
            metrics.leads.clone(),
        );
        registry.register(
            "rotation_fenced",
            "Writes of this replica that were refused because its lease was over",
            metrics.fenced.clone(),
        );
        registry.register(
            "rotation_phase",
            "1 for the phase of the run that is open, on the leader",
            metrics.phase.clone(),
        );
        registry.register(
            "rotation_waits",
            "What the open run waits for, on the leader: members, apiservers, a timer, an operator",
            metrics.stuck.clone(),
        );
        metrics
    }

    /// A call was answered, or given up by its peer.
    pub fn call(&self, method: Method, code: Code, took: Duration) {
        let [status, encrypt, decrypt, other] = &self.methods;
        let metrics = match method {
            Method::Status => status,
            Method::Encrypt => encrypt,
            Method::Decrypt => decrypt,
            Method::Other => other,
        };
        if code == Code::Ok {
            metrics.ok.inc();
        } else {
            self.calls.get_or_create(&CallLabels { method, code: GrpcCode(code) }).inc();
        }
        metrics.seconds.observe(took.as_secs_f64());
    }

    /// A call of the admin API was answered, or given up by its peer.
    pub fn api_call(&self, method: &'static str, code: Code) {
        self.api_calls.get_or_create(&ApiLabels { method, code: GrpcCode(code) }).inc();
    }

    /// A connection was not admitted.
    pub fn peer_refused(&self, reason: Refused) {
        self.refused.get_or_create(&RefusedLabel { reason }).inc();
    }

    /// A bundle was read.
    pub fn load(&self, outcome: Load) {
        self.loads.get_or_create(&LoadLabel { outcome }).inc();
    }

    /// This is served from now on.
    pub fn serving(&self, generation: u64, active: &KeyId) {
        self.generation.set(generation);
        self.key_id_hash.clear();
        self.key_id_hash.get_or_create(&KeyIdLabel { key_id_hash: key_id_hash(active) }).set(1);
    }

    /// A root was probed.
    pub fn probe(&self, root: RootId, outcome: Result<&(), RootErrorKind>) {
        let root = root.to_string();
        self.probe_ok.get_or_create(&RootLabel { root: root.clone() }).set(outcome.is_ok().into());
        let outcome = outcome.map_or_else(RootErrorKind::as_str, |_| "ok");
        self.probes.get_or_create(&ProbeLabels { root, outcome }).inc();
    }

    /// The end of a root key is set for this time, or for none.
    pub fn root_ends(&self, root: RootId, ends: Option<u64>) {
        let label = RootLabel { root: root.to_string() };
        match ends {
            Some(ends) => {
                self.root_ends.get_or_create(&label).set(i64::try_from(ends).unwrap_or(i64::MAX));
            }
            None => drop(self.root_ends.remove(&label)),
        }
    }

    /// So many of the configured roots are not open.
    pub fn roots_away(&self, count: usize) {
        self.roots_away.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// The ledger was looked at.
    pub fn synced(&self, outcome: Sync) {
        self.ledger_up.set((outcome == Sync::Done).into());
        self.syncs.get_or_create(&SyncLabel { outcome }).inc();
    }

    /// This replica leads, or does not.
    pub fn leads(&self, leads: bool) {
        self.leads.set(leads.into());
        if !leads {
            self.phase.clear();
            self.stuck.set(0);
        }
    }

    /// A write was refused because its lease was over.
    pub fn fenced(&self) {
        self.fenced.inc();
    }

    /// Where the run is that this replica leads, and for how many things it waits.
    pub fn rotation(&self, phase: Phase, waits: usize) {
        self.phase.clear();
        self.phase.get_or_create(&PhaseLabel { phase: phase.as_str() }).set(1);
        self.stuck.set(i64::try_from(waits).unwrap_or(i64::MAX));
    }

    /// All of them as text, in the format of [`CONTENT_TYPE`].
    ///
    /// # Errors
    /// None that can happen: a `String` takes what is written to it.
    pub fn render(&self) -> Result<String, fmt::Error> {
        let mut out = String::with_capacity(4096);
        text::encode(&mut out, &self.registry)?;
        Ok(out)
    }
}

/// `sha256:` and the lower-case hexadecimal SHA-256 of the key id, as kube-apiserver labels its own metrics (KMS-V2,
/// "Metrics of the apiserver to rely on").
#[must_use]
pub fn key_id_hash(id: &KeyId) -> String {
    let hash = digest::digest(&digest::SHA256, id.as_str().as_bytes());
    hash.as_ref().iter().fold(String::from("sha256:"), |text, byte| text + &format!("{byte:02x}"))
}
