use serde::Serialize;
use splice::Place;

use crate::{failure::Failure, table::table};

/// What became of each object, in the order of the files.
#[derive(Serialize)]
pub(super) struct Report {
    pub(super) schema: &'static str,
    /// Whether files were written.
    pub(super) written: bool,
    /// The folder that undoes it.
    pub(super) journal: Option<String>,
    pub(super) objects: Vec<Row>,
}

/// One SealedSecret of Bitnami's.
#[derive(Serialize)]
pub(super) struct Row {
    pub(super) file: String,
    pub(super) line: usize,
    pub(super) column: usize,
    /// `namespace/name`; nothing where the file cannot be read.
    pub(super) object: Option<String>,
    pub(super) scope: Option<&'static str>,
    pub(super) values: usize,
    pub(super) result: Outcome,
    /// Why it is refused.
    pub(super) why: Option<String>,
    /// What to do about that.
    pub(super) next: Option<String>,
    /// What to look at although it is migrated.
    pub(super) notes: Vec<String>,
}

/// What became of an object.
#[derive(Serialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(super) enum Outcome {
    /// It could be migrated, and was not: nothing was to be written.
    Ready,
    /// It is migrated.
    Migrated,
    /// It cannot be migrated as it is.
    Refused,
    /// Its file could not be written, or somebody else wrote it meanwhile.
    Unwritten,
}

impl Outcome {
    fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Migrated => "migrated",
            Self::Refused => "refused",
            Self::Unwritten => "not written",
        }
    }
}

impl Row {
    /// An object that is refused, or a whole file.
    pub(super) fn refused(
        file: &str,
        place: Place,
        object: Option<String>,
        failure: Failure,
    ) -> Self {
        Self {
            file: file.to_owned(),
            line: place.line,
            column: place.column,
            object,
            scope: None,
            values: 0,
            result: Outcome::Refused,
            why: Some(failure.why),
            next: Some(failure.next),
            notes: Vec::new(),
        }
    }
}

impl Report {
    pub(super) fn count(&self, result: Outcome) -> usize {
        self.objects.iter().filter(|row| row.result == result).count()
    }

    pub(super) fn table(&self) -> String {
        if self.objects.is_empty() {
            return "no SealedSecret of Bitnami's is here\n".to_owned();
        }
        let rows = self.objects.iter().map(|row| {
            let mut says: Vec<String> = row.why.iter().cloned().collect();
            says.extend(row.next.iter().map(|next| format!("next: {next}")));
            says.extend(row.notes.iter().map(|note| format!("note: {note}")));
            [
                format!("{}:{}:{}", row.file, row.line, row.column),
                row.object.clone().unwrap_or_else(|| "-".to_owned()),
                row.scope.unwrap_or("-").to_owned(),
                row.values.to_string(),
                row.result.as_str().to_owned(),
                says.join("; "),
            ]
        });
        table(["PLACE", "SEALED SECRET", "SCOPE", "VALUES", "RESULT", ""], rows)
    }
}
