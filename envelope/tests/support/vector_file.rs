//! One vector: `key: value` lines. Every key must be asked for, so a misspelt or forgotten one fails its test.

use std::{fs, path::Path};

/// A vector that is being read; what was asked for is taken out.
pub(crate) struct VectorFile {
    /// The file without its ending.
    pub(crate) name: String,
    fields: Vec<(String, String)>,
}

impl VectorFile {
    /// The vectors of `envelope/vectors/<folder>`, by name. There are some, and nothing else lies there.
    pub(crate) fn read_folder(folder: &str) -> Vec<Self> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors").join(folder);
        let mut vectors: Vec<_> =
            fs::read_dir(&path).unwrap().map(|entry| Self::read(&entry.unwrap().path())).collect();
        assert!(!vectors.is_empty(), "vectors/{folder} is empty");
        vectors.sort_by(|a, b| a.name.cmp(&b.name));
        vectors
    }

    fn read(path: &Path) -> Self {
        assert_eq!(path.extension().unwrap(), "txt", "{} is no vector", path.display());
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let fields = fs::read_to_string(path)
            .unwrap()
            .lines()
            .map(|line| {
                line.split_once(':').unwrap_or_else(|| panic!("{name}: {line:?} has no key"))
            })
            .map(|(key, value)| (key.to_owned(), value.trim_start().to_owned()))
            .collect();
        Self { name, fields }
    }

    /// Takes every value of `key`, in the order of the file; none where there is none.
    pub(crate) fn all(&mut self, key: &str) -> Vec<String> {
        let (found, rest): (Vec<_>, Vec<_>) =
            self.fields.drain(..).partition(|(name, _)| name == key);
        self.fields = rest;
        found.into_iter().map(|(_, value)| value).collect()
    }

    /// Takes the one value of `key`.
    pub(crate) fn text(&mut self, key: &str) -> String {
        let mut found = self.all(key);
        match (found.pop(), found.is_empty()) {
            (Some(value), true) => value,
            (Some(_), false) => panic!("{}: {key} stands twice", self.name),
            (None, _) => panic!("{}: no {key}", self.name),
        }
    }

    /// Takes the one value of `key`, written in hexadecimal digits.
    pub(crate) fn bytes(&mut self, key: &str) -> Vec<u8> {
        let text = self.text(key);
        unhex(&text).unwrap_or_else(|| panic!("{}: {key} is not hexadecimal", self.name))
    }

    /// Everything that nobody has asked for, in the order of the file.
    pub(crate) fn into_rest(self) -> Vec<(String, String)> {
        self.fields
    }
}

/// What `text` says in hexadecimal digits.
pub(crate) fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || !text.is_ascii() {
        return None;
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok()).collect()
}

/// `bytes` in lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
