//! Brings every key under every root of this node, and gives a root up.

use std::collections::BTreeMap;

use envelope::{KeyId, RootId, WrappedKey};

use super::{
    Act, Control as _, ControlError, Controller, Refused, Tried, wrapped,
    wraps::{self, Key},
};
use crate::ledger::State;

/// Keys of one transaction. A rewrap that is broken off has done the batches before, and the next one goes on.
const BATCH: usize = 32;

/// A root of this node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root {
    /// Its id; absent while it is away, because only the key itself tells.
    pub id: Option<RootId>,
    /// As the configuration names it; empty while it is away.
    pub name: String,
    /// Why it is away.
    pub away: Option<String>,
}

/// Roots, and the keys that lie under them or do not.
#[derive(Debug, Clone)]
pub struct Custody {
    /// The ledger.
    pub state: State,
    /// The roots of this node, in the configured order, then those that are away.
    pub roots: Vec<Root>,
}

/// What a rewrap did, or would do.
#[derive(Debug, Clone)]
pub struct Rewrapped {
    /// Afterwards.
    pub custody: Custody,
    /// New wraps.
    pub made: BTreeMap<KeyId, Vec<RootId>>,
    /// What was not wrapped, and why.
    pub failed: Vec<(KeyId, String)>,
}

impl Controller {
    fn own_roots(&self) -> Vec<Root> {
        let open = self.roots().iter();
        let open = open.map(|root| Root { id: Some(root.id()), name: root.name(), away: None });
        let away = self.roots().away();
        let away = away.iter().map(|why| Root {
            id: None,
            name: String::new(),
            away: Some(why.to_string()),
        });
        open.chain(away).collect()
    }

    pub(super) async fn look_at_roots(&self) -> Result<Custody, ControlError> {
        Ok(Custody { state: self.state().await?, roots: self.own_roots() })
    }

    pub(super) async fn try_roots(&self) -> Result<(Custody, Vec<Tried>), ControlError> {
        let custody = self.look_at_roots().await?;
        let tried = wraps::check(&custody.state, self.roots()).await;
        Ok((custody, tried))
    }

    /// Whether this node could start with the newest bundle of `state` instead of the one that it serves.
    ///
    /// # Errors
    /// [`ControlError::Closed`].
    pub async fn opens(&self, state: &State) -> Result<(), ControlError> {
        let served = self.keyring().snapshot();
        let served = served.as_ref().map(|served| served.bundle());
        wraps::open_all(state, served, self.roots()).await
    }

    /// Killed at any point it leaves what is there, and as many new wraps as were committed.
    pub(super) async fn rewrap_all(
        &self,
        actor: &str,
        dry_run: bool,
    ) -> Result<Rewrapped, ControlError> {
        let custody = self.look_at_roots().await?;
        let (mut made, mut failed) = (BTreeMap::new(), Vec::new());
        if dry_run {
            for key in wrapped(&custody.state) {
                let lacking = self.roots().iter().map(|root| root.id());
                let lacking: Vec<_> = lacking.filter(|root| !key.is_under(*root)).collect();
                if !lacking.is_empty() {
                    made.insert(key.id.clone(), lacking);
                }
            }
            return Ok(Rewrapped { custody, made, failed });
        }
        for batch in Key::all(&custody.state).chunks(BATCH) {
            let (new, not) = wraps::make_lacking(batch, self.roots()).await;
            failed.extend(not);
            if new.is_empty() {
                continue;
            }
            let roots = |wraps: &Vec<WrappedKey>| wraps.iter().map(WrappedKey::root).collect();
            made.extend(new.iter().map(|(id, wraps)| (id.clone(), roots(wraps))));
            self.act(actor, Act::Rewrap { made: new }).await?;
        }
        Ok(Rewrapped { custody: self.look_at_roots().await?, made, failed })
    }

    pub(super) async fn give_up(
        &self,
        actor: &str,
        root: RootId,
        reason: String,
    ) -> Result<Custody, ControlError> {
        if self.roots().iter().any(|open| open.id() == root) {
            return Err(Refused(format!(
                "root key {root} is configured on this node, and the next rotation would wrap under it again: take it out of \
                 [[roots]] on every node, restart each strongroomd, then strongroom roots remove {root}"
            ))
            .into());
        }
        let proven = wraps::opened_without(root, &self.state().await?, self.roots()).await;
        self.act(actor, Act::RemoveRoot { root, reason, proven }).await?;
        self.look_at_roots().await
    }
}
