//! The one gate. Every call passes it before anything is looked up; who does not is recorded in the audit chain.
//!
//! Invariant: the ring is reached only through [`Gate::control`], which takes a [`Granted`], and only the gate makes one.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use rustix::process::geteuid;
use tokio::time::{Instant, timeout};
use tokio_util::task::TaskTracker;
use tracing::{error, warn};

use crate::{
    authority::{Allow, Identity, Permission},
    rotation::Control,
};

/// Refusals of one identity that are recorded one by one in [`WINDOW`]; more are counted and told with a later one. A peer
/// that may nothing must not be able to fill the ledger.
const RECORDED: u32 = 10;
const WINDOW: Duration = Duration::from_secs(60);
/// Identities that are told apart in a window. What is beyond is counted together.
const MAX_PEERS: usize = 256;
/// How long a peer waits for its refusal to be recorded. The record goes on without it.
const PATIENCE: Duration = Duration::from_secs(5);

macro_rules! actions {
    ($($name:ident needs $permission:ident,)*) => {
        /// What can be asked: the methods of the service.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[expect(missing_docs, reason = "proto/admin/admin.proto documents each")]
        pub enum Action {
            $($name,)*
        }

        impl Action {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// As the service names it.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)*
                }
            }

            /// What it takes.
            #[must_use]
            pub fn permission(self) -> Permission {
                match self {
                    $(Self::$name => Permission::$permission,)*
                }
            }
        }
    };
}

actions! {
    ListKeys needs Read,
    ArchiveKey needs Destroy,
    CompromiseKey needs Destroy,
    RestoreKey needs Destroy,
    ScheduleDestroy needs Destroy,
    CancelDestroy needs Destroy,
    DestroyKey needs Destroy,
    ListHolds needs Read,
    AddHold needs Operate,
    ReleaseHold needs Operate,
    PlanRotation needs Read,
    StartRotation needs Operate,
    PauseRotation needs Operate,
    ResumeRotation needs Operate,
    CancelRotation needs Operate,
    RotationStatus needs Read,
    WatchRotation needs Read,
    ListReplicas needs Read,
    RemoveReplica needs Operate,
    ListRoots needs Read,
    CheckRoots needs Operate,
    RewrapKeys needs Operate,
    RemoveRoot needs Destroy,
    ListAudit needs Read,
    ExportAudit needs Read,
    ExportLedger needs Recover,
    ImportLedger needs Recover,
    Adopt needs Recover,
}

/// Who may do what.
#[derive(Debug, Clone)]
pub struct Allowed(BTreeMap<Identity, BTreeSet<Permission>>);

impl Allowed {
    /// The list of the configuration; where there is none, root and our own user may everything.
    #[must_use]
    pub fn new(list: Option<&[Allow]>) -> Self {
        let all = || Permission::ALL.into_iter().collect();
        Self(match list {
            Some(list) => list
                .iter()
                .map(|Allow { identity, may }| (identity.clone(), may.iter().copied().collect()))
                .collect(),
            None => [0, geteuid().as_raw()].map(|uid| (Identity::Uid(uid), all())).into(),
        })
    }

    fn allows(&self, peer: &Identity, permission: Permission) -> bool {
        self.0.get(peer).is_some_and(|may| may.contains(&permission))
    }
}

/// Proof that somebody may do something, now.
#[derive(Debug)]
#[must_use]
pub struct Granted {
    actor: String,
    action: Action,
}

impl Granted {
    /// Who, as the audit chain has it.
    #[must_use]
    pub fn actor(&self) -> &str {
        &self.actor
    }

    /// What.
    #[must_use]
    pub fn action(&self) -> Action {
        self.action
    }
}

/// Somebody may not do something.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{peer} may not {}: that takes the permission `{}` in [[api.allow]] of strongroomd's configuration. The refusal was recorded",
    action.as_str(), action.permission().as_str()
)]
pub struct Denied {
    /// Who.
    pub peer: Identity,
    /// What.
    pub action: Action,
}

/// The gate, in front of the ring.
pub struct Gate {
    allowed: Allowed,
    control: Arc<dyn Control>,
    windows: Mutex<BTreeMap<Option<Identity>, Window>>,
    records: TaskTracker,
}

/// Refusals of one identity, since a time.
struct Window {
    since: Instant,
    recorded: u32,
    /// Since the last that was recorded.
    more: u64,
}

impl Gate {
    /// In front of `control`.
    #[must_use]
    pub fn new(allowed: Allowed, control: Arc<dyn Control>) -> Self {
        Self { allowed, control, windows: Mutex::default(), records: TaskTracker::new() }
    }

    /// Whether `peer` may do `action`. A refusal is logged, and recorded in the audit chain even if the peer goes away.
    ///
    /// # Errors
    /// [`Denied`], also where the refusal could not be recorded.
    pub async fn authorize(&self, peer: &Identity, action: Action) -> Result<Granted, Denied> {
        if self.allowed.allows(peer, action.permission()) {
            return Ok(Granted { actor: peer.to_string(), action });
        }
        warn!(%peer, action = action.as_str(), "refused: no permission");
        if let Some(more) = self.is_recorded(peer) {
            let (control, actor) = (Arc::clone(&self.control), peer.to_string());
            let record = self.records.spawn(async move {
                if let Err(error) = control.deny(&actor, action.as_str(), more).await {
                    error!(%error, peer = actor, action = action.as_str(), "a refusal was not recorded in the audit chain");
                }
            });
            // Whatever comes of it, the answer is no.
            let _ = timeout(PATIENCE, record).await;
        }
        Err(Denied { peer: peer.clone(), action })
    }

    /// The ring, for whoever passed.
    #[must_use]
    pub fn control(&self, _: &Granted) -> &dyn Control {
        &*self.control
    }

    /// The same, for work that outlives the call.
    #[must_use]
    pub fn shared_control(&self, _: &Granted) -> Arc<dyn Control> {
        Arc::clone(&self.control)
    }

    /// Waits until every refusal is recorded. None comes after.
    pub async fn recorded(&self) {
        self.records.close();
        self.records.wait().await;
    }

    /// Whether this refusal is recorded by itself, and how many before it were not.
    fn is_recorded(&self, peer: &Identity) -> Option<u64> {
        let now = Instant::now();
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        if windows.len() >= MAX_PEERS {
            windows.retain(|_, window| now.duration_since(window.since) < WINDOW);
        }
        let peer = Some(peer.clone());
        let one =
            if windows.len() < MAX_PEERS || windows.contains_key(&peer) { peer } else { None };
        let window = windows.entry(one).or_insert(Window { since: now, recorded: 0, more: 0 });
        if now.duration_since(window.since) >= WINDOW {
            (window.since, window.recorded) = (now, 0);
        }
        if window.recorded < RECORDED {
            window.recorded += 1;
            Some(std::mem::take(&mut window.more))
        } else {
            window.more = window.more.saturating_add(1);
            None
        }
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate").field("allowed", &self.allowed).finish_non_exhaustive()
    }
}
