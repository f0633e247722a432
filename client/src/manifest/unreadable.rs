//! What a file that is no YAML is instead, as far as that can be told: what to do next depends on it.

use splice::{ParseError, Place};

/// Why a file cannot be read, where, and what to do next.
pub(crate) struct Unreadable {
    pub(crate) place: Place,
    pub(crate) why: String,
    pub(crate) next: &'static str,
}

impl Unreadable {
    /// Explains what the parser refused.
    pub(crate) fn explain(text: &[u8], error: ParseError) -> Self {
        let lossy = String::from_utf8_lossy(text);
        let line = lossy.lines().nth(error.place.line.saturating_sub(1)).unwrap_or_default();
        let (place, why, next) = if text.starts_with(b"\0GITCRYPT\0") {
            (error.place, "git-crypt has it locked", "git-crypt unlock, and run the command again")
        } else if let Some(place) = conflict(&lossy) {
            (
                place,
                "git left the two sides of a conflict in it",
                "keep one side of what stands between the markers, and take the markers out",
            )
        } else if indent(line).contains('\t') {
            (error.place, "a tab indents this line", "put spaces in its place")
        } else if lossy.contains("{{") {
            (
                error.place,
                "it has {{ in it: a template is no YAML before it is rendered",
                "move the Secret into a file of its own, and its values out of the template",
            )
        } else {
            return Self {
                place: error.place,
                why: error.problem.to_string(),
                next: "correct it there",
            };
        };
        Self { place, why: why.to_owned(), next }
    }
}

/// The first marker of a conflict that has all three.
fn conflict(text: &str) -> Option<Place> {
    let mut lines = text.lines().zip(1..);
    let (_, line) = lines.find(|(line, _)| line.starts_with("<<<<<<<"))?;
    lines.find(|(line, _)| line.starts_with("======="))?;
    lines.find(|(line, _)| line.starts_with(">>>>>>>"))?;
    Some(Place { line, column: 1 })
}

fn indent(line: &str) -> &str {
    line.get(..line.len() - line.trim_start().len()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_yaml_is_told_apart() {
        for (text, line, why) in [
            ("\0GITCRYPT\0\u{1}\u{2}", 1, "git-crypt"),
            ("a: b\n<<<<<<< ours\nc: d\n=======\nc: e\n>>>>>>> theirs\n", 2, "conflict"),
            ("a:\n\tb: c\n", 2, "a tab"),
            ("a: {{ .Values.a }}-b\n", 1, "a template"),
            ("a: [\n", 1, "never closed"),
        ] {
            let error = splice::parse(text.as_bytes()).map(|_| ()).unwrap_err();
            let said = Unreadable::explain(text.as_bytes(), error);
            assert!(said.why.contains(why) && said.place.line == line, "{text:?}: {}", said.why);
        }
    }
}
