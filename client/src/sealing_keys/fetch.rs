//! `strongroom sealing-keys fetch`: a cluster's list, from a file or over TLS, into the repository.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use clap::Args;
use sealing::SealingKeys;

use super::encode;
use crate::{
    failure::Failure,
    input, manifest, output,
    repository::{FOLDER, Repository},
};

/// Some hundred keys.
const MOST: usize = 1 << 20;

#[derive(Args)]
pub(crate) struct Fetch {
    /// A file, - for stdin, or https://HOST[:PORT]/PATH
    #[arg(value_name = "FILE|URL")]
    from: String,
    /// The authority of the server's certificate, PEM, instead of the system's authorities (https)
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Take another identity for this cluster than the pinned one: only after you asked the cluster's owners why it changed
    #[arg(long)]
    replace_identity: bool,
}

impl Fetch {
    pub(super) fn run(self) -> Result<(), Failure> {
        let bytes = self.read()?;
        let refused = |why: String| {
            Failure::new(
                format!("{} is no list of sealing keys", self.from),
                why,
                "take the file <cluster>.yaml that `strongroom sealing-keys new` or the cluster published",
            )
        };
        let json = manifest::one_object(&bytes).map_err(|error| refused(error.to_string()))?;
        let list = SealingKeys::parse(&json).map_err(|error| refused(error.to_string()))?;
        let mut repository = Repository::find(Path::new("."))?;
        if repository.root.as_os_str().is_empty() {
            repository.root = root_of_work_tree()?;
        }
        let path = repository.cluster_path(&list.cluster);
        // What is judged is what is replaced, and not what somebody writes meanwhile.
        let old = match durable::read(&path, MOST) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            read => Some(read.map_err(|error| unwritable(&path, &error))?),
        };
        if let Some(old) = &old {
            repository.add(&path, old)?;
        }
        let pinned = repository.clusters.get(&list.cluster);
        if let Some(pinned) = pinned {
            self.check(pinned, &list)?;
        }
        let text = encode(&list);
        write(&path, old.as_deref(), &text)?;
        let identity = data_encoding::BASE64.encode(&list.identity);
        match pinned {
            None => output::note(&format!(
                "pinned cluster {} with identity {identity}\n\
                 compare that with what its owners say, then commit {FOLDER}",
                list.cluster
            )),
            Some(pinned) if encode(pinned) == text => {
                output::note(&format!("{} is up to date", path.display()))
            }
            Some(_) => output::note(&format!(
                "took in list {} of cluster {}; commit {FOLDER}",
                list.serial, list.cluster
            )),
        }
        Ok(())
    }

    fn check(&self, pinned: &SealingKeys, list: &SealingKeys) -> Result<(), Failure> {
        if pinned.identity != list.identity && !self.replace_identity {
            let base64 = |bytes: &[u8]| data_encoding::BASE64.encode(bytes);
            return Err(Failure::new(
                format!(
                    "this list of cluster {} is signed by another identity than the pinned one",
                    list.cluster
                ),
                format!("pinned: {}\nnow:    {}", base64(&pinned.identity), base64(&list.identity)),
                "somebody may want you to seal for them: ask the cluster's owners; if it did change, --replace-identity",
            ));
        }
        if pinned.identity == list.identity && list.serial < pinned.serial {
            return Err(Failure::new(
                format!("this list of cluster {} is older than the pinned one", list.cluster),
                format!("pinned is number {}, this is number {}", pinned.serial, list.serial),
                "take the newest from the cluster",
            ));
        }
        Ok(())
    }

    fn read(&self) -> Result<Vec<u8>, Failure> {
        if self.from.starts_with("https://") {
            return crate::https::read(&self.from, self.ca.as_deref(), MOST);
        }
        if self.from.starts_with("http://") {
            return Err(Failure::new(
                "keys are not taken over plain http",
                "anybody on the way could put in their own",
                "use https://, or fetch the file yourself and name it",
            )
            .usage());
        }
        input::read(Path::new(&self.from), MOST).map_err(|error| {
            Failure::new(
                format!("{} cannot be read", self.from),
                error.to_string(),
                "name a file that you may read",
            )
        })
    }
}

fn write(path: &Path, old: Option<&[u8]>, text: &str) -> Result<(), Failure> {
    let made = path.parent().map_or(Ok(()), fs::create_dir_all);
    let written = made.and_then(|()| match old {
        Some(old) => durable::replace_if(path, old, text.as_bytes(), 0o644, &|_| {}),
        None => durable::create(path, text.as_bytes(), 0o644, &|_| {}).map(|()| true),
    });
    if written.map_err(|error| unwritable(path, &error))? {
        return Ok(());
    }
    Err(Failure::new(
        format!("{} was changed meanwhile", path.display()),
        "somebody else took in a list at the same time; theirs is kept",
        "run the command again",
    ))
}

fn unwritable(path: &Path, error: &io::Error) -> Failure {
    Failure::new(
        format!("{} cannot be written", path.display()),
        error.to_string(),
        "check its permissions",
    )
}

/// Where `.strongroom` is to lie: at the root of the work tree, or here where there is none.
pub(crate) fn root_of_work_tree() -> Result<PathBuf, Failure> {
    let here = Path::new(".").canonicalize().map_err(|error| {
        Failure::new(
            "the current folder cannot be found",
            error.to_string(),
            "change into a folder that exists",
        )
    })?;
    let root = here.ancestors().find(|folder| folder.join(".git").exists()).unwrap_or(&here);
    Ok(root.to_owned())
}
