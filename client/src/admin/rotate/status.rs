//! What people look at while a rotation runs.

use std::fmt::Write as _;

use proto::admin as api;
use serde::Serialize;

use super::Step;
use crate::{
    admin::replicas::Replica,
    output::plain,
    table::table,
    time::{span, time},
};

/// Everything about the rotation.
#[derive(Serialize)]
pub(crate) struct Rotation {
    schema: &'static str,
    cluster: String,
    ring: String,
    now: u64,
    phase: String,
    generation: u64,
    active: String,
    pub(crate) run: Option<Run>,
    replicas: Vec<Replica>,
    apiservers: Vec<Apiserver>,
    steps: Vec<Step>,
    waits: Vec<Wait>,
    eta: Option<u64>,
    next: Option<u64>,
    leader: Option<Leader>,
}

#[derive(Serialize)]
pub(crate) struct Run {
    pub(crate) id: u64,
    trigger: String,
    reason: String,
    requested_by: String,
    begun: u64,
    from: u32,
    to: Option<u32>,
    activated: Option<u64>,
    converged: Option<u64>,
    pub(crate) state: String,
    ended: Option<u64>,
    outcome: String,
}

#[derive(Serialize)]
struct Apiserver {
    name: String,
    on_active: bool,
    key_id_hash: String,
    error: String,
    objects: Option<u64>,
}

#[derive(Serialize)]
struct Wait {
    on: String,
    reason: String,
    unblock: String,
}

#[derive(Serialize)]
struct Leader {
    holder: String,
    epoch: u64,
    until: u64,
}

/// What would be done now.
#[derive(Serialize)]
pub(crate) struct Planned {
    schema: &'static str,
    now: u64,
    phase: String,
    steps: Vec<Step>,
    waits: Vec<Wait>,
    eta: Option<u64>,
    next: Option<u64>,
}

impl Run {
    pub(crate) fn is_open(&self) -> bool {
        matches!(self.state.as_str(), "open" | "paused")
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.state == "cancelled"
    }

    /// Two lines: what it is, and how far.
    fn render(&self, now: u64) -> String {
        let ago = |at: u64| format!("{} ago", span(now.saturating_sub(at)));
        let Self { id, trigger, reason, requested_by, from, state, .. } = self;
        let to =
            self.to.map_or_else(|| "a version to be made".into(), |to| format!("version {to}"));
        let mut text = format!(
            "rotation #{id} is {state}: version {from} to {to} ({trigger}, by {requested_by}: {reason})\n  begun {}",
            ago(self.begun)
        );
        for (word, at) in
            [("activated", self.activated), ("converged", self.converged), ("ended", self.ended)]
        {
            if let Some(at) = at {
                // Writing to a String does not fail.
                let _ = write!(text, ", {word} {}", ago(at));
            }
        }
        text.push('\n');
        if !self.outcome.is_empty() {
            let _ = writeln!(text, "  {}", self.outcome);
        }
        text
    }
}

impl Rotation {
    /// For people: one line for each replica and apiserver, what blocks it, and the command that unblocks.
    pub(crate) fn render(&self) -> String {
        let mut text = format!(
            "ring {} of cluster {}, at {}\nphase {}, active {}, generation {}\n",
            self.ring,
            self.cluster,
            time(self.now),
            self.phase,
            self.active,
            self.generation
        );
        text += &match &self.leader {
            Some(leader) => format!("led by {} (epoch {})\n", leader.holder, leader.epoch),
            None => "led by nobody: no daemon with a [rotation] section holds the lease\n".into(),
        };
        text += &self
            .run
            .as_ref()
            .map_or_else(|| "no rotation yet\n".to_owned(), |run| run.render(self.now));
        text.push('\n');
        if self.replicas.is_empty() {
            text += "no replica has joined\n";
        } else {
            let rows = self.replicas.iter().map(|replica| replica.columns(self.now));
            text += &table(["replica", "is", "serves", "reported"], rows);
        }
        if !self.apiservers.is_empty() {
            text.push('\n');
            let rows = self.apiservers.iter().map(Apiserver::columns);
            text += &table(["apiserver", "is", "objects"], rows);
        }
        text += &format!("\n{}\n", self.counts());
        text = plain(&text);
        text + &steps_and_waits(&self.steps, &self.waits, (self.eta, self.next), self.now)
    }

    /// For logs: what changed, on one line.
    pub(crate) fn line(&self) -> String {
        let waits: Vec<String> =
            self.waits.iter().map(|wait| format!("{}: {}", wait.on, wait.reason)).collect();
        let run = match &self.run {
            Some(run) => format!("rotation #{} {}", run.id, run.state),
            None => "no rotation".into(),
        };
        let mut text = format!("{} {run}, phase {}, {}", time(self.now), self.phase, self.counts());
        if !waits.is_empty() {
            let _ = write!(text, "; waiting for {}", waits.join("; "));
        }
        plain(&text).replace('\n', " ") + "\n"
    }

