//! `cargo xtask demo`: one Secret in the etcd of a real cluster, before and after.

use std::ops::Range;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, Result};
use testbed::cluster::secret_key;
use testbed::encryption::Encryption;
use testbed::process::complete;
use testbed::stored_value::Region;
use testbed::{Apiserver, Cluster, StoredValue};

use crate::dump;
use crate::output::{Ink, Output};

const NAME: &str = "payroll-db";
const PASSWORD: &str = "correct-horse-battery-staple";

/// Starts the cluster, shows, and ends what was started.
pub(crate) fn run(output: &Output) -> Result<()> {
    let start = Instant::now();
    testbed::run(async {
        let cluster = Cluster::empty().await?;
        let mut apiserver = cluster.make_apiserver("kube-apiserver")?;
        without_strongroom(output, &cluster, &mut apiserver).await?;
        with_strongroom(output, &cluster, &mut apiserver).await
    })?;
    output.line("")?;
    output.line(&format!(
        "{} seconds; everything that was started is ended.",
        start.elapsed().as_secs()
    ))
}

async fn without_strongroom(
    output: &Output,
    cluster: &Cluster,
    apiserver: &mut Apiserver,
) -> Result<()> {
    output.step("Before: a Kubernetes API server as it comes")?;
    apiserver.start().await?;
    output.line("etcd and kube-apiserver run, without an EncryptionConfiguration.")?;
    let literal = format!("--from-literal=password={PASSWORD}");
    kubectl(output, apiserver, &["create", "secret", "generic", NAME, &literal])?;

    let bytes = cluster.etcd.value(&secret_key(NAME)).await?;
    let password = find(&bytes, PASSWORD.as_bytes()).context("the password is not in etcd")?;
    output.line(&format!("What etcd holds under {}:", secret_key(NAME)))?;
    for line in dump::lines(output, &bytes, |offset| match password.contains(&offset) {
        true => Ink::Alarm,
        false => Ink::Plain,
    }) {
        output.line(&line)?;
    }
    output.line(&format!(
        "{} is the password. Whoever has a disk, a snapshot or a backup of etcd has it too.",
        output.paint(Ink::Alarm, PASSWORD),
    ))
}

async fn with_strongroom(
    output: &Output,
    cluster: &Cluster,
    apiserver: &mut Apiserver,
) -> Result<()> {
    output.step("After: strongroomd beside it")?;
    let mut daemon = cluster.make_daemon("strongroomd")?;
    daemon.init()?;
    daemon.start().await?;
    output.line("strongroomd init made a root key and version 1 of the ring `etcd`; strongroomd serve runs.")?;
    apiserver.encrypt(&Encryption { socket: daemon.socket(), reads_plaintext: true })?;
    apiserver.restart().await?;
    output.line(
        "kube-apiserver is started again, with an EncryptionConfiguration that names the socket.",
    )?;
    output
        .line("What was stored before is still plaintext, so the Secret is written once more:")?;
    rewrite(output, apiserver)?;

    let bytes = cluster.etcd.value(&secret_key(NAME)).await?;
    let regions = StoredValue::regions(&bytes)?;
    output.line(&format!("What etcd holds now under {}:", secret_key(NAME)))?;
    let ink = |offset: usize| {
        regions
            .iter()
            .find(|(_, range)| range.contains(&offset))
            .map_or(Ink::Faint, |(r, _)| colour(*r))
    };
    for line in dump::lines(output, &bytes, ink) {
        output.line(&line)?;
    }
    legend(output, &StoredValue::parse(&bytes)?)?;

    output.line("Through the API, for whoever may, nothing has changed:")?;
    kubectl(
        output,
        apiserver,
        &["get", "secret", NAME, "--output=go-template={{.data.password | base64decode}}"],
    )?;
    daemon.terminate().await?;
    Ok(())
}

fn legend(output: &Output, stored: &StoredValue) -> Result<()> {
    let key_id = &stored.object.key_id;
    let length = stored.object.encrypted_dek_source.len();
    let key = format!("{key_id}: the key of strongroomd that wraps the seed");
    let seed = format!("{length} bytes, XAES-256-GCM by strongroomd");
    let lines = [
        (Ink::Name, "provider    ", "the name in the EncryptionConfiguration"),
        (
            Ink::Data,
            "data        ",
            "the Secret, AES-256-GCM by kube-apiserver, its key made from a seed",
        ),
        (Ink::KeyId, "key id      ", &key),
        (Ink::Seed, "wrapped seed", &seed),
        (
            Ink::Note,
            "annotation  ",
            "that key, wrapped by the root key: a backup of etcd and the root suffice",
        ),
    ];
    for (ink, name, meaning) in lines {
        output.line(&format!("    {}  {meaning}", output.paint(ink, name)))?;
    }
    Ok(())
}

fn colour(region: Region) -> Ink {
    match region {
        Region::Prefix | Region::Provider => Ink::Name,
        Region::Info | Region::Nonce | Region::Ciphertext | Region::Tag => Ink::Data,
        Region::KeyId => Ink::KeyId,
        Region::WrappedSeed => Ink::Seed,
        Region::Annotations => Ink::Note,
        Region::Framing => Ink::Faint,
    }
}

/// Runs kubectl and shows the command and its answer.
fn kubectl(output: &Output, apiserver: &Apiserver, arguments: &[&str]) -> Result<()> {
    let quoted = arguments.iter().map(|word| match word.contains(' ') {
        true => format!("'{word}'"),
        false => (*word).to_owned(),
    });
    show_command(output, &format!("kubectl {}", quoted.collect::<Vec<_>>().join(" ")))?;
    output.line(complete(apiserver.kubectl()?.args(arguments))?.trim_end())
}

/// `kubectl get … | kubectl replace -f -`, which reads and writes a Secret without changing it.
fn rewrite(output: &Output, apiserver: &Apiserver) -> Result<()> {
    show_command(
        output,
        &format!("kubectl get secret {NAME} --output=json | kubectl replace --filename=-"),
    )?;
    let script = "\"$@\" get secret \"$NAME\" --output=json | \"$@\" replace --filename=-";
    let kubectl = apiserver.kubectl()?;
    let mut both = Command::new("sh");
    both.args(["-c", script, "sh"])
        .env("NAME", NAME)
        .arg(kubectl.get_program())
        .args(kubectl.get_args());
    both.env("KUBECONFIG", "/dev/null");
    output.line(complete(&mut both)?.trim_end())
}

fn show_command(output: &Output, command: &str) -> Result<()> {
    output.line(&output.paint(Ink::Strong, &format!("  $ {command}")))
}

fn find(bytes: &[u8], part: &[u8]) -> Option<Range<usize>> {
    let start = bytes.windows(part.len()).position(|window| window == part)?;
    Some(start..start + part.len())
}
