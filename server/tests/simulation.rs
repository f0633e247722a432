//! The whole control plane in one thread, with faults drawn by a seed: the rules of ROTATION.md hold after each step, and
//! when the faults end every run ends.
//!
//! `STRONGROOM_SEEDS=5000` runs that many seeds, `STRONGROOM_SEED=17` one, and prints what happened in it.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]
#![expect(clippy::print_stdout, reason = "what happened in a seed is read by people")]
#![expect(
    clippy::disallowed_methods,
    reason = "two variables say how many seeds to run, and which"
)]

use std::{
    collections::BTreeMap,
    panic::catch_unwind,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use strongroomd::rotation::Act;

use self::world::{Tally, World};

#[path = "simulation/checks.rs"]
mod checks;
#[path = "simulation/custody.rs"]
mod custody;
#[path = "simulation/drawn.rs"]
mod drawn;
#[path = "support/fake_root.rs"]
#[expect(dead_code, reason = "the root is always there in a simulation")]
mod fake_root;
#[path = "simulation/faults.rs"]
mod faults;
#[path = "simulation/model.rs"]
mod model;
#[path = "simulation/node.rs"]
mod node;
#[path = "simulation/operator.rs"]
mod operator;
#[path = "simulation/turns.rs"]
mod turns;
#[path = "simulation/world.rs"]
mod world;

/// Seeds of an ordinary run.
const SEEDS: u64 = 200;
/// Rounds with faults.
const FAULTY: u64 = 700;
/// Rounds in which everything must come to rest without them.
const BOUND: u64 = 6000;

/// Runs one seed to its end.
fn run(seed: u64, aloud: bool) -> Result<(Tally, Vec<String>), (String, Vec<String>)> {
    let mut world = World::new(seed, aloud);
    match rounds(&mut world) {
        Ok(()) => {
            let inner = world.ledger.inner();
            let (fenced, moved, commits) = (inner.fenced, inner.moved, inner.commits);
            drop(inner);
            let tally = Tally { fenced, moved, commits, ..world.tally };
            Ok((tally, world.trace))
        }
        Err(violated) => Err((violated, world.trace)),
    }
}

fn rounds(world: &mut World) -> Result<(), String> {
    for _ in 0..FAULTY {
        pass(world);
        if world.dice.one_in(world.every) {
            world.fault();
        }
        if world.dice.one_in(12) {
            world.operator();
        }
        let at = world.dice.below(world.nodes.len());
        world.turn(at);
        world.tally.rounds += 1;
        world.check()?;
    }

    world.note("the faults end");
    world.away_until = 0;
    world.ledger.inner().loses_an_answer = false;
    for node in &mut world.nodes {
        node.paused_until = 0;
        node.down_until = 0;
    }
    // What the calendar begins now never ends.
    world.policy.schedule = None;
    comes_to_rest(world)?;
    tidied(world)?;
    world.operate("ann", &Act::Begin { trigger: "manual", reason: "one more".into() })?;
    comes_to_rest(world)
}

/// Half a second: each node has its turn before its lease is over, mostly.
fn pass(world: &mut World) {
    let seconds = world.dice.below(2) as u64;
    world.tick(seconds);
}

/// A quiet afternoon: what nothing needs any more is archived and destroyed.
fn tidied(world: &mut World) -> Result<(), String> {
    for round in 0..240 {
        pass(world);
        if round % 40 == 0 {
            world.rewrite();
        }
        if round % 8 == 0 {
            world.tidy();
        }
        let at = world.dice.below(world.nodes.len());
        world.turn(at);
        world.check()?;
    }
    Ok(())
}

/// Invariant 6.
fn comes_to_rest(world: &mut World) -> Result<(), String> {
    for round in 0..BOUND {
        pass(world);
        if round % 16 == 0 {
            world.calm();
            if world.rests() {
                return Ok(());
            }
        }
        // In turn: a healthy daemon is not late, and renews its lease in time.
        let at = round as usize % world.nodes.len();
        world.turn(at);
        world.tally.rounds += 1;
        world.check()?;
    }
    let waits = world.state().map(|state| world.plan(&state, None));
    Err(format!("invariant 6: after {BOUND} rounds without faults: {waits:#?}"))
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().unwrap())
}

/// Runs seeds 0 to `seeds`, on a few threads; a panic is a violation too.
fn all(seeds: u64) -> BTreeMap<u64, Result<Tally, String>> {
    let next = AtomicU64::new(0);
    let outcomes = Mutex::new(BTreeMap::new());
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from).min(8) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds {
                        return;
                    }
                    let outcome = match catch_unwind(|| run(seed, false)) {
                        Ok(Ok((tally, _))) => Ok(tally),
                        Ok(Err((violated, _))) => Err(violated),
                        Err(_) => Err("it panicked, see above".into()),
                    };
                    outcomes.lock().unwrap().insert(seed, outcome);
                }
            });
        }
    });
    outcomes.into_inner().unwrap()
}

#[test]
fn rules_hold_whatever_fails_and_every_run_ends() {
    if let Some(seed) = number("STRONGROOM_SEED") {
        match run(seed, true) {
            Ok((tally, _)) => println!("{tally:#?}"),
            Err((violated, _)) => panic!("seed {seed}: {violated}"),
        }
        return;
    }
    let mut sum = Tally::default();
    let mut violations = Vec::new();
    for (seed, outcome) in all(number("STRONGROOM_SEEDS").unwrap_or(SEEDS)) {
        match outcome {
            Ok(tally) => sum.add(&tally),
            Err(violated) => violations.push(format!("STRONGROOM_SEED={seed}: {violated}")),
        }
    }
    println!("{sum:#?}");
    assert!(violations.is_empty(), "{}", violations.join("\n"));
    // A simulation in which nothing goes wrong shows nothing.
    for (what, count) in [
        ("fenced", sum.fenced),
        ("moved", sum.moved),
        ("restores", sum.restores),
        ("adopted", sum.adopted),
        ("activations", sum.activations),
        ("archived", sum.archived),
        ("destroyed", sum.destroyed),
        ("rewrapped", sum.rewrapped),
        ("roots_removed", sum.roots_removed),
    ] {
        assert!(count > 0, "{what} never happened");
    }
}

#[test]
fn seed_replays_exactly() {
    let trace = |seed| match run(seed, false) {
        Ok((_, trace)) | Err((_, trace)) => trace,
    };
    for seed in [3, 17, 91] {
        assert_eq!(trace(seed), trace(seed), "seed {seed}");
    }
}