    fn counts(&self) -> String {
        let ready = self.replicas.iter().filter(|replica| replica.lacks.is_empty()).count();
        let mut text = format!("replicas {ready} of {}", self.replicas.len());
        if !self.apiservers.is_empty() {
            let on = self.apiservers.iter().filter(|apiserver| apiserver.on_active).count();
            let _ = write!(text, ", apiservers {on} of {}", self.apiservers.len());
        }
        text
    }
}

impl Apiserver {
    fn columns(&self) -> [String; 3] {
        let is = match (self.on_active, self.error.is_empty()) {
            (_, false) => format!("not known: {}", self.error),
            (true, true) => "on the active version".into(),
            (false, true) => "not on the active version yet".into(),
        };
        let objects = self.objects.map(|count| count.to_string()).unwrap_or_default();
        [self.name.clone(), is, objects]
    }
}

impl Planned {
    pub(crate) fn render(&self) -> String {
        let head = format!("phase {}\n", self.phase);
        head + &steps_and_waits(&self.steps, &self.waits, (self.eta, self.next), self.now)
    }
}

fn steps_and_waits(
    steps: &[Step],
    waits: &[Wait],
    (eta, next): (Option<u64>, Option<u64>),
    now: u64,
) -> String {
    let mut text = String::new();
    for Step { what, reason } in steps {
        let _ = writeln!(text, "next: {what}\n      {reason}");
    }
    for Wait { on, reason, unblock } in waits {
        let _ = writeln!(text, "waiting for {on}: {reason}");
        if !unblock.is_empty() {
            let _ = writeln!(text, "  unblock: {unblock}");
        }
    }
    if steps.is_empty() && waits.is_empty() {
        text += "nothing to do, nothing is waited for\n";
    }
    if let Some(eta) = eta {
        let left = span(eta.saturating_sub(now));
        let _ = writeln!(text, "this phase ends by itself at {}, in {left}", time(eta));
    }
    if let Some(next) = next {
        let _ = writeln!(
            text,
            "the next rotation begins by itself at {}, in {}",
            time(next),
            span(next.saturating_sub(now))
        );
    }
    plain(&text)
}

fn phase(phase: api::Phase) -> String {
    phase.as_str_name().trim_start_matches("PHASE_").to_lowercase()
}

fn steps(steps: Vec<api::Step>) -> Vec<Step> {
    steps.into_iter().map(|api::Step { what, reason }| Step { what, reason }).collect()
}

fn waits(waits: Vec<api::Wait>) -> Vec<Wait> {
    waits
        .into_iter()
        .map(|api::Wait { on, reason, unblock }| Wait { on, reason, unblock })
        .collect()
}

impl From<api::Run> for Run {
    fn from(run: api::Run) -> Self {
        Self {
            state: run.state().as_str_name().trim_start_matches("RUN_STATE_").to_lowercase(),
            id: run.id,
            trigger: run.trigger,
            reason: run.reason,
            requested_by: run.requested_by,
            begun: run.begun,
            from: run.from,
            to: run.to,
            activated: run.activated,
            converged: run.converged,
            ended: run.ended,
            outcome: run.outcome,
        }
    }
}

impl From<api::Rotation> for Rotation {
    fn from(rotation: api::Rotation) -> Self {
        let apiserver = |one: api::Apiserver| {
            let api::Apiserver { name, key_id_hash, error, on_active, objects } = one;
            Apiserver { name, on_active, key_id_hash, error, objects }
        };
        let leader = |api::Leader { holder, epoch, until }| Leader { holder, epoch, until };
        Self {
            schema: "strongroom.dev/rotation/v1",
            phase: phase(rotation.phase()),
            cluster: rotation.cluster,
            ring: rotation.ring,
            now: rotation.now,
            generation: rotation.generation,
            active: rotation.active,
            run: rotation.run.map(Run::from),
            replicas: rotation.replicas.into_iter().map(Replica::from).collect(),
            apiservers: rotation.apiservers.into_iter().map(apiserver).collect(),
            steps: steps(rotation.steps),
            waits: waits(rotation.waits),
            eta: rotation.eta,
            next: rotation.next,
            leader: rotation.leader.map(leader),
        }
    }
}

impl From<api::PlanRotationResponse> for Planned {
    fn from(plan: api::PlanRotationResponse) -> Self {
        Self {
            schema: "strongroom.dev/plan/v1",
            now: plan.now,
            phase: phase(plan.phase()),
            steps: steps(plan.steps),
            waits: waits(plan.waits),
            eta: plan.eta,
            next: plan.next,
        }
    }
}
