//! The keys and certificates of one cluster.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose,
};

/// Files that kube-apiserver and its clients are given. The authority's own key is forgotten.
pub struct Certs {
    /// The authority, PEM.
    pub authority: PathBuf,
    /// The authority, DER.
    pub authority_der: Vec<u8>,
    /// What kube-apiserver shows on 127.0.0.1.
    pub serving: PathBuf,
    /// The key of `serving`.
    pub serving_key: PathBuf,
    /// A client in group `system:masters`.
    pub client: PathBuf,
    /// The key of `client`.
    pub client_key: PathBuf,
    /// Signs service account tokens.
    pub service_account_key: PathBuf,
    /// Checks them.
    pub service_account_public: PathBuf,
}

impl Certs {
    /// Makes all of them in `folder`.
    pub fn make(folder: &Path) -> Result<Self> {
        let mut params = CertificateParams::default();
        params.distinguished_name = name("strongroom test authority", None);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        let key = KeyPair::generate()?;
        let certificate = params.self_signed(&key)?;
        let authority = write(folder, "ca.crt", &certificate.pem())?;
        let authority_der = certificate.der().to_vec();
        let issuer = Issuer::new(params, key);

        let mut serving = CertificateParams::new(["127.0.0.1".to_owned(), "localhost".to_owned()])?;
        serving.distinguished_name = name("kube-apiserver", None);
        serving.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let (serving, serving_key) = issue(folder, "apiserver", &serving, &issuer)?;

        let mut client = CertificateParams::default();
        client.distinguished_name = name("tester", Some("system:masters"));
        client.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let (client, client_key) = issue(folder, "client", &client, &issuer)?;

        let key = KeyPair::generate()?;
        let service_account_key = write(folder, "service-account.key", &key.serialize_pem())?;
        let service_account_public = write(folder, "service-account.pub", &key.public_key_pem())?;
        Ok(Self {
            authority,
            authority_der,
            serving,
            serving_key,
            client,
            client_key,
            service_account_key,
            service_account_public,
        })
    }
}

fn name(common: &str, organisation: Option<&str>) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common);
    if let Some(organisation) = organisation {
        name.push(DnType::OrganizationName, organisation);
    }
    name
}

fn issue(
    folder: &Path,
    name: &str,
    params: &CertificateParams,
    issuer: &Issuer<'_, KeyPair>,
) -> Result<(PathBuf, PathBuf)> {
    let key = KeyPair::generate()?;
    let certificate = params.signed_by(&key, issuer)?;
    Ok((
        write(folder, &format!("{name}.crt"), &certificate.pem())?,
        write(folder, &format!("{name}.key"), &key.serialize_pem())?,
    ))
}

fn write(folder: &Path, name: &str, pem: &str) -> Result<PathBuf> {
    let path = folder.join(name);
    std::fs::write(&path, pem).with_context(|| format!("{} cannot be written", path.display()))?;
    Ok(path)
}
