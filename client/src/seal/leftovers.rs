//! What would still stand in clear text after sealing: a value in a comment, an annotation or another object, or one of before.

use splice::{Comment, File, NodeId, Place};
use zeroize::Zeroizing;

use crate::{
    failure::Failure,
    manifest::{Found, Manifest},
    secret::Secret,
};

/// Shorter values stand in every file by chance.
const SHORTEST: usize = 8;
/// Bytes of a word that nobody writes in a remark.
const LONG: usize = 16;

/// Refuses an output in which a value of the Secret still stands, or a comment that looks like one.
pub(super) fn refuse(
    source: &Manifest,
    file: &File<'_>,
    found: Found,
    secret: &Secret,
    sealed: &[u8],
) -> Result<(), Failure> {
    if let Some(place) = commented_out(file, found.node) {
        return Err(source.failure(
            place,
            "a comment looks like a value that was commented out",
            "comments are kept, so that it would be committed in clear text",
            "take it out, and seal again; or --accept-leftovers, where it is no secret",
        ));
    }
    for (key, plaintext) in &secret.values {
        let value = plaintext.expose_secret();
        if value.len() < SHORTEST {
            continue;
        }
        let base64 = Zeroizing::new(data_encoding::BASE64.encode(value));
        let texts = [value, base64.as_bytes()];
        if texts.iter().any(|text| memchr::memmem::find(sealed, text).is_some()) {
            let place = texts.iter().find_map(|text| elsewhere(file, found, text));
            return Err(source.failure(
                place.unwrap_or_else(|| file.node(found.node).place()),
                &format!("the value of {key} would still stand in the output"),
                "it is in a comment, an annotation or another object of the file",
                "take it out there and seal again; or --accept-leftovers, where it is no secret",
            ));
        }
    }
    Ok(())
}

/// Where a comment among the values is more like a value than like a remark: an entry that was commented out, or one long word.
fn commented_out(file: &File<'_>, secret: NodeId) -> Option<Place> {
    let is_value = |comment: &&Comment<'_>| {
        let among =
            comment.about.first().is_some_and(|key| ["data", "stringData"].contains(&&**key));
        let text = comment.text.trim_start_matches(['#', ' ', '\t']);
        let (key, value) = text.split_once(':').unwrap_or(("", text));
        let is_word = |text: &str| !text.contains([' ', '\t']);
        let least = if key.is_empty() { LONG } else { 1 };
        among && is_word(key) && is_word(value.trim()) && value.trim().len() >= least
    };
    file.comments(secret).iter().find(is_value).map(|comment| comment.place)
}

/// The first place of a text that is not in the values of the Secret.
fn elsewhere(file: &File<'_>, found: Found, text: &[u8]) -> Option<Place> {
    let values: Vec<_> = ["data", "stringData"]
        .iter()
        .filter_map(|field| file.field(found.node, field))
        .map(|node| file.node(node).span())
        .collect();
    memchr::memmem::find_iter(file.text().as_bytes(), text)
        .find(|at| !values.iter().any(|span| span.contains(at)))
        .map(|at| file.place(at))
}
