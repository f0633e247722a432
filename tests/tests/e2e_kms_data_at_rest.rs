//! What a Secret and a ConfigMap look like to whoever reads etcd, and to whoever reads them through the API.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use kube::api::PostParams;
use testbed::encryption::PROVIDER;
use testbed::{Cluster, StoredValue, object, random};

#[test]
fn secrets_and_config_maps_lie_encrypted_in_etcd_and_are_read_back_equal() -> Result<()> {
    testbed::run(async {
        let mut cluster = Cluster::encrypting(1).await?;
        let node = cluster.node()?;
        let secret = random::text::<64>()?;
        let config = random::text::<64>()?;
        let api = &node.apiserver;
        let post = PostParams::default();
        api.secrets("default").create(&post, &object::secret("one", &secret)).await?;
        api.config_maps("default").create(&post, &object::config_map("one", &config)).await?;

        let read = api.secrets("default").get("one").await?;
        assert_eq!(object::value_of(&read), Some(secret.as_str()));
        let read = api.config_maps("default").get("one").await?;
        assert_eq!(read.data.unwrap_or_default().get("value"), Some(&config));

        let plugin = node.daemon.plugin()?;
        let key_id = plugin.status().await?.key_id;
        for (kind, value) in [("secrets", &secret), ("configmaps", &config)] {
            let key = format!("/registry/{kind}/default/one");
            let bytes = cluster.etcd.value(&key).await?;
            let begin = format!("k8s:enc:kms:v2:{PROVIDER}:");
            assert!(bytes.starts_with(begin.as_bytes()), "{kind}: {}", bytes.escape_ascii());
            assert_eq!(trace_of(value, &bytes), None, "{kind}: in sight in the stored value");

            // What is out of sight is there: this reader takes it out with nothing but the plugin's Decrypt.
            let stored = StoredValue::parse(&bytes)?;
            assert_eq!(stored.provider, PROVIDER);
            assert_eq!(stored.object.key_id, key_id);
            let seed = plugin.unwrap_seed(&stored.object).await?;
            let plaintext = stored.open(&seed, &key)?;
            assert!(trace_of(value, &plaintext).is_some(), "{kind}: {}", plaintext.escape_ascii());
        }
        Ok(())
    })
}

#[test]
fn no_file_of_etcd_holds_a_value() -> Result<()> {
    testbed::run(async {
        let mut cluster = Cluster::encrypting(1).await?;
        let post = PostParams::default();
        let secret = random::text::<64>()?;
        // Names are not encrypted: this one shows that the search sees what lies in these files.
        let name = random::text::<16>()?;
        let secrets = cluster.node()?.apiserver.secrets("default");
        secrets.create(&post, &object::secret(&name, &secret)).await?;

        let mut named = 0;
        for file in files_in(cluster.etcd.data())? {
            let bytes = used_part(&file)?;
            assert_eq!(trace_of(&secret, &bytes), None, "in sight in {}", file.display());
            named += usize::from(trace_of(&name, &bytes).is_some());
        }
        assert!(named > 0, "the search finds nothing at all");
        Ok(())
    })
}

/// Any eight bytes of a value, as text, or of its base64 form, which is how JSON would carry it.
fn trace_of(value: &str, bytes: &[u8]) -> Option<String> {
    let encoded = BASE64_STANDARD.encode(value);
    let wanted: HashSet<&[u8]> =
        value.as_bytes().windows(8).chain(encoded.as_bytes().windows(8)).collect();
    let found = bytes.windows(8).find(|window| wanted.contains(window));
    found.map(|window| String::from_utf8_lossy(window).into_owned())
}

/// The bytes of a file up to its last page that holds anything: etcd reserves 64 MiB for each log.
fn used_part(file: &Path) -> Result<Vec<u8>> {
    const PAGE: usize = 4096;
    const EMPTY: [u8; PAGE] = [0; PAGE];
    let mut bytes = std::fs::read(file).with_context(|| file.display().to_string())?;
    let pages = bytes.chunks(PAGE).rposition(|page| !EMPTY.starts_with(page));
    bytes.truncate(pages.map_or(0, |page| (page + 1) * PAGE));
    Ok(bytes)
}

fn files_in(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder)? {
            let entry = entry?;
            let into = if entry.file_type()?.is_dir() { &mut folders } else { &mut files };
            into.push(entry.path());
        }
    }
    Ok(files)
}
