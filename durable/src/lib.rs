//! Files that are old or new, never neither.
//!
//! Invariant: whoever reads the path sees the whole old content or the whole new one, also after a crash or a loss of power
//! at any step; what these functions return `Ok` for is on disk. A write that was cut short leaves at most a file
//! `.<name>.tmp`, which the next write replaces.

#![forbid(unsafe_code)]

use std::{
    fs::{self, File, OpenOptions, Permissions},
    io::{self, Read, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown},
    path::{Path, PathBuf},
};

use rustix::fs::{CWD, OFlags, RenameFlags, renameat_with};

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

/// Gives `path` new content, whether or not it had any. The file gets the permission bits `mode`, and keeps its owner where we may say so.
///
/// # Errors
/// Those of the file system; `path` is then as it was, or, when only the last step failed, already new.
pub fn replace(path: &Path, content: &[u8], mode: u32, before: &dyn Fn(Step)) -> io::Result<()> {
    let folder = lock_folder(path)?;
    publish(&folder, path, content, mode, before)
}

/// [`replace`], if the file still has the content `old`; else it is left as it is. False says so: somebody else wrote it, and whoever
/// made `content` from `old` begins again. Two that write through these functions never lose what one of them wrote; an editor that does
/// not take our lock can still come between.
///
/// # Errors
/// As [`replace`].
pub fn replace_if(
    path: &Path,
    old: &[u8],
    content: &[u8],
    mode: u32,
    before: &dyn Fn(Step),
) -> io::Result<bool> {
    let folder = lock_folder(path)?;
    if read(path, old.len())? != old {
        return Ok(false);
    }
    publish(&folder, path, content, mode, before)?;
    Ok(true)
}

/// Makes `path`, which must not exist. The file gets the permission bits `mode`, without those of the umask.
///
/// # Errors
/// [`io::ErrorKind::AlreadyExists`] where there is anything at `path`, which is left as it is; else as [`replace`].
pub fn create(path: &Path, content: &[u8], mode: u32, before: &dyn Fn(Step)) -> io::Result<()> {
    let folder = lock_folder(path)?;
    if path.symlink_metadata().is_ok() {
        remove_tmp(path)?;
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    let tmp = write_tmp(path, content, mode, Mask::Obeyed, before)?;
    before(Step::Publish);
    // Fails where somebody who does not take our lock was faster.
    renameat_with(CWD, &tmp, CWD, path, RenameFlags::NOREPLACE)
        .or_else(|error| given_up(&tmp, error.into()))?;
    before(Step::SyncFolder);
    folder.sync_all()
}

/// Reads a regular file of at most `most` bytes. What is longer is cut after one byte more, for the parser to refuse; a pipe
/// or a device is an error, and never waits.
///
/// # Errors
/// Those of the file system; [`io::ErrorKind::InvalidInput`] where it is no regular file.
pub fn read(path: &Path, most: usize) -> io::Result<Vec<u8>> {
    let file = open(path)?;
    let mut content = Vec::new();
    file.take(most as u64 + 1).read_to_end(&mut content)?;
    Ok(content)
}

/// Opens a regular file to read it, without waiting for anybody.
///
/// # Errors
/// As [`read`].
pub fn open(path: &Path) -> io::Result<File> {
    let nonblocking = OFlags::NONBLOCK.bits() as i32;
    let file = OpenOptions::new().read(true).custom_flags(nonblocking).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
    }
    Ok(file)
}

/// One writer at a time in a folder: two would share the temporary name. The kernel lets go of the lock however we die.
fn lock_folder(path: &Path) -> io::Result<File> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = File::open(folder.unwrap_or(Path::new(".")))?;
    folder.lock()?;
    Ok(folder)
}

fn publish(
    folder: &File,
    path: &Path,
    content: &[u8],
    mode: u32,
    before: &dyn Fn(Step),
) -> io::Result<()> {
    let tmp = write_tmp(path, content, mode, Mask::Ignored, before)?;
    before(Step::Publish);
    fs::rename(&tmp, path).or_else(|error| given_up(&tmp, error))?;
    before(Step::SyncFolder);
    folder.sync_all()
}

/// Whether the umask of the process takes bits off the mode: it says how a file begins, not what becomes of one that is there.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mask {
    Obeyed,
    Ignored,
}

fn write_tmp(
    path: &Path,
    content: &[u8],
    mode: u32,
    mask: Mask,
    before: &dyn Fn(Step),
) -> io::Result<PathBuf> {
    let tmp = remove_tmp(path)?;
    before(Step::Write);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&tmp)?;
    let mut write = || {
        if mask == Mask::Ignored {
            keep_owner(path, &file);
            file.set_permissions(Permissions::from_mode(mode))?;
        }
        file.write_all(content)?;
        before(Step::SyncFile);
        file.sync_all()
    };
    write().or_else(|error| given_up(&tmp, error))?;
    Ok(tmp)
}

/// What root writes stays its owner's, who could not read it any more. Others cannot give files away, and need not.
fn keep_owner(path: &Path, file: &File) {
    let (Ok(old), Ok(new)) = (path.symlink_metadata(), file.metadata()) else { return };
    if (old.uid(), old.gid()) != (new.uid(), new.gid()) {
        let _ = fchown(file, Some(old.uid()), Some(old.gid()));
    }
}

/// The error that ended a write, after what it has written, which may be a key.
fn given_up<T>(tmp: &Path, error: io::Error) -> io::Result<T> {
    fs::remove_file(tmp)?;
    Err(error)
}

/// Removes what a write that was cut short has left, which may be a key; returns its name.
fn remove_tmp(path: &Path) -> io::Result<PathBuf> {
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    let tmp = path.with_file_name(format!(".{}.tmp", name.to_string_lossy()));
    match fs::remove_file(&tmp) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(tmp),
    }
}
