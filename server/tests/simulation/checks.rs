//! Invariants 1 to 5 and 7 of the rotation, after each step. 2, 3 and 5 also stand where the thing happens.

use envelope::bundle::State as VersionState;

use super::world::World;

impl World {
    /// # Errors
    /// The invariant that does not hold.
    pub(crate) fn check(&mut self) -> Result<(), String> {
        self.everything_opens().map_err(|what| format!("invariant 1: {what}"))?;
        self.nothing_needs_what_is_destroyed().map_err(|what| format!("invariant 4: {what}"))?;
        self.every_wrap_opens().map_err(|what| format!("roots: {what}"))?;
        self.one_version_is_active().map_err(|what| format!("invariant 5: {what}"))?;
        let inner = self.ledger.inner();
        inner
            .database
            .audit_verifies(self.audited)
            .map_err(|what| format!("invariant 7: {what}"))?;
        self.audited = inner.database.audit.len();
        Ok(())
    }

    /// What is stored, and what would be stored now, opens on every node that is up, stopped ones too: they may be resumed.
    fn everything_opens(&mut self) -> Result<(), String> {
        let now = self.now;
        let written = self.nodes.iter().filter_map(|node| node.writes(now).cloned());
        let stored: Vec<_> = written.chain(self.objects.values().cloned()).collect();
        for node in self.nodes.iter_mut().filter(|node| node.trusted) {
            for stored in &stored {
                node.opens(stored, &self.seeds[&stored.seed])?;
            }
        }
        Ok(())
    }

    fn nothing_needs_what_is_destroyed(&self) -> Result<(), String> {
        let inner = self.ledger.inner();
        let rows = &inner.database.rows;
        let destroyed = |number: u32| {
            rows.versions
                .iter()
                .any(|row| row.id.version() == number && row.state == VersionState::Destroyed)
        };
        if let Some(stored) =
            self.objects.values().find(|stored| destroyed(stored.key_id.version()))
        {
            return Err(format!("{} is destroyed and an object is under it", stored.key_id));
        }
        for (reason, objects) in &self.backups {
            let is_held =
                rows.holds.iter().any(|hold| hold.reason == *reason && hold.released.is_none());
            if let Some(stored) =
                objects.iter().find(|stored| is_held && destroyed(stored.key_id.version()))
            {
                return Err(format!("{} is destroyed and held for {reason}", stored.key_id));
            }
        }
        Ok(())
    }

    fn one_version_is_active(&self) -> Result<(), String> {
        let inner = self.ledger.inner();
        let versions = &inner.database.rows.versions;
        match versions.iter().filter(|row| row.state == VersionState::Active).count() {
            1 => Ok(()),
            count => Err(format!("{count} versions are active")),
        }
    }
}
