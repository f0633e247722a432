//! Many edits of one collection at once, sometimes of others beside, around or within it: an independent reader reads what was
//! meant, nothing else changes, and where edits touch different entries their order makes no difference.
//!
//! `PROPTEST_CASES=300000` runs that many cases.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

#[path = "together/entries.rs"]
mod entries;
#[path = "support/grow.rs"]
mod grow;
#[path = "support/independent.rs"]
mod independent;
#[path = "support/promises.rs"]
mod promises;
#[path = "support/read.rs"]
mod read;
#[path = "together/step.rs"]
mod step;
#[path = "support/texts.rs"]
mod texts;

use std::{cell::Cell, ops::Range};

use entries::Entries;
use promises::{around, config, keeps_promises};
use proptest::{prelude::*, test_runner::TestRunner};
use read::{Read, values};
use splice::{File, Kind, Refusal, Splice, SpliceError};
use step::{Step, Wish, wishes};

/// What to do with one collection.
#[derive(Debug, Clone)]
struct Plan {
    /// Which one.
    target: usize,
    wishes: Vec<Wish>,
}

fn plans() -> impl Strategy<Value = Vec<Plan>> {
    let plan = (any::<usize>(), wishes()).prop_map(|(target, wishes)| Plan { target, wishes });
    prop::collection::vec(plan, 1..4)
}

/// What came of plans.
struct Done {
    result: Result<String, SpliceError>,
    touched: Vec<Range<usize>>,
    /// What was recorded, in this order.
    steps: Vec<Step>,
    /// How many steps were refused.
    refused: usize,
}

/// Makes the edits, and does the same to what libyaml read before. A step that is refused leaves no trace.
fn perform(
    file: &File<'_>,
    plans: &[Plan],
    meant: &mut [Read],
) -> Result<Option<Done>, TestCaseError> {
    let values = values(file);
    let mut splice = Splice::new(file);
    let mut collections: Vec<Entries> = Vec::new();
    let (mut steps, mut refused) = (Vec::new(), 0);
    for plan in plans {
        let fit: Vec<_> = values
            .iter()
            .filter(|(id, way)| {
                let node = file.node(*id);
                (matches!(node.kind(), Kind::Mapping | Kind::Sequence) || node.is_null())
                    && collections.iter().all(|other| other.leaves(way))
            })
            .collect();
        if fit.is_empty() {
            continue;
        }
        let (id, way) = fit[plan.target % fit.len()];
        let mut entries = Entries::new(file, *id, way);
        for other in &collections {
            entries.hold(&other.way);
        }
        for wish in &plan.wishes {
            let Some(step) = entries.step(wish) else { continue };
            match step.record(&mut splice) {
                Ok(()) => {
                    entries.make(&step);
                    steps.push(step);
                }
                Err(error) => {
                    let known = matches!(error.refusal, Refusal::Alias | Refusal::Tag);
                    prop_assert!(known, "{step:?} {error:?}\n{}", file.text());
                    refused += 1;
                }
            }
        }
        collections.push(entries);
    }
    if steps.is_empty() {
        return Ok(None);
    }
    let touched = collections.iter().map(|entries| around(file, entries.id)).collect();
    // Ways are those of before, so what is within another goes first.
    collections.sort_by_key(|entries| std::cmp::Reverse(entries.way.len()));
    for entries in collections {
        entries.put_into(meant);
    }
    Ok(Some(Done { result: splice.finish(), touched, steps, refused }))
}

#[test]
fn edits_at_once_change_what_was_meant_and_nothing_else() {
    let (made, refused) = (Cell::new(0), Cell::new(0));
    let (made_steps, refused_steps) = (Cell::new(0), Cell::new(0));
    let outcome = TestRunner::new(config(3000)).run(&(grow::files(), plans()), |(grown, plans)| {
        let before = grown.text();
        let file = splice::parse(before.as_bytes())
            .map_err(|error| TestCaseError::fail(format!("{error}\n{before}")))?;
        let Some(mut meant) = promises::read(&file)? else { return Ok(()) };
        let Some(done) = perform(&file, &plans, &mut meant)? else { return Ok(()) };
        made_steps.set(made_steps.get() + done.steps.len());
        refused_steps.set(refused_steps.get() + done.refused);
        match done.result {
            Ok(after) => {
                made.set(made.get() + 1);
                keeps_promises(&before, &after, &done.touched, &meant)
                    .map_err(|error| TestCaseError::fail(format!("{:?}\n{error}", done.steps)))
            }
            Err(error) => {
                refused.set(refused.get() + 1);
                let known = matches!(
                    error.refusal,
                    Refusal::Comment | Refusal::Layout | Refusal::UnendedBlock
                );
                prop_assert!(known, "{:?} {error:?}\n{before}", done.steps);
                Ok(())
            }
        }
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
    let (made, refused) = (made.get(), refused.get());
    assert!(made > 4 * refused, "{made} made, {refused} refused");
    let (made, refused) = (made_steps.get(), refused_steps.get());
    assert!(made > 4 * refused, "{made} steps made, {refused} refused");
}

#[test]
fn edits_of_different_entries_give_the_same_in_any_order() {
    let tried = Cell::new(0);
    let outcome = TestRunner::new(config(1000)).run(&(grow::files(), plans()), |(grown, plans)| {
        let before = grown.text();
        let file = splice::parse(before.as_bytes()).expect("a grown file");
        let Some(mut meant) = promises::read(&file)? else { return Ok(()) };
        let Some(done) = perform(&file, &plans, &mut meant)? else { return Ok(()) };
        if done.steps.len() < 2 || !step::are_apart(&file, &done.steps) {
            return Ok(());
        }
        let mut splice = Splice::new(&file);
        let back = done.steps.iter().rev().try_for_each(|step| step.record(&mut splice));
        let back = back.and_then(|()| splice.finish());
        prop_assert_eq!(back, done.result, "{:?}\n{}", done.steps, before);
        tried.set(tried.get() + 1);
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
    assert!(tried.get() > 100, "only {} tried", tried.get());
}
