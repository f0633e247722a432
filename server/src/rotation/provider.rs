use std::{collections::BTreeMap, time::Duration};

use envelope::{Context, KeyId, Purpose, RootId};
use tokio::time::Instant;
use tracing::debug;

use crate::{
    ledger::VersionRow,
    root::{RootError, Roots},
};

/// A root that did not say is asked again after this.
const AGAIN: Duration = Duration::from_secs(300);

/// Whether a provider rotated a root key since the active version was wrapped under it: AWS then wraps with new material and
/// re-encrypts nothing. A root is asked once for each version and each material, not at every look.
#[derive(Debug, Default)]
pub(super) struct Provider {
    known: BTreeMap<RootId, Known>,
}

#[derive(Debug)]
struct Known {
    version: KeyId,
    material: String,
    /// Whether `version` was wrapped with older material; the error's time where the root did not say.
    rotated: Result<bool, Instant>,
}

impl Provider {
    /// The first root, in the configured order, whose provider rotated it since `active` was wrapped.
    pub(super) async fn rotated(&mut self, roots: &Roots, active: &VersionRow) -> Option<RootId> {
        let mut first = None;
        for (root, checked) in roots.checked() {
            let Some(material) = checked.material else { continue };
            let known = self.known.get(&root).filter(|known| {
                known.version == active.id
                    && known.material == material
                    && known.rotated.err().is_none_or(|at| at.elapsed() < AGAIN)
            });
            let rotated = match known {
                Some(known) => known.rotated.unwrap_or(false),
                None => {
                    let asked = wrapped_with(roots, root, active).await;
                    let rotated = asked.map(|with| with.is_some_and(|with| with != material));
                    let rotated = rotated.map_err(|error| {
                        debug!(%error, "a root key did not say what a version was wrapped with");
                        Instant::now()
                    });
                    let known = Known { version: active.id.clone(), material, rotated };
                    self.known.insert(root, known);
                    rotated.unwrap_or(false)
                }
            };
            first = first.or(rotated.then_some(root));
        }
        first
    }
}

async fn wrapped_with(
    roots: &Roots,
    root: RootId,
    active: &VersionRow,
) -> Result<Option<String>, RootError> {
    let context = Context { purpose: Purpose::Key, key_id: &active.id };
    match active.wraps.iter().find(|wrapped| wrapped.root() == root) {
        Some(wrapped) => roots.material(wrapped, context).await,
        None => Ok(None),
    }
}
