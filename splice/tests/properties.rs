//! Any edit to any document: nothing else changes, an independent reader reads what was meant, and again is the same.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

#[path = "support/grow.rs"]
mod grow;
#[path = "support/independent.rs"]
mod independent;
#[path = "support/promises.rs"]
mod promises;
#[path = "support/read.rs"]
mod read;
#[path = "support/texts.rs"]
mod texts;

use std::cell::Cell;

use independent::libyaml;
use promises::{around, config, keeps_promises};
use proptest::{prelude::*, test_runner::TestRunner};
use read::{Read, at, values};
use splice::{At, File, Kind, Refusal, Splice, Value};

#[derive(Debug, Clone)]
struct Edit {
    verb: u8,
    target: usize,
    text: usize,
    at: u8,
}

fn edits() -> impl Strategy<Value = Edit> {
    (any::<u8>(), any::<usize>(), any::<usize>(), any::<u8>())
        .prop_map(|(verb, target, text, at)| Edit { verb, target, text, at })
}

/// Makes the edit, and does the same to what libyaml read before. `None` if there is nothing of the kind to edit.
fn perform(
    file: &File<'_>,
    edit: &Edit,
    reads: &mut [Read],
) -> Option<(Result<String, splice::SpliceError>, std::ops::Range<usize>)> {
    let values = values(file);
    let pick = |kind: fn(&splice::Node<'_>) -> bool| {
        let fit: Vec<_> = values.iter().filter(|(id, _)| kind(&file.node(*id))).collect();
        (!fit.is_empty()).then(|| fit[edit.target % fit.len()].clone())
    };
    let text = texts::text(edit.text);
    let mut splice = Splice::new(file);
    let mapping = |node: &splice::Node<'_>| node.kind() == Kind::Mapping || node.is_null();
    let sequence = |node: &splice::Node<'_>| node.kind() == Kind::Sequence || node.is_null();
    let (done, touched) = match edit.verb % 8 {
        0 | 1 => {
            let (id, way) = pick(|node| matches!(node.kind(), Kind::Scalar | Kind::Alias))?;
            *at(reads, &way) = Read::text(text);
            (splice.set(id, text), around(file, id))
        }
        2 => {
            let (id, way) = pick(mapping)?;
            let node = file.node(id);
            let keys: Vec<_> =
                node.entries().map(|(key, _)| file.node(key).text().into_owned()).collect();
            if keys.iter().any(|key| key == text) {
                return None;
            }
            let (place, position) =
                match (edit.at % 3, keys.get(usize::from(edit.at) % keys.len().max(1))) {
                    (0, _) => (At::Start, 0),
                    (1, Some(key)) => (At::After(key), usize::from(edit.at) % keys.len() * 2 + 2),
                    _ => (At::End, keys.len() * 2),
                };
            let read = at(reads, &way);
            if let Read::Scalar(..) = read {
                *read = Read::Mapping(Vec::new());
            }
            let Read::Mapping(of) = read else { panic!("no mapping at {way:?}") };
            of.splice(position..position, [Read::text(text), Read::text("value\nof lines\n")]);
            (
                splice.insert(id, text, "value\nof lines\n".into(), place),
                node.span().start.saturating_sub(3)..usize::MAX,
            )
        }
        3 => {
            let (id, way) =
                pick(|node| node.kind() == Kind::Mapping && node.entries().next().is_some())?;
            let keys: Vec<_> = file.node(id).entries().collect();
            let index = edit.text % keys.len();
            let key = file.node(keys[index].0).text().into_owned();
            let Read::Mapping(of) = at(reads, &way) else { panic!("no mapping at {way:?}") };
            of.drain(2 * index..2 * index + 2);
            (splice.remove(id, &key), around(file, id))
        }
        4 => {
            let (id, way) =
                pick(|node| node.kind() == Kind::Mapping && node.entries().next().is_some())?;
            let keys: Vec<_> = file.node(id).entries().collect();
            let index = usize::from(edit.at) % keys.len();
            let key = file.node(keys[index].0).text().into_owned();
            let Read::Mapping(of) = at(reads, &way) else { panic!("no mapping at {way:?}") };
            of[2 * index] = Read::text(text);
            (splice.rename(id, &key, text), file.node(keys[index].0).span())
        }
        5 => {
            let (id, way) = pick(sequence)?;
            let read = at(reads, &way);
            if let Read::Scalar(..) = read {
                *read = Read::Sequence(Vec::new());
            }
            let Read::Sequence(of) = read else { panic!("no sequence at {way:?}") };
            let value = Value::mapping([("kid", text.into()), ("ct", "AA==".into())]);
            of.push(Read::of(&value));
            let value = if edit.at.is_multiple_of(2) { value.flow() } else { value };
            (splice.push(id, value), file.node(id).span().start.saturating_sub(3)..usize::MAX)
        }
        6 => {
            let (id, way) =
                pick(|node| node.kind() == Kind::Sequence && node.items().next().is_some())?;
            let index = edit.text % file.node(id).items().count();
            let Read::Sequence(of) = at(reads, &way) else { panic!("no sequence at {way:?}") };
            of.remove(index);
            (splice.remove_item(id, index), around(file, id))
        }
        _ => {
            let (id, way) = pick(|_| true)?;
            let value = Value::mapping([("a", Value::sequence([text.into()]))]);
            *at(reads, &way) = Read::of(&value);
            let value = if edit.at.is_multiple_of(2) { value.flow() } else { value };
            (splice.replace(id, value), around(file, id))
        }
    };
    Some((done.and_then(|()| splice.finish()), touched))
}

