//! The phases of an open run.

use std::fmt::Write;

use envelope::{Bundle, KeyId, bundle::State as VersionState};

use super::{Apiserver, Observed, Phase, Plan, Policy, Step, Wait};
use crate::{
    ledger::{ReplicaRow, ReportRow, RunRow, RunState, State, VersionRow},
    metrics::key_id_hash,
    rotation::words::{moment, span},
};

/// Members that know better than the ledger. While there is one, the ledger is an old copy, and going on from it would give
/// numbers a second time that others use already.
pub(super) fn disputes(state: &State) -> Vec<Wait> {
    let newest = state.head.generation;
    let mut waits = Vec::new();
    for (member, report) in state.members() {
        let Some(report) = report else { continue };
        let reason = if report.generation > newest {
            format!(
                "replica {} has accepted generation {}, and the ledger is at {newest}: it was restored from an old backup",
                member.name, report.generation
            )
        } else if report.generation == newest && report.bundle != *state.newest_digest() {
            format!(
                "replica {} has another generation {newest} than the ledger: it was restored from an old backup and changed since",
                member.name
            )
        } else {
            continue;
        };
        waits.push((report.generation, &member.name, reason));
    }
    // The command belongs on the node that knows most.
    let best = waits.iter().max_by_key(|(generation, ..)| *generation).map(|(_, name, _)| *name);
    let command = best.map(|name| format!("on {name}: strongroom ledger adopt"));
    waits
        .into_iter()
        .map(|(_, _, reason)| Wait { on: "ledger".into(), reason, unblock: command.clone() })
        .collect()
}

pub(super) fn plan(observed: &Observed<'_>, policy: &Policy, run: &RunRow, plan: &mut Plan) {
    let state = observed.state;
    let paused = run.state == RunState::Paused;
    if paused {
        plan.waits.push(Wait {
            on: "operator".into(),
            reason: format!("run {} is paused", run.id),
            unblock: Some("strongroom rotate resume".into()),
        });
    }
    let next = match run.to {
        None => stage(state, plan),
        Some(number) => match state.version(number) {
            Some(target) if target.activated.is_none() => propagate(state, target, plan),
            Some(target) if run.converged.is_none() => {
                converge(observed, policy, (run, target), plan)
            }
            Some(target) => finish(observed, (run, target), plan),
            None => {
                plan.phase = Phase::Stage;
                plan.waits.push(Wait {
                    on: "ledger".into(),
                    reason: format!("run {} names version {number}, and there is none", run.id),
                    unblock: Some("strongroom rotate cancel".into()),
                });
                None
            }
        },
    };
    plan.steps.extend(next.filter(|_| !paused));
    plan.eta = plan.eta.filter(|_| !paused);
}

fn stage(state: &State, plan: &mut Plan) -> Option<(Step, String)> {
    plan.phase = Phase::Stage;
    let highest = state.versions.last().map_or(0, |row| row.id.version());
    match highest.checked_add(1) {
        Some(version) if state.versions.len() < Bundle::MAX_VERSIONS => Some((
            Step::Stage { version },
            format!("version {version} is made and given to every replica, which only tests it"),
        )),
        _ => {
            plan.waits.push(Wait {
                on: "ledger".into(),
                reason: "the ring has as many versions as a bundle holds".into(),
                unblock: Some("strongroom rotate cancel".into()),
            });
            None
        }
    }
}

fn propagate(state: &State, target: &VersionRow, plan: &mut Plan) -> Option<(Step, String)> {
    plan.phase = Phase::Propagate;
    let (id, number) = (&target.id, target.id.version());
    if target.state != VersionState::PreActive {
        plan.waits.push(Wait {
            on: "operator".into(),
            reason: format!(
                "{id} is {} and was never active: it cannot become so",
                target.state.as_str()
            ),
            unblock: Some("strongroom rotate cancel".into()),
        });
        return None;
    }
    let ready = every_member(state, plan, |report| {
        (report.tested < number).then(|| {
            format!(
                "has {id} and has not wrapped and opened a self-test under it; its log says why"
            )
        })
    });
    if !ready {
        return None;
    }
    plan.phase = Phase::Activate;
    let reason = format!("every replica has {id} and opened a self-test under it");
    Some((Step::Activate { version: number }, reason))
}

fn converge(
    observed: &Observed<'_>,
    policy: &Policy,
    (run, target): (&RunRow, &VersionRow),
    plan: &mut Plan,
) -> Option<(Step, String)> {
    plan.phase = Phase::Converge;
    let (state, id) = (observed.state, &target.id);
    let replicas = every_member(state, plan, |report| {
        (report.serving < id.version()).then(|| format!("still names version {}", report.serving))
    });
    let apiservers = if observed.apiservers.is_empty() {
        plan.eta =
            timer(observed, policy, run.activated.or(target.activated).unwrap_or(state.now), plan);
        plan.eta.is_none()
    } else {
        every_apiserver(observed.apiservers, id, plan)
    };
    let reason = if observed.apiservers.is_empty() {
        format!("every replica names {id}, and every apiserver had the time to ask")
    } else {
        format!("every replica names {id}, and every apiserver says that it writes under it")
    };
    plan.eta = plan.eta.filter(|_| replicas);
    (replicas && apiservers).then_some((Step::Converged, reason))
}

