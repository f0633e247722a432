//! What the daemon says, and what lies in its memory after it served.

use std::{
    collections::{BTreeMap, HashMap},
    fs::{self, File},
    io::{Read, Seek, SeekFrom},
};

use anyhow::{Context as _, Result};
use testbed::{Daemon, folder::Folder, random};

use crate::{
    holder::{Holder, make_foreign_key},
    steps::{loads, request},
};

/// The writable memory of a process: what its core file would hold.
pub(crate) struct Image(Vec<u8>);

impl Image {
    /// Needs to be root, or the right to trace the daemon: it has forbidden that to its own user.
    pub(crate) fn of(pid: u32) -> Result<Self> {
        let maps = fs::read_to_string(format!("/proc/{pid}/maps"))?;
        let mut memory = File::open(format!("/proc/{pid}/mem"))
            .context("the memory of the daemon can be read by root only")?;
        let mut image = Vec::new();
        for map in maps.lines() {
            let mut fields = map.split_whitespace();
            let (range, rights) = (fields.next().unwrap(), fields.next().unwrap());
            if !rights.starts_with("rw") {
                continue;
            }
            let (from, to) = range.split_once('-').unwrap();
            let (from, to) = (u64::from_str_radix(from, 16)?, u64::from_str_radix(to, 16)?);
            memory.seek(SeekFrom::Start(from))?;
            memory.by_ref().take(to - from).read_to_end(&mut image)?;
        }
        Ok(Self(image))
    }

    pub(crate) fn count(&self, needle: &[u8]) -> usize {
        let (first, rest) = needle.split_first().unwrap();
        let starts = self.0.iter().enumerate().filter(|(_, byte)| *byte == first);
        starts.filter(|(at, _)| self.0[at + 1..].starts_with(rest)).count()
    }
}

/// The ways in which bytes could have been printed.
fn printed(secret: &[u8]) -> Vec<String> {
    use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};

    let hex = secret.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let list = format!("{secret:?}");
    vec![
        hex.to_uppercase(),
        hex,
        // Without the last digit, which depends on what follows.
        STANDARD_NO_PAD.encode(secret)[..42].to_owned(),
        list.trim_matches(['[', ']']).to_owned(),
        secret.escape_ascii().to_string(),
    ]
}

#[test]
fn no_key_and_no_seed_is_said_or_left_in_memory() -> Result<()> {
    testbed::run(async {
        let folder = Folder::make()?;
        let mut daemon = Daemon::make(folder.path())?;
        daemon.init()?;
        daemon.log_filter("trace");
        daemon.start().await?;
        let holder = Holder::of(&daemon)?;
        let (foreign_key, foreign_id) = make_foreign_key()?;
        let foreign_wrap = holder.wrap(&foreign_key, &foreign_id)?.encode();

        let mut seeds = Vec::new();
        let mut said = String::new();
        {
            let plugin = daemon.plugin()?;
            for _ in 0..50 {
                let seed: [u8; 32] = random::bytes()?;
                let stored = plugin.encrypt(&seed).await?;
                let right = request(&stored);
                assert_eq!(plugin.decrypt(right.clone()).await?.plaintext, seed);
                seeds.push(seed);

                let mut changed = right.clone();
                changed.ciphertext[40] ^= 1;
                said += &format!("{:?}", plugin.decrypt(changed).await.unwrap_err());
                let mut recovered = right;
                recovered.key_id = foreign_id.as_str().into();
                recovered.annotations =
                    HashMap::from([("kek.strongroom.dev".into(), foreign_wrap.clone())]);
                said += &format!("{:?}", plugin.decrypt(recovered).await.unwrap_err());
                let longer = [seed.as_slice(), &[0]].concat();
                said += &format!("{:?}", plugin.encrypt(&longer).await.unwrap_err());
            }
        }
        // The connection is gone, and with it the buffers that the seeds went through.
        daemon.reload()?;
        loads(&daemon, "Accepted", 2.0).await?;
        said += &daemon.log()?;
        said += daemon.metrics().await?.text();
        said += &daemon.admin("/readyz").await?.1;
        assert!(said.contains("TRACE"), "the most verbose level was asked for");

        let root = fs::read(daemon.root())?;
        let version = *holder.unwrapped()?[0].expose_secret();
        let ledger = *holder.ledger_key()?.expose_secret();
        let mut secrets: Vec<(&str, &[u8])> = vec![
            ("root key", &root),
            ("ledger key", &ledger),
            ("key version", &version),
            ("recovered version", foreign_key.expose_secret()),
        ];
        secrets.extend(seeds.iter().map(|seed| ("seed", seed.as_slice())));

        let image = Image::of(daemon.id().context("it runs")?)?;
        let mut found = BTreeMap::new();
        for (name, secret) in &secrets {
            for form in printed(secret) {
                assert!(!said.contains(&form), "{name} was said: {form}");
            }
            *found.entry(*name).or_insert(0) += image.count(secret);
        }
        // The first two round keys of AES-256 are the key itself: what can encrypt and decrypt has it in memory, once for
        // each version that opens. Nothing else is there (docs/threat-model.md).
        let expected = [
            ("key version", 1),
            ("ledger key", 0),
            ("recovered version", 1),
            ("root key", 0),
            ("seed", 0),
        ];
        assert_eq!(found, BTreeMap::from(expected));
        Ok(())
    })
}
