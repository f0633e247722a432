//! `strongroom edit`: a sealed Secret in the user's editor.
//!
//! Invariants:
//! - Clear text lies in memory only, in a folder that nobody else enters, and not longer than it is needed.
//! - Whatever goes wrong, the draft stays where it is, and it is said where: what was typed is lost by `--discard` alone.
//! - What was not changed keeps its bytes.

mod change;
mod draft;
mod editor;
mod folder;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Args, ValueHint};
use envelope::SystemRandom;
use sealing::{KeyRing, OpenError, Opened, SealedSecret};

use self::{
    change::Change,
    editor::Editor,
    folder::{About, Drafts, Folder},
};
use crate::{
    change::{Which, put},
    completion,
    failure::Failure,
    keyfile,
    manifest::{self, Found, Manifest},
    output,
    quiet::Quiet,
    repository::{Clusters, Repository},
};

pub(crate) const EXAMPLES: &str = "\
Examples:
  With the key that opens it
      strongroom edit prod/db.yaml --key ~/prod-keys/sealing.keys
  Without: new values over old ones, names and labels; what is sealed is not shown
      strongroom edit prod/db.yaml
  Go on with a draft after a crash, or drop it
      strongroom edit --resume
      strongroom edit --discard
  Another editor, with its options
      VISUAL='code --wait' strongroom edit prod/db.yaml

In the editor: change a value, and it is sealed anew; take its line out, and it is gone; change its
name, and it has another one. Text stands in stringData, everything else in data, as base64. Close
without a change, and nothing happens.

The draft lies in $XDG_RUNTIME_DIR or /dev/shm, which must be in memory (tmpfs); encrypt your swap.
Backups and histories of your editor are its own; vim and nvim are told to make none.";

#[derive(Args)]
pub(crate) struct Edit {
    /// The file that the sealed Secret is in
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath, required_unless_present_any = ["resume", "discard"])]
    file: Option<PathBuf>,
    /// Which of several sealed Secrets in the file: its name, or NAMESPACE/NAME
    #[arg(long, value_name = "NAME", add = completion::objects())]
    object: Option<String>,
    /// A file with private keys, one escrow text a line; may be given more than once, or not at all
    #[arg(long = "key", value_name = "FILE", value_hint = ValueHint::FilePath)]
    keys: Vec<PathBuf>,
    #[command(flatten)]
    clusters: Clusters,
    /// Go on with a draft that was kept
    #[arg(long)]
    resume: bool,
    /// With --resume: seal what the draft has also where the file has something newer
    #[arg(long, requires = "resume")]
    overwrite: bool,
    /// Wipe a draft that was kept
    #[arg(long, conflicts_with = "resume")]
    discard: bool,
    #[command(flatten)]
    editor: editor::Choice,
    #[command(flatten)]
    drafts: folder::Place,
}

impl Edit {
    pub(crate) fn run(self) -> Result<ExitCode, Failure> {
        if self.file.as_deref() == Some(Path::new("-")) {
            return Err(Failure::new(
                "stdin cannot be edited",
                "what is edited is written back",
                "name a file",
            )
            .usage());
        }
        let drafts = self.drafts.open()?;
        if self.discard {
            let folder = drafts.kept(self.file.as_deref(), self.object.as_deref())?;
            let about = folder.about.object.clone();
            folder.wipe()?;
            output::note(&format!("the draft of {about} is wiped"));
            return Ok(ExitCode::SUCCESS);
        }
        let ring = keyfile::read_ring(&self.keys)?;
        let mut editor = Editor::start(&self.editor)?;
        let folder = match &self.file {
            Some(file) if !self.resume => self.begin(&drafts, file, &ring)?,
            file => drafts.kept(file.as_deref(), self.object.as_deref())?,
        };
        let origin = match self.origin(&folder, &ring) {
            Ok(origin) => origin,
            Err(failure) => return Err(folder.kept(failure)),
        };
        match self.edit(&folder, &origin, &mut editor) {
            Ok(done) => {
                folder.wipe()?;
                output::note(&done);
                Ok(ExitCode::SUCCESS)
            }
            Err(failure) => {
                editor.end();
                // An editor that could not be run, or was left to say no: there is nothing to keep.
                let untouched = origin.change(&folder).is_ok_and(|change| change.is_empty());
                if untouched && !folder.has_more() {
                    folder.wipe()?;
                    return Err(failure);
                }
                Err(folder.kept(failure))
            }
        }
    }

