use envelope::RootId;

use super::{
    Schedule,
    words::{moment, span},
};
use crate::ledger::{RunState, State};

/// When a rotation begins by itself, and how long things are waited for. All times in seconds.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// Where no metric of an apiserver can be read, how long after activation it is taken to have seen the new version.
    pub converge_after: u64,
    /// The calendar.
    pub schedule: Option<Schedule>,
    /// Begin when the active version is older than this; inside the windows of the schedule, where it has any.
    pub max_age: Option<u64>,
    /// Begin when the provider of a root key rotated it, which re-encrypts nothing by itself; inside the windows of the schedule,
    /// where it has any.
    pub follow_provider: bool,
}

/// A run that the policy wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Due {
    /// When, never before now.
    pub at: u64,
    pub trigger: &'static str,
    pub reason: String,
    /// Whether only a window is waited for.
    pub overdue: bool,
}

impl Policy {
    /// 3 + N + 5 minutes: an apiserver whose Status fails goes on writing for 3; it asks for Status every N = 1; and 5 for
    /// clocks and connections that are slow.
    pub const CONVERGE_AFTER: u64 = (3 + 1 + 5) * 60;

    /// By how much the ledger's clock may be set ahead without ending a wait too early.
    pub const CLOCK_ERROR: u64 = 2 * 3600;

    /// A rotation that nobody asked for by hand and somebody cancelled is proposed again after this: not at once, which would be quarrelling,
    /// and not a whole age later.
    pub const AFTER_CANCEL: u64 = 86_400;

    /// Nothing begins by itself.
    #[must_use]
    pub fn by_hand() -> Self {
        Self {
            converge_after: Self::CONVERGE_AFTER,
            schedule: None,
            max_age: None,
            follow_provider: false,
        }
    }

    /// The next run that nobody asks for by hand.
    pub(super) fn due(&self, state: &State, provider_rotated: Option<RootId>) -> Option<Due> {
        let provider = provider_rotated.and_then(|root| self.by_provider(state, root));
        [self.by_schedule(state), self.by_age(state), provider]
            .into_iter()
            .flatten()
            .min_by_key(|due| due.at)
    }

    fn by_schedule(&self, state: &State) -> Option<Due> {
        let schedule = self.schedule.as_ref()?;
        let since = [last_begun(state), active_since(state)].into_iter().flatten().max();
        // A ring whose only version is older than any record: from its making.
        let since = since.or_else(|| Some(state.active()?.created))?;
        let at = schedule.next(&state.cluster.id, since, state.now)?;
        let reason = format!("the schedule; the last rotation was at {}", moment(since));
        // An occurrence that was missed is made up in the window of the next: nobody waits for it, so nothing is overdue.
        Some(Due { at, trigger: "schedule", reason, overdue: false })
    }

    fn by_age(&self, state: &State) -> Option<Due> {
        let (max, active) = (self.max_age?, state.active()?);
        let since = active_since(state).unwrap_or(active.created);
        let old = since.saturating_add(max);
        let at = self.proposed(old.max(state.now), state)?;
        let reason = format!(
            "{} is active since {}: the policy allows {}",
            active.id,
            moment(since),
            span(max)
        );
        Some(Due { at, trigger: "age", reason, overdue: old <= state.now })
    }

    fn by_provider(&self, state: &State, root: RootId) -> Option<Due> {
        let active = state.active().filter(|_| self.follow_provider)?;
        let at = self.proposed(state.now, state)?;
        let reason =
            format!("the provider of root key {root} rotated it since {} was wrapped", active.id);
        Some(Due { at, trigger: "provider", reason, overdue: true })
    }

    /// The first moment from `due` on that is in a window, and a while after somebody cancelled the last run.
    fn proposed(&self, mut due: u64, state: &State) -> Option<u64> {
        let last = state.runs.last().filter(|run| run.state == RunState::Cancelled);
        if let Some(ended) = last.and_then(|run| believed(run.ended?, state.now)) {
            due = due.max(ended.saturating_add(Self::AFTER_CANCEL));
        }
        match &self.schedule {
            Some(schedule) => schedule.open_from(due),
            None => Some(due),
        }
    }
}

fn last_begun(state: &State) -> Option<u64> {
    state.runs.iter().rev().find_map(|run| believed(run.begun, state.now))
}

fn active_since(state: &State) -> Option<u64> {
    believed(state.active()?.activated?, state.now)
}

/// A moment more than a day ahead was noted while the ledger's clock was wrong. Believing it would put off rotation until
/// then, which may be years; not believing it costs one rotation too many.
fn believed(at: u64, now: u64) -> Option<u64> {
    (at <= now.saturating_add(86_400)).then_some(at)
}
