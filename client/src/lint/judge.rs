//! One file, judged by all rules that may say something of it.

use std::collections::BTreeSet;

use memchr::memmem;

use super::{
    credential,
    finding::{Finding, TOP, place},
    lines,
    literal::STEMS,
    plain, rule, sealed, settings, silence,
    subject::Subject,
};
use crate::manifest::Unreadable;

/// What is wrong with a file.
pub(crate) fn judge(subject: &Subject<'_>) -> Vec<Finding> {
    judge_as(subject, may_have_objects(subject))
}

fn judge_as(subject: &Subject<'_>, has_objects: bool) -> Vec<Finding> {
    let text = String::from_utf8_lossy(subject.bytes);
    let mut out = Vec::new();
    let mut secrets = Vec::new();
    if subject.is_env() {
        out.extend(env(&text));
    } else if has_objects {
        match splice::parse(subject.bytes) {
            Ok(file) => {
                let plain = plain::check(subject, &file);
                out.extend(plain.findings);
                secrets = plain.secrets;
                if subject.is_current {
                    out.extend(sealed::check(subject, &file));
                }
            }
            Err(error) => out.extend(unread(subject, &text, error)),
        }
    }
    out.extend(
        credential::private_keys(&text)
            .into_iter()
            .map(|at| Finding::new(&rule::PRIVATE_KEY, place(&text, at), "")),
    );
    out.extend(
        credential::known(&text)
            .into_iter()
            .map(|(at, what)| Finding::new(&rule::CREDENTIAL, place(&text, at), what))
            // It is found with its Secret already.
            .filter(|finding| !secrets.iter().any(|lines| lines.contains(&finding.place.line))),
    );
    out.sort_by_key(|finding| (finding.place, finding.rule.id));
    // One credential, one finding: two rules may see it, or one twice on its line.
    let mut seen = BTreeSet::new();
    out.retain(|finding| seen.insert((finding.place.line, finding.rule.id)));
    silence::apply(&text, out, subject.is_current)
}

/// Whether a rule that takes files apart could find anything. Nothing is lost by it: each of these rules needs a name that has one of the
/// stems, also `Secret` and `secretGenerator`; and a name may hide from a search for bytes only behind a backslash.
fn may_have_objects(subject: &Subject<'_>) -> bool {
    let bytes = subject.bytes;
    let has = |word: &str| memmem::find(bytes, word.as_bytes()).is_some();
    let is_escaped = memchr::memchr_iter(b'\\', bytes)
        .any(|at| bytes.get(at + 1).is_some_and(|next| b"xuU\r\n".contains(next)));
    let is_object = subject.is_values() || subject.is_kustomization() || has("kind");
    is_escaped || is_object && has_stem(bytes)
}

/// In whatever case. The two letters that a stem begins with are rare enough to be looked for.
fn has_stem(bytes: &[u8]) -> bool {
    STEMS.iter().any(|stem| {
        let (Some(first), length) = (stem.bytes().next(), stem.len()) else { return false };
        memchr::memchr2_iter(first, first.to_ascii_uppercase(), bytes).any(|at| {
            bytes
                .get(at..at + length)
                .is_some_and(|word| word.eq_ignore_ascii_case(stem.as_bytes()))
        })
    })
}

/// A file of variables.
fn env(text: &str) -> Vec<Finding> {
    let named = settings::credentials(text).into_iter().map(|(line, name)| {
        let detail = format!("{} has a literal value", name.escape_debug());
        Finding::new(&rule::CREDENTIAL, splice::Place { line: line + 1, column: 1 }, detail)
    });
    named.collect()
}

/// A file that is no YAML, or none that is read without a guess: a template, mostly.
fn unread(subject: &Subject<'_>, text: &str, error: splice::ParseError) -> Vec<Finding> {
    let is_template = text.contains("{{") || text.contains("{%") || text.contains("<%");
    let found: Vec<_> = lines::secrets(text)
        .into_iter()
        .map(|lines::Plain { line, indent, values }| {
            let what = if values == 1 { "a value" } else { "values" };
            let detail = format!("a Secret with {what} written out, in a file that is no YAML");
            let place = splice::Place { line: line + 1, column: indent + 1 };
            Finding::new(if is_template { &rule::TEMPLATE } else { &rule::SECRET }, place, detail)
        })
        .collect();
    // What lines did not tell, and may be a Secret or a sealed one all the same, is not passed over in silence.
    if found.is_empty() && !is_template && subject.is_current && mentions_secret(text) {
        let Unreadable { place, why, .. } = Unreadable::explain(subject.bytes, error);
        let place = if place.line == 0 { TOP } else { place };
        return vec![Finding::new(&rule::UNREAD, place, format!("not looked into: {why}"))];
    }
    found
}

/// `kind: Secret`, or a kind that ends so, in block or flow style.
fn mentions_secret(text: &str) -> bool {
    memmem::find_iter(text.as_bytes(), "kind").any(|at| {
        let behind = text.get(at + "kind".len()..).unwrap_or_default();
        let value = behind.trim_start_matches(['"', '\'', ' ', ':']);
        ["Secret", "SealedSecret"].iter().any(|kind| value.starts_with(kind))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lint::subject::Tree;
    use std::path::Path;

    struct Nothing;
    impl Tree for Nothing {
        fn file(&self, _: &Path) -> Option<Vec<u8>> {
            None
        }
    }

    fn ids(path: &str, text: &str) -> Vec<&'static str> {
        let subject = Subject {
            path: Path::new(path),
            bytes: text.as_bytes(),
            pins: None,
            is_current: true,
            tree: &Nothing,
        };
        judge(&subject).iter().map(|finding| finding.rule.id).collect()
    }

    #[test]
    fn a_kind_that_hides_from_a_search_is_found() {
        for text in [
            "kind: \"\\u0053ecret\"\nstringData: {a: b}\n",
            "kind: \"Sec\\\n  ret\"\nstringData: {a: b}\n",
            "{\"\\u006bind\": \"Secret\", \"stringData\": {\"a\": \"b\"}}",
            "x: &k Secret\nkind: *k\nstringData: {a: b}\n",
        ] {
            assert_eq!(ids("a.yaml", text), ["SR101"], "{text}");
        }
    }

    /// Whatever the search for bytes passes over has nothing that taking it apart would find.
    #[test]
    fn the_search_for_bytes_loses_nothing() {
        let mut open = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lint")];
        let (mut files, mut passed_over) = (0, 0);
        while let Some(at) = open.pop() {
            if at.is_dir() {
                open.extend(std::fs::read_dir(at).unwrap().map(|entry| entry.unwrap().path()));
                continue;
            }
            let bytes = std::fs::read(&at).unwrap();
            let subject =
                Subject { path: &at, bytes: &bytes, pins: None, is_current: true, tree: &Nothing };
            files += 1;
            passed_over += usize::from(!may_have_objects(&subject));
            assert_eq!(judge(&subject), judge_as(&subject, true), "{}", at.display());
        }
        assert!(files > 200 && passed_over > 20, "{passed_over} of {files}");
    }

    #[test]
    fn a_file_that_cannot_be_read_is_not_passed_over() {
        assert_eq!(ids("a.yaml", "kind: SealedSecret\n a: [\n"), ["SR106"]);
        assert_eq!(ids("a.yaml", "kind: Secret\ndata:\n  a: b\nb: [\n"), ["SR101"]);
        assert_eq!(ids("a.yaml", "kind: Deployment\n a: [\n"), [""; 0]);
    }
}