#[test]
fn an_edit_changes_what_was_meant_and_nothing_else() {
    let (made, refused) = (Cell::new(0), Cell::new(0));
    let mut runner = TestRunner::new(config(4000));
    let outcome = runner.run(&(grow::files(), edits()), |(grown, edit)| {
        let before = grown.text();
        let file = splice::parse(before.as_bytes())
            .map_err(|error| TestCaseError::fail(format!("{error}\n{before}")))?;
        let Some(mut meant) = promises::read(&file)? else { return Ok(()) };
        let Some((done, touched)) = perform(&file, &edit, &mut meant) else { return Ok(()) };
        let after = match done {
            Ok(after) => after,
            Err(error) => {
                prop_assert_ne!(
                    error.refusal,
                    Refusal::Unproven,
                    "{:?} {}\n{}",
                    edit,
                    error,
                    before
                );
                refused.set(refused.get() + 1);
                return Ok(());
            }
        };
        made.set(made.get() + 1);
        keeps_promises(&before, &after, &[touched], &meant)
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
    assert!(made.get() > 4 * refused.get(), "{} made, {} refused", made.get(), refused.get());
}

proptest! {
    #![proptest_config(config(1000))]

    #[test]
    fn setting_twice_is_setting_once(grown in grow::files(), edit in edits()) {
        let before = grown.text();
        let file = splice::parse(before.as_bytes()).expect("a grown file");
        let scalars: Vec<_> =
            values(&file).into_iter().filter(|(id, _)| file.node(*id).kind() == Kind::Scalar).collect();
        prop_assume!(!scalars.is_empty());
        let at = edit.target % scalars.len();
        let once = |text: &str| {
            let file = splice::parse(text.as_bytes()).expect("a file that reads");
            let mut splice = Splice::new(&file);
            let id = values(&file)
                .into_iter()
                .filter(|(id, _)| file.node(*id).kind() == Kind::Scalar)
                .nth(at)
                .expect("the same scalars")
                .0;
            splice.set(id, texts::text(edit.text)).and_then(|()| splice.finish())
        };
        if let Ok(after) = once(&before) {
            prop_assert_eq!(once(&after), Ok(after));
        }
    }

    #[test]
    fn a_rendered_value_reads_as_it_was_meant(texts in prop::collection::vec(any::<usize>(), 1..8), odd in ".{0,12}") {
        let text = |at: usize| texts::text(at).to_owned();
        let mut entries: Vec<_> = texts.iter().enumerate().map(|(number, at)| {
            (format!("k{number}"), Value::Text(text(*at)))
        }).collect();
        entries.push(("odd".to_owned(), Value::Text(odd.clone())));
        entries.push(("list".to_owned(), Value::Sequence(vec![Value::Mapping(entries.clone()), Value::Bool(true)])));
        let value = Value::Mapping(entries);
        for written in [splice::render(&value), splice::render_json(&value)] {
            let file = splice::parse(written.as_bytes()).expect("our own writing");
            let root = file.node(file.documents()[0].root().expect("a value"));
            for (number, at) in texts.iter().enumerate() {
                let node = file.node(root.get(&format!("k{number}")).expect("the key"));
                prop_assert!(node.is_text() && node.text() == text(*at), "{}", written);
            }
            let node = file.node(root.get("odd").expect("the key"));
            prop_assert!(node.is_text() && node.text() == odd, "{}", written);
            if libyaml(&written).is_some() {
                prop_assert_eq!(libyaml(&written), Some(independent::ours(&file)));
            } else {
                prop_assert!(false, "libyaml refuses {}", written);
            }
        }
        prop_assert!(serde_json::from_str::<serde_json::Value>(&splice::render_json(&value)).is_ok());
    }
}