    /// A draft of what is sealed now.
    fn begin(&self, drafts: &Drafts, file: &Path, ring: &KeyRing) -> Result<Folder, Failure> {
        let manifest = Manifest::read(file)?;
        let (object, opened) = self.read(&manifest, self.object.as_deref(), ring)?;
        // Better known before than after the work.
        Repository::find(file)?.recipients_like(&object, &self.clusters)?;
        drafts.refuse_second(file, &object.full_name())?;
        let text = draft::encode(&object, &opened, &manifest.shown);
        let about = About::new(file, &object, &opened);
        drafts.make(about, &manifest.text, &text)
    }

    /// What a draft was made of. Refused without the keys that were there then: values that nobody changed would be sealed anew.
    fn origin(&self, folder: &Folder, ring: &KeyRing) -> Result<Origin, Failure> {
        let manifest = Manifest::of(folder.about.shown.clone(), folder.sealed()?)?;
        let (object, opened) = self.read(&manifest, Some(&folder.about.object), ring)?;
        let closed: Vec<&str> = folder
            .about
            .open
            .iter()
            .map(String::as_str)
            .filter(|key| !opened.contains_key(*key))
            .collect();
        if !closed.is_empty() {
            return Err(Failure::new(
                format!("the draft of {} was made with other keys", folder.about.object),
                format!("{} was open then, and is not with the keys given now", closed.join(", ")),
                "give the same files with --key",
            ));
        }
        Ok(Origin { text: manifest.text, object, opened })
    }

    /// The editor, and what follows from what it leaves; says what was done.
    fn edit(
        &self,
        folder: &Folder,
        origin: &Origin,
        editor: &mut Editor,
    ) -> Result<String, Failure> {
        let name = folder.about.object.as_str();
        let change = loop {
            editor.edit(&folder.draft(), &folder.path)?;
            match origin.change(folder) {
                Err(failure) if editor.again(&failure) => {}
                change => break change?,
            }
        };
        if change.is_empty() {
            return Ok(format!("{name}: nothing was changed"));
        }
        let manifest = Manifest::read(self.file.as_deref().unwrap_or(&folder.about.file))?;
        if manifest.text != origin.text && !self.resume {
            return Err(Failure::new(
                format!("{} was changed meanwhile", manifest.shown),
                "somebody else wrote it while you edited; what they wrote is kept",
                "look at it, then bring your changes in",
            ));
        }
        self.apply(&manifest, name, &origin.object, &change)?;
        Ok(format!("{name}: {change}"))
    }

    /// Writes the changes into the file.
    fn apply(
        &self,
        manifest: &Manifest,
        name: &str,
        base: &SealedSecret,
        change: &Change,
    ) -> Result<(), Failure> {
        let file = manifest.parse()?;
        let (found, old) = find(manifest, &file, Some(name))?;
        if !self.overwrite {
            change.refuse_lost(base, &old)?;
        }
        let repository = Repository::find(Path::new(&manifest.shown))?;
        let recipients = match change.set.is_empty() {
            true => Vec::new(),
            false => repository.recipients_like(&old, &self.clusters)?,
        };
        let new = change.apply(&old, &recipients)?;
        let changed = manifest::Change { found, old, new, order: Vec::new() };
        put(manifest, &file, &repository, &changed, false)?;
        let new = changed.new;
        let quiet = Quiet::open(&SystemRandom);
        let learnt: Vec<_> = change
            .set
            .iter()
            .filter_map(|(key, plaintext)| {
                quiet.entry(&new.place()?, key, plaintext, new.values().get(key)?)
            })
            .collect();
        quiet.keep(&learnt);
        Ok(())
    }

    /// The object of a file, and what the keys open of it.
    fn read(
        &self,
        manifest: &Manifest,
        name: Option<&str>,
        ring: &KeyRing,
    ) -> Result<(SealedSecret, Opened), Failure> {
        let file = manifest.parse()?;
        let (found, object) = find(manifest, &file, name)?;
        let opened = object.open_available(ring).map_err(|error| {
            let next = match error {
                OpenError::Closed => {
                    "put it back as it was sealed (git log -p); or edit it without --key, and write every value anew"
                }
                _ => "correct the object first",
            };
            manifest.failure(
                file.node(found.node).place(),
                &format!("{} does not open", object.full_name()),
                error.to_string(),
                next,
            )
        })?;
        Ok((object, opened))
    }
}

/// What a draft was made of.
struct Origin {
    text: Vec<u8>,
    object: SealedSecret,
    opened: Opened,
}

impl Origin {
    /// What the draft, as it is now, changes of it.
    fn change(&self, folder: &Folder) -> Result<Change, Failure> {
        draft::parse(folder.text()?, &self.object, &self.opened)
    }
}

fn find(
    manifest: &Manifest,
    file: &splice::File<'_>,
    name: Option<&str>,
) -> Result<(Found, SealedSecret), Failure> {
    let which = Which { file: PathBuf::new(), object: name.map(str::to_owned) };
    which.find(manifest, file)
}
