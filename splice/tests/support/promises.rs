//! What is promised of a file that is read, and of the text that edits make of it.

use std::ops::Range;

use proptest::{
    prelude::*,
    test_runner::{Config, TestCaseResult},
};
use splice::{File, NodeId};

use crate::{
    independent::{ended, libyaml, ours},
    read::{Read, are, reads},
};

/// So many cases, or as many as `PROPTEST_CASES` asks for if that is more.
pub(crate) fn config(cases: u32) -> Config {
    let asked = Config::default();
    let cases = cases.max(asked.cases);
    Config { cases, max_global_rejects: cases.max(1024), failure_persistence: None, ..asked }
}

/// What libyaml reads, which is what this crate reads. `None` where libyaml is no judge: readers do not agree about a block text
/// that ends with the file without a line break.
pub(crate) fn read(file: &File<'_>) -> Result<Option<Vec<Read>>, TestCaseError> {
    let text = file.text();
    let Some(said) = libyaml(&ended(text)) else { return Ok(None) };
    if said == ours(file) {
        return Ok(Some(reads(said)));
    }
    prop_assert_ne!(ended(text), text, "{:?}", said);
    Ok(None)
}

/// The new text says what was meant, ends as the old one did, breaks its lines so too, and is the same but for `touched`.
pub(crate) fn keeps_promises(
    before: &str,
    after: &str,
    touched: &[Range<usize>],
    meant: &[Read],
) -> TestCaseResult {
    prop_assert!(only_within(before, after, touched), "not in {touched:?}\n{before}\n=>\n{after}");
    let ends = |text: &str| text.ends_with(['\n', '\r']);
    prop_assert_eq!(ends(before), ends(after), "{}\n=>\n{}", before, after);
    // One sort of break in a grown file, and so in what comes of it.
    if let Some(sort) = ["\r\n", "\r", "\n"].into_iter().find(|sort| before.contains(sort)) {
        prop_assert!(!after.replace(sort, "").contains(['\n', '\r']), "{after:?}");
    }
    let Some(said) = libyaml(&ended(after)) else {
        return Err(TestCaseError::fail(format!("libyaml refuses\n{before}\n=>\n{after}")));
    };
    let is = reads(said);
    prop_assert!(are(&is, meant), "{before}\n=>\n{after}\n{is:?}\n{meant:?}");
    Ok(())
}

/// A node with the rest of its last line, from the last line above it that holds something, which may be its key.
pub(crate) fn around(file: &File<'_>, id: NodeId) -> Range<usize> {
    let (text, span) = (file.text(), file.node(id).span());
    let mut start = text[..span.start].rfind(['\n', '\r']).unwrap_or(0);
    loop {
        let above = text[..start].rfind(['\n', '\r']).unwrap_or(0);
        let line = text[above..start].trim();
        start = above;
        if start == 0 || !(line.is_empty() || line.starts_with('#')) {
            break;
        }
    }
    let rest = &text[span.end..];
    let line = rest.split(['\n', '\r']).next().unwrap_or_default().len();
    let line_break = ["\r\n", "\n", "\r"].into_iter().find(|end| rest[line..].starts_with(end));
    let end = span.end + line + line_break.map_or(0, str::len);
    start..end
}

/// Whether all that is outside `touched` is in `after` as it was, in the same order.
fn only_within(before: &str, after: &str, touched: &[Range<usize>]) -> bool {
    let mut touched = touched.to_vec();
    touched.sort_by_key(|range| range.start);
    let (mut kept, mut from) = (Vec::new(), 0);
    for range in touched {
        kept.push(before.get(from..range.start).unwrap_or_default());
        from = from.max(range.end);
    }
    let last = before.get(from..).unwrap_or_default();
    let mut rest = after;
    for (number, part) in kept.iter().enumerate() {
        match rest.find(part) {
            Some(at) if number > 0 || at == 0 => rest = &rest[at + part.len()..],
            _ => return false,
        }
    }
    rest.ends_with(last)
}
