//! Files that are old or new, never neither.
//!
//! Invariant: whoever reads the path sees the whole old content or the whole new one, also after a crash or a loss of power
//! at any step; what these functions return `Ok` for is on disk. A write that was cut short leaves at most a file
//! `.<name>.tmp`, which the next write replaces.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

/// What a write is about to do. Tests stop it here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Write the content under a temporary name.
    Write,
    /// Make the content durable.
    SyncFile,
    /// Give it its name.
    Publish,
    /// Make the name durable.
    SyncFolder,
}

impl Step {
    /// All steps, in order.
    pub const ALL: [Self; 4] = [Self::Write, Self::SyncFile, Self::Publish, Self::SyncFolder];
}

/// Gives `path` new content, whether or not it had any. The file gets the permission bits `mode`.
///
/// # Errors
/// Those of the file system; `path` is then as it was, or, when only the last step failed, already new.
pub fn replace(path: &Path, content: &[u8], mode: u32, before: &dyn Fn(Step)) -> io::Result<()> {
    let tmp = write_tmp(path, content, mode, before)?;
    before(Step::Publish);
    fs::rename(&tmp, path)?;
    before(Step::SyncFolder);
    sync_folder(path)
}

/// Makes `path`, which must not exist.
///
/// # Errors
/// [`io::ErrorKind::AlreadyExists`] where there is anything at `path`, which is left as it is; else as [`replace`].
pub fn create(path: &Path, content: &[u8], mode: u32, before: &dyn Fn(Step)) -> io::Result<()> {
    if path.symlink_metadata().is_ok() {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    let tmp = write_tmp(path, content, mode, before)?;
    before(Step::Publish);
    // Unlike rename(2), link(2) fails where somebody else was faster.
    let linked = fs::hard_link(&tmp, path);
    fs::remove_file(&tmp)?;
    linked?;
    before(Step::SyncFolder);
    sync_folder(path)
}

fn write_tmp(path: &Path, content: &[u8], mode: u32, before: &dyn Fn(Step)) -> io::Result<PathBuf> {
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    let tmp = path.with_file_name(format!(".{}.tmp", name.to_string_lossy()));
    match fs::remove_file(&tmp) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    before(Step::Write);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&tmp)?;
    file.write_all(content)?;
    before(Step::SyncFile);
    file.sync_all()?;
    Ok(tmp)
}

fn sync_folder(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => File::open(folder)?.sync_all(),
        _ => File::open(".")?.sync_all(),
    }
}
