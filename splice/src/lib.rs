//! Change YAML where it must change, and nowhere else.
//!
//! ```
//! let text = b"# who may come in\nuser: anna   # an old friend\ndoor: 'front'\n";
//! let file = splice::parse(text).unwrap();
//! let root = file.documents()[0].root().unwrap();
//! let mut splice = splice::Splice::new(&file);
//! splice.set(file.field(root, "door").unwrap(), "back").unwrap();
//! splice.insert(root, "floor", splice::Value::Text("2".into())).unwrap();
//! assert_eq!(
//!     splice.finish().unwrap(),
//!     b"# who may come in\nuser: anna   # an old friend\ndoor: 'back'\nfloor: \"2\"\n"
//! );
//! ```
//!
//! Invariants:
//! - All bytes outside of what is edited stay: comments, order, quoting, anchors, other documents, line ends, a byte order mark, a
//!   missing last line end.
//! - What is written is read again and must be the old tree with the edits in it; else nothing is returned ([`Trouble::Unproven`]).
//! - What cannot be done without a guess is refused, with its place: aliases in the way, keys that stand twice, layouts that are odd.
//! - Any bytes give a file or an error with a place. Depth is bounded, aliases are never followed, and no message repeats content.
//!
//! Deliberately absent: input and output, schemas, and any notion of what a value means.

#![forbid(unsafe_code)]

mod edit;
mod error;
mod node;
mod plain;
mod read;
mod scalar;
mod value;

pub use crate::{
    edit::Splice,
    error::{ParseError, Place, Problem, SpliceError, Trouble},
    node::{Document, File, Kind, Node, NodeId},
    read::parse,
    value::{Value, render, render_json},
};
