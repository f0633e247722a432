//! The quiet cache: which plaintext a sealed value was made of, so that sealing the same again gives no diff.
//!
//! One file outside of any repository, mode 0600:
//!
//! ```text
//! "strongroom quiet 1\n" ‖ key[32] ‖ entries: tag[32] ‖ digest of the sealed value[32]
//! ```
//!
//! Invariant: it decides only whether a value that is there keeps its bytes. Without it, with an old one, or with one that was cut
//! short, what is sealed is right and merely differs. So nothing about it is ever an error.

use std::{
    collections::HashSet,
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::PathBuf,
};

use envelope::{KeyMaterial, Random};
use etcetera::BaseStrategy as _;
use sealing::{DataKey, Place, Plaintext, QuietKey, Value};

const MAGIC: &[u8; 19] = b"strongroom quiet 1\n";
const HEAD: usize = MAGIC.len() + QuietKey::LEN;
const ENTRY: usize = 64;
/// 250,000 values. What is older then is sealed anew once.
const MOST: usize = 16 << 20;

/// What is remembered. Empty and deaf where there is no place to remember in.
pub(crate) struct Quiet {
    store: Option<(QuietKey, HashSet<Entry>)>,
}

/// That a plaintext was sealed as a certain value.
pub(crate) type Entry = [u8; ENTRY];

impl Quiet {
    /// Reads what is remembered, or begins.
    pub(crate) fn open(random: &dyn Random) -> Self {
        Self { store: path().and_then(|path| read_or_begin(&path, random).ok()) }
    }

    /// One that knows nothing and keeps nothing.
    pub(crate) fn none() -> Self {
        Self { store: None }
    }

    /// Whether `value` is what this plaintext was sealed as, in this place.
    pub(crate) fn knows(
        &self,
        place: &Place,
        key: &DataKey,
        plaintext: &Plaintext,
        value: &Value,
    ) -> bool {
        let Some((secret, entries)) = &self.store else { return false };
        entries.contains(&entry(secret, place, key, plaintext, value))
    }

    /// What is to be remembered of a value that was sealed, for [`Self::keep`].
    pub(crate) fn entry(
        &self,
        place: &Place,
        key: &DataKey,
        plaintext: &Plaintext,
        value: &Value,
    ) -> Option<Entry> {
        let (secret, _) = self.store.as_ref()?;
        Some(entry(secret, place, key, plaintext, value))
    }

    /// Writes down what was learnt, after the files that it is about.
    pub(crate) fn keep(self, learnt: &[Entry]) {
        if let (Some(_), Some(path), false) = (&self.store, path(), learnt.is_empty()) {
            // Not remembered is not wrong.
            let _ = append(&path, learnt.as_flattened());
        }
    }
}

fn entry(
    secret: &QuietKey,
    place: &Place,
    key: &DataKey,
    plaintext: &Plaintext,
    value: &Value,
) -> Entry {
    let mut out = [0; ENTRY];
    let both = secret.tag(place, key, plaintext).into_iter().chain(value.digest());
    for (to, from) in out.iter_mut().zip(both) {
        *to = from;
    }
    out
}

fn path() -> Option<PathBuf> {
    Some(etcetera::choose_base_strategy().ok()?.cache_dir().join("strongroom/quiet"))
}

fn read_or_begin(path: &PathBuf, random: &dyn Random) -> io::Result<(QuietKey, HashSet<Entry>)> {
    for _ in 0..2 {
        match read(path) {
            Ok(Some(known)) => return Ok(known),
            // Another format, too large, or readable by others: it is safe to begin again.
            Ok(None) => fs::remove_file(path)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let key = QuietKey::make(random).map_err(io::Error::other)?;
        if let Some(folder) = path.parent() {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        }
        let mut head = zeroize::Zeroizing::new(MAGIC.to_vec());
        head.extend_from_slice(key.expose_secret());
        match durable::create(path, &head, 0o600, &|_| {}) {
            Ok(()) => return Ok((key, HashSet::new())),
            // Somebody else began at the same time: theirs is as good.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::ErrorKind::WouldBlock.into())
}

/// `None` where the file is not one of ours.
fn read(path: &PathBuf) -> io::Result<Option<(QuietKey, HashSet<Entry>)>> {
    let mut file = File::open(path)?;
    let metadata = file.metadata()?;
    if metadata.permissions().mode() & 0o077 != 0 || metadata.len() > MOST as u64 {
        return Ok(None);
    }
    let mut bytes = zeroize::Zeroizing::new(Vec::with_capacity(metadata.len() as usize + 1));
    file.read_to_end(&mut bytes)?;
    let Some((head, entries)) = bytes.split_at_checked(HEAD) else { return Ok(None) };
    let key = head.strip_prefix(MAGIC).and_then(KeyMaterial::copy_from);
    // An entry that was cut short is none.
    let (entries, _) = entries.as_chunks::<ENTRY>();
    Ok(key.map(|key| (QuietKey::from_material(key), entries.iter().copied().collect())))
}

fn append(path: &PathBuf, fresh: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().read(true).write(true).mode(0o600).open(path)?;
    file.lock()?;
    // Behind the last whole entry, in place of what somebody who was killed left there.
    let len = (file.metadata()?.len() as usize).saturating_sub(HEAD);
    file.seek(SeekFrom::Start((HEAD + len - len % ENTRY) as u64))?;
    file.write_all(fresh)
}
