//! What is looked at: a file of the work tree, of the index or of a commit, and what it says of itself by its name.

use std::path::{Component, Path, PathBuf};

use super::{finding::Finding, rule};
use crate::repository::Repository;

/// A file to be judged.
pub(crate) struct Subject<'a> {
    pub(crate) path: &'a Path,
    pub(crate) bytes: &'a [u8],
    /// Whom sealed Secrets are to be for there, where that is known.
    pub(crate) pins: Option<&'a Repository>,
    /// Whether it is still so. What was sealed rightly for a key of its time is judged only where it is.
    pub(crate) is_current: bool,
    /// Other files of the same tree.
    pub(crate) tree: &'a dyn Tree,
}

/// The files of a work tree, an index or a commit.
pub(crate) trait Tree {
    /// A file that is or would be committed; `None` where there is none.
    fn file(&self, path: &Path) -> Option<Vec<u8>>;
}

impl Subject<'_> {
    /// A file that this one names.
    pub(crate) fn beside(&self, name: &str) -> Option<Vec<u8>> {
        let folder = self.path.parent().unwrap_or(Path::new(""));
        self.tree.file(&normal(&folder.join(name)))
    }

    /// Whether it has the values of a Helm chart.
    pub(crate) fn is_values(&self) -> bool {
        let name = self.name();
        let stem = name.split('.').next().unwrap_or_default();
        let is_named = stem == "values"
            || ["values-", "values_"].iter().any(|beginning| stem.starts_with(beginning))
            || ["-values", "_values"].iter().any(|ending| stem.ends_with(ending))
            || name.contains(".values.");
        let is_below = self.path.parent().is_some_and(|folder| folder.ends_with("values"));
        (is_named || is_below) && !name.ends_with(".schema.json")
    }

    pub(crate) fn is_kustomization(&self) -> bool {
        matches!(&*self.name(), "kustomization.yaml" | "kustomization.yml" | "Kustomization")
    }

    /// Whether it has variables, one on each line, and is no sample of such a file.
    pub(crate) fn is_env(&self) -> bool {
        is_env(&self.name())
    }

    fn name(&self) -> String {
        name_of(self.path)
    }
}

/// Whether a file may have something that these rules are about, by its name.
pub(crate) fn is_looked_at(path: &Path) -> bool {
    const ENDINGS: [&str; 9] = [
        ".yaml",
        ".yml",
        ".json",
        ".tpl",
        ".yaml.gotmpl",
        ".yaml.tmpl",
        ".yml.tmpl",
        ".yaml.j2",
        ".yml.j2",
    ];
    let name = name_of(path);
    let lower = name.to_ascii_lowercase();
    ENDINGS.iter().any(|ending| lower.ends_with(ending))
        || is_env(&name)
        || is_key_file(&name)
        || name == "Kustomization"
}

/// Whether a finding counts where the file itself was not named: files of keys are looked at for ours only. A key for tests is in
/// every other repository.
pub(crate) fn is_wanted(path: &Path, finding: &Finding) -> bool {
    finding.rule == &rule::PRIVATE_KEY || !is_key_file(&name_of(path))
}

/// As `sealing-keys new` names its files, and people the escrow's.
fn is_key_file(name: &str) -> bool {
    [".key", ".keys", ".txt"].iter().any(|ending| name.ends_with(ending))
}

fn is_env(name: &str) -> bool {
    let is_sample = ["example", "sample", "template", "dist", "tpl"]
        .iter()
        .any(|word| name.rsplit('.').next() == Some(word));
    name == ".env" || name.ends_with(".env") || name.starts_with(".env.") && !is_sample
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Without `.` and, as far as there is something to go back from, without `..`.
fn normal(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir if out.file_name().is_some() => {
                out.pop();
            }
            part => out.push(part),
        }
    }
    out
}
