//! `--format bitnami`: what their controller opens, written as `kubeseal` writes it.

use std::{path::Path, process::ExitCode};

use bitnami::PublicKey;
use envelope::SystemRandom;

use super::{Manifest, Seal, comments};
use crate::{bitnami_secret, failure::Failure, output, time, walk};

/// Their controller makes one of some 2 KiB; a chain may stand behind it.
const MOST: usize = 1 << 20;

impl Seal {
    /// `now` in seconds since 1970.
    pub(super) fn run_bitnami(&self, now: u64) -> Result<ExitCode, Failure> {
        if self.clusters.all || !self.clusters.names.is_empty() {
            return Err(Failure::new(
                "--format bitnami takes no cluster of .strongroom",
                "what it seals is for the one controller whose certificate is given",
                "leave --cluster and --all-clusters out",
            )
            .usage());
        }
        let certificate = self.cert.as_deref().unwrap_or(Path::new("-"));
        let key = public_key(certificate, now)?;
        for path in &walk::each_once(self.files.clone()) {
            let source = Manifest::read(path)?;
            let target = self.there()?;
            let sealed = self.sealed_for(&source, &key)?;
            self.write(&source, target.as_ref(), &sealed)?;
        }
        Ok(ExitCode::SUCCESS)
    }

    /// The source with each of its Secrets sealed in their format.
    fn sealed_for(&self, source: &Manifest, key: &PublicKey) -> Result<Vec<u8>, Failure> {
        let file = source.parse()?;
        let secrets = self.secrets(source, &file)?;
        let mut splice = splice::Splice::new(&file);
        for (found, secret) in &secrets {
            let object = bitnami_secret::sealed(secret, self.scope, key, &SystemRandom);
            let object = object.map_err(|error| {
                source.failure(
                    file.node(found.node).place(),
                    &format!("Secret {} cannot be sealed", secret.name),
                    error.to_string(),
                    "write metadata.namespace, or name it with --namespace; or seal with --scope cluster",
                )
            })?;
            splice
                .replace(found.node, comments::kept(&file, found.node, object, "encryptedData"))
                .map_err(|error| super::unsafe_change(source, &error))?;
            if self.dry_run {
                output::note(&format!(
                    "{}: Secret {}: {} values would be sealed",
                    source.shown,
                    secret.name,
                    secret.values.len()
                ));
            }
        }
        self.finish(source, &file, splice, &secrets)
    }
}

/// The key of a certificate that has not expired: their controller makes a new one every 30 days, so that an old one is mostly one that
/// was forgotten. It would still open; `kubeseal` refuses as well.
fn public_key(path: &Path, now: u64) -> Result<PublicKey, Failure> {
    let shown = path.display();
    let again = "fetch it again: kubeseal --fetch-cert > cert.pem";
    let text = durable::read(path, MOST).map_err(|error| {
        Failure::new(format!("{shown} cannot be read"), error.to_string(), again)
    })?;
    let key =
        PublicKey::from_certificate_pem(&String::from_utf8_lossy(&text)).map_err(|error| {
            Failure::new(
                format!("{shown} is no certificate to seal with"),
                error.to_string(),
                again,
            )
        })?;
    if now > key.not_after() {
        return Err(Failure::new(
            format!("the certificate {shown} expired on {}", time::time(key.not_after())),
            "its key may be one that the controller has replaced since",
            again,
        ));
    }
    Ok(key)
}
