//! What is merged without a conflict can be read again.

use std::collections::BTreeMap;

use envelope::SystemRandom;
use sealing::{Conflict, DataKey, MergeError, Scope, SealedSecret, Template};

use crate::{
    support::{keys, recipients, ring, sealed, set},
    written::written,
};

fn template(key: &DataKey) -> Template {
    Template { data: BTreeMap::from([(key.clone(), "text".to_owned())]), ..Template::default() }
}

#[test]
fn key_that_one_side_seals_and_the_other_renders_is_a_conflict() {
    let all = keys(1);
    let base = sealed(Scope::Strict, &[("k", b"value")], &recipients(&all));
    let (mut seals, mut renders) = (base.clone(), base.clone());
    set(&mut seals, &[("new", b"sealed")], &recipients(&all));
    let new = DataKey::parse("new").unwrap();
    renders.set_template(template(&new));
    for (ours, theirs) in [(&seals, &renders), (&renders, &seals)] {
        let merged = SealedSecret::merge(Some(&base), ours, theirs).unwrap();
        assert_eq!(merged.conflicts, [Conflict::Value(new.clone())]);
        for (merged, side) in
            [(&merged.ours, ours), (&merged.theirs, theirs), (&merged.base, &base)]
        {
            assert_eq!(merged.values(), side.values());
            assert_eq!(merged.template(), side.template());
        }
    }
}

/// One side seals a value anew, the other one makes text of it: one conflict, and neither side has both.
#[test]
fn value_that_one_side_changes_and_the_other_renders_is_one_conflict() {
    let all = keys(1);
    let base = sealed(Scope::Strict, &[("k", b"value"), ("l", b"other")], &recipients(&all));
    let (mut ours, mut theirs) = (base.clone(), base.clone());
    set(&mut ours, &[("k", b"new")], &recipients(&all));
    let k = DataKey::parse("k").unwrap();
    assert!(theirs.unset("k"));
    theirs.set_template(template(&k));
    let merged = SealedSecret::merge(Some(&base), &ours, &theirs).unwrap();
    assert_eq!(merged.conflicts, [Conflict::Value(k)]);
    assert!(merged.ours.template().data.is_empty() && merged.ours.values().contains_key("k"));
    assert_eq!(merged.theirs.template(), theirs.template());
    assert!(!merged.theirs.values().contains_key("k"));
    assert_eq!(merged.ours.open(&ring(&all)).unwrap().len(), 2);
}

#[test]
fn sixty_five_slots_together_are_refused_and_sixty_four_can_be_read() {
    let all = keys(1);
    let base = sealed(Scope::Strict, &[("k", b"value")], &recipients(&all));
    let (mut ours, mut theirs) = (base.clone(), base.clone());
    for i in 0..31 {
        set(&mut ours, &[(&format!("ours-{i}"), b"v")], &recipients(&all));
        set(&mut theirs, &[(&format!("theirs-{i}"), b"v")], &recipients(&all));
    }
    set(&mut ours, &[("ours-last", b"v")], &recipients(&all));
    let merged = SealedSecret::merge(Some(&base), &ours, &theirs).unwrap();
    assert_eq!(merged.conflicts, []);
    let read = SealedSecret::parse(&written(&merged.ours)).unwrap();
    assert_eq!((read.slots().len(), read.open(&ring(&all)).unwrap().len()), (64, 64));
    set(&mut theirs, &[("theirs-last", b"v")], &recipients(&all));
    let refused = SealedSecret::merge(Some(&base), &ours, &theirs).unwrap_err();
    assert_eq!(refused, MergeError::TooManySlots);
}

#[test]
fn thirty_three_recipients_together_are_refused_and_thirty_two_can_be_read() {
    let all = keys(33);
    let base = sealed(Scope::Strict, &[("k", b"value")], &recipients(&all[..1]));
    let with = |range: std::ops::Range<usize>| {
        let mut object = base.clone();
        let recipients = recipients(&all);
        let wanted = [&recipients[..1], &recipients[range]].concat();
        object.rewrap(&ring(&all[..1]), &wanted, &SystemRandom).unwrap();
        object
    };
    let merged = SealedSecret::merge(Some(&base), &with(1..17), &with(17..32)).unwrap();
    let read = SealedSecret::parse(&written(&merged.ours)).unwrap();
    assert_eq!(read.slots()[0].wraps().len(), 32);
    let refused = SealedSecret::merge(Some(&base), &with(1..17), &with(17..33)).unwrap_err();
    assert_eq!(refused, MergeError::TooManyWraps(base.slots()[0].id()));
}