fn finish(
    observed: &Observed<'_>,
    (run, target): (&RunRow, &VersionRow),
    plan: &mut Plan,
) -> Option<(Step, String)> {
    plan.phase = Phase::Reencrypt;
    let old = observed
        .state
        .version(run.from)
        .map_or_else(|| format!("version {}", run.from), |row| row.id.to_string());
    // Apiservers of one cluster count the same objects in the same etcd, so the largest count is that of all.
    let objects = match observed.apiservers.iter().filter_map(|apiserver| apiserver.objects).max() {
        Some(objects) => format!("at most {objects} objects"),
        None => "all objects that were written before, how many is not known here,".into(),
    };
    let compromised = run.trigger == "compromise";
    let mut outcome = format!(
        "{} is active on every replica and apiserver. What was written before is not rewritten by itself: {objects} are still \
         under {old} or older. To rewrite them: kubectl get secrets,configmaps -A -o json | kubectl replace -f -. Until then \
         {old} stays deactivated and opens them; when nothing needs it any more: strongroom keys {} {}",
        target.id,
        if compromised { "compromise" } else { "archive" },
        run.from
    );
    if compromised {
        // Writing to a String cannot fail.
        let _ = write!(
            outcome,
            ". Until they are rewritten, whoever has the key of {old} can read them: rewrite them now, and change the \
             passwords and tokens in them"
        );
    }
    let reason = format!("every replica and apiserver is on {}", target.id);
    Some((Step::Finish { outcome }, reason))
}

/// Whether every member serves the newest bundle and nothing is `lacking` in what it says. Puts a wait for each that does not.
fn every_member(
    state: &State,
    plan: &mut Plan,
    lacking: impl Fn(&ReportRow) -> Option<String>,
) -> bool {
    let (mut members, mut ready) = (0, 0);
    let newest = state.head.generation;
    for (member, report) in state.members() {
        members += 1;
        let reason = match report {
            None => Some(format!("has not reported since it joined at {}", moment(member.joined))),
            Some(report) if report.bundle != *state.newest_digest() => Some(format!(
                "serves generation {}, and the ledger is at {newest}",
                report.generation
            )),
            Some(report) => lacking(report),
        };
        match reason {
            Some(reason) => plan.waits.push(on_replica(state, member, report, &reason)),
            None => ready += 1,
        }
    }
    if members == 0 {
        plan.waits.push(Wait {
            on: "replicas".into(),
            reason: "no replica is a member, so nothing proves that anybody has the new version: start strongroomd on each \
                     node, it joins by itself"
                .into(),
            unblock: None,
        });
    }
    members > 0 && ready == members
}

fn on_replica(
    state: &State,
    member: &ReplicaRow,
    report: Option<&ReportRow>,
    reason: &str,
) -> Wait {
    let name = &member.name;
    let seen = match report {
        Some(report) => format!("; last seen {} ago", span(state.now.saturating_sub(report.at))),
        None => String::new(),
    };
    Wait {
        on: format!("replica {name}"),
        reason: format!("replica {name} {reason}{seen}. If it is gone for good, remove it"),
        unblock: Some(format!("strongroom replicas remove {name}")),
    }
}

fn every_apiserver(apiservers: &[Apiserver], id: &KeyId, plan: &mut Plan) -> bool {
    let expected = key_id_hash(id);
    let waits = plan.waits.len();
    for Apiserver { name, key_id_hash: hash, .. } in apiservers {
        let reason = match hash {
            Ok(hash) if *hash == expected => continue,
            Ok(_) => format!(
                "apiserver {name} does not name {id} yet: it asks its plugin for Status every minute"
            ),
            Err(error) => format!(
                "apiserver {name} cannot be asked which version it writes under: {error}. Mend that, or take it out of \
                 [rotation] in the configuration if it is gone for good"
            ),
        };
        plan.waits.push(Wait { on: format!("apiserver {name}"), reason, unblock: None });
    }
    plan.waits.len() == waits
}

/// No apiserver can be asked, so each is given the time in which it must have asked. Until when, where it is not over.
fn timer(observed: &Observed<'_>, policy: &Policy, activated: u64, plan: &mut Plan) -> Option<u64> {
    // A leader that has not watched from the start begins to count anew: later than needed, never earlier. Leaders that
    // change often would never have done, so in the end the ledger's clock decides, with room for being set ahead.
    let by_clock = observed.state.now.saturating_sub(activated);
    let in_the_end = by_clock.saturating_sub(Policy::CLOCK_ERROR);
    let passed = observed.active_for.map_or(by_clock, |watched| watched.max(in_the_end));
    let left = policy.converge_after.saturating_sub(passed);
    if left == 0 {
        return None;
    }
    plan.waits.push(Wait {
        on: "timer".into(),
        reason: format!(
            "no apiserver is configured to be asked, so each is given {} to ask for Status: {} to go",
            span(policy.converge_after),
            span(left)
        ),
        unblock: None,
    });
    Some(observed.state.now.saturating_add(left))
}
