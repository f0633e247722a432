//! Changes YAML where it must change and nowhere else.
//!
//! A program that reads YAML, changes a value and writes it back loses comments, order, quotes and anchors. This crate finds the
//! bytes of a value and puts others in their place; everything else is the same file. It knows no input or output and nothing of
//! what a file is about.
//!
//! ```
//! use splice::{At, Splice, Value, parse};
//!
//! let text = "\
//! kind: Secret            # for the database
//! stringData:
//!   user: 'alice'
//!   ## rotated each month
//!   password: old
//! ";
//! let file = parse(text.as_bytes())?;
//! let root = file.documents()[0].root().expect("a value");
//! let data = file.node(root).get("stringData").expect("the key");
//! let password = file.node(data).get("password").expect("the key");
//!
//! let mut splice = Splice::new(&file);
//! splice.set(password, "yes")?; // quoted, because YAML 1.1 takes yes for a boolean
//! splice.insert(data, "url", Value::from("https://db:5432"), At::After("user"))?;
//! assert_eq!(
//!     splice.finish()?,
//!     "\
//! kind: Secret            # for the database
//! stringData:
//!   user: 'alice'
//!   url: https://db:5432
//!   ## rotated each month
//!   password: \"yes\"
//! "
//! );
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```
//!
//! # Promises
//! - Bytes outside an edit are the same bytes: comments, order, quotes, line breaks, byte order mark, end of file.
//! - Two readers agree about every file that is read: ours, which knows where each value is, and the `saphyr-parser` crate, which
//!   decides what is YAML and what it says. What they read differently is refused ([`Problem::Disputed`]).
//! - The result is read again, by both, and must be the old tree with the edits; else there is no result ([`Refusal::Unproven`]).
//!   Only the document that changed is read, and of it only the entry that holds all changes where that is a proof.
//! - A new text reads as text to every reader: what YAML 1.1 or 1.2 takes for something else is quoted.
//! - Any bytes give a value or an error with a place, in linear time and at most ten times their size (for small files, at most
//!   2 MiB). Errors hold places and fixed words, never what a file says.
//!
//! # What an edit takes along
//! - A removed entry takes its own lines and a comment at the end of them; comments above stay. A collection that loses its last
//!   entry becomes `{}` or `[]`.
//! - Blank lines go with it where they would become part of a block text (`|+`) or, in a file without a last line break, its end.
//! - A block text that is set to another keeps the comment behind its `|`; `>` becomes `|`.
//! - A replaced value takes the comments in it along.
//! - An inserted entry stands as its neighbours do: column, quotes of keys, one line or many, line breaks. A file of JSON stays one.
//!
//! # What it does not do
//! - It expands no alias and follows no merge key. What an alias repeats is not edited, nor is a mapping with `<<`.
//! - It edits no key written with `?` and none that is a collection, and no mapping in which a key stands twice.
//! - It does not move comments, sort keys or format; it writes no anchors and no tags.
//! - It reads no UTF-16, no tabs for indentation, no raw U+0085, U+2028 and U+2029 (readers of YAML 1.1 take them for line breaks),
//!   no byte order mark but at the start, and nothing above 16 MiB or 128 levels. Of JSON it does not read escaped surrogates
//!   (`"\ud83d\udd11"`), which YAML does not have.
//! - It refuses files that are YAML and dense beyond reason: more than 4,096 values and one for each three bytes; a flow collection
//!   of more than 4,096 values, and one for each 32 bytes of the file, in a place where a key could begin.

#![forbid(unsafe_code)]

mod comments;
mod decode;
mod document;
mod edit;
mod error;
mod file;
mod judge;
mod neighbourhood;
mod node;
mod proof;
mod properties;
mod quote;
mod read;
mod render;
mod resolve;
mod tree;
mod value;

pub use crate::{
    comments::Comment,
    document::Document,
    edit::{At, Splice},
    error::{ParseError, Place, Problem, Refusal, SpliceError},
    file::{File, MAX_BYTES, parse},
    node::{Kind, Node, Style},
    read::MAX_DEPTH,
    render::{render, render_json},
    tree::NodeId,
    value::Value,
};
