//! Rounds: every contender in turn, in every method and shape, so that a slow minute of the machine falls on all of them.

use std::{path::PathBuf, sync::Arc, time::Duration};

use anyhow::{Context as _, Result};

use crate::{
    contender::{Home, Ledger, Live},
    drive::{Method, Sample, Script, Shape, drive},
    kube_client,
    life::first_status,
    output,
    placement::Placement,
    rotations::rotate,
};

/// What to measure.
pub(crate) struct Plan {
    pub(crate) methods: Vec<Method>,
    pub(crate) shapes: Vec<Shape>,
    pub(crate) rounds: usize,
    pub(crate) stretch: Duration,
    /// A stretch in which everything else took more than so much of a core is thrown away and driven again …
    pub(crate) quiet: f64,
    /// … so many times at most.
    pub(crate) patience: usize,
    /// The program that calls, where it is not this one.
    pub(crate) kube_client: Option<PathBuf>,
    /// For the report; the homes act on it.
    pub(crate) cores: Placement,
}

/// All rounds of one method in one shape; `samples[contender][round]`.
pub(crate) struct Cell {
    pub(crate) method: Method,
    pub(crate) shape: Shape,
    pub(crate) samples: Vec<Vec<Sample>>,
}

/// Runs the plan. All contenders are up all the time: one that is not driven sleeps.
pub(crate) async fn run(plan: &Plan, homes: &[Home]) -> Result<Vec<Cell>> {
    let mut running = Vec::with_capacity(homes.len());
    for home in homes {
        let live = home.start()?;
        first_status(home).await?;
        running.push(live);
    }
    let mut cells = Vec::new();
    for &method in &plan.methods {
        let mut scripts = Vec::with_capacity(homes.len());
        for home in homes {
            let script = Script::make(&home.socket, method).await;
            scripts.push(Arc::new(script.with_context(|| {
                format!("{}: {method} cannot be prepared", home.contender.name)
            })?));
        }
        for &shape in &plan.shapes {
            let mut samples: Vec<Vec<Sample>> =
                homes.iter().map(|_| Vec::with_capacity(plan.rounds)).collect();
            for round in 0..plan.rounds {
                for at in 0..homes.len() {
                    // Nobody is always first.
                    let at = (at + round) % homes.len();
                    let (Some(home), Some(script), Some(live), Some(samples)) =
                        (homes.get(at), scripts.get(at), running.get_mut(at), samples.get_mut(at))
                    else {
                        continue;
                    };
                    let sample = quiet(plan, home, live, (method, script), shape).await;
                    let sample = sample.with_context(|| {
                        format!("{}: {method}, {shape}, round {}", home.contender.name, round + 1)
                    })?;
                    output::progress(&format!(
                        "{method:<8} {shape:<8} round {}/{}  {:<24} {:>8.0}/s",
                        round + 1,
                        plan.rounds,
                        home.contender.name,
                        sample.rate()
                    ));
                    samples.push(sample);
                }
            }
            cells.push(Cell { method, shape, samples });
        }
    }
    Ok(cells)
}

async fn quiet(
    plan: &Plan,
    home: &Home,
    live: &mut Live,
    script: (Method, &Arc<Script>),
    shape: Shape,
) -> Result<Sample> {
    for _ in 0..plan.patience {
        let sample = one(plan, home, live, script, shape).await?;
        if sample.others <= plan.quiet {
            return Ok(sample);
        }
        output::progress(&format!(
            "the machine was busy with other things ({:.0} % of a core): again",
            sample.others * 100.0
        ));
    }
    one(plan, home, live, script, shape).await
}

async fn one(
    plan: &Plan,
    home: &Home,
    live: &mut Live,
    (method, script): (Method, &Arc<Script>),
    shape: Shape,
) -> Result<Sample> {
    let (socket, pid, stretch) = (&home.socket, live.pid(), plan.stretch);
    let driven = async {
        match &plan.kube_client {
            None => drive(socket, pid, script, shape, stretch).await,
            Some(program) => kube_client::drive(program, socket, pid, method, shape, stretch),
        }
    };
    let admin = home.admin();
    let driven = if home.contender.ledger == Some(Ledger::Rotating) {
        tokio::select! {
            driven = driven => driven,
            ended = rotate(&admin) => match ended {
                Ok(never) => match never {},
                Err(error) => Err(error.context("a rotation")),
            },
        }
    } else {
        driven.await
    };
    if driven.is_err() {
        live.ensure_alive().with_context(|| home.last_words())?;
    }
    driven
}
