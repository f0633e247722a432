//! Over TCP: who has no certificate of the right authority is nobody.

use std::{fs, net::SocketAddr, path::Path, sync::Arc};

use hyper_util::rt::TokioIo;
use proto::admin::{self, admin_client::AdminClient};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, SanType,
};
use tokio::net::TcpStream;
use tokio_rustls::{
    TlsConnector,
    rustls::{
        ClientConfig, RootCertStore,
        crypto::ring::default_provider,
        pki_types::{CertificateDer, PrivateKeyDer, ServerName},
    },
};
use tonic::{Code, Status, transport::Endpoint};

use crate::wire::{Served, serve_in};

struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
    pem: String,
}

impl Authority {
    fn make(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let (pem, der) = (certificate.pem(), certificate.der().clone());
        Self { issuer: Issuer::new(params, key), certificate: der, pem }
    }

    fn client(
        &self,
        common_names: &[&str],
        uris: &[&str],
        usage: ExtendedKeyUsagePurpose,
    ) -> Shown {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::OrganizationName, "hospital");
        for name in common_names {
            params.distinguished_name.push(DnType::CommonName, *name);
        }
        let uri = |uri: &&str| SanType::URI((*uri).try_into().unwrap());
        params.subject_alt_names = uris.iter().map(uri).collect();
        params.extended_key_usages = vec![usage];
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        (certificate.der().clone(), key)
    }
}

type Shown = (CertificateDer<'static>, PrivateKeyDer<'static>);

async fn serve(ours: &Authority, theirs: &Authority, allow: &str) -> (Served, SocketAddr) {
    let folder = tempfile::tempdir().unwrap();
    let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, &ours.issuer).unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path
    };
    let settings = format!(
        "listen = \"127.0.0.1:0\"\n[api.tls]\ncert_file = {:?}\nkey_file = {:?}\nclient_ca_file = {:?}\n{allow}",
        write("tls.crt", &certificate.pem()),
        write("tls.key", &key.serialize_pem()),
        write("ca.crt", &theirs.pem),
    );
    let served = serve_in(folder, &settings).await;
    let address = served.address.unwrap();
    (served, address)
}

async fn ask(address: SocketAddr, server: &Authority, shown: Option<&Shown>) -> Result<(), Status> {
    let mut authorities = RootCertStore::empty();
    authorities.add(server.certificate.clone()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(authorities);
    let mut config = match shown {
        Some((certificate, key)) => {
            config.with_client_auth_cert(vec![certificate.clone()], key.clone_key()).unwrap()
        }
        None => config.with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    let connector = TlsConnector::from(Arc::new(config));
    let connect = tower::service_fn(move |_| {
        let connector = connector.clone();
        async move {
            let stream = TcpStream::connect(address).await?;
            let name = ServerName::try_from("localhost").unwrap();
            connector.connect(name, stream).await.map(TokioIo::new)
        }
    });
    let channel = Endpoint::from_static("http://localhost").connect_with_connector_lazy(connect);
    AdminClient::new(channel).list_keys(admin::ListKeysRequest {}).await.map(drop)
}

#[tokio::test]
async fn the_certificate_says_who_asks() {
    use ExtendedKeyUsagePurpose::{ClientAuth, ServerAuth};
    let [ours, theirs, other] = ["ours", "theirs", "other"].map(Authority::make);
    let allow = "\
        [[api.allow]]\nidentity = \"cert:alice\"\nmay = [\"read\"]\n\
        [[api.allow]]\nidentity = \"uri:spiffe://example.org/ops\"\nmay = [\"read\"]\n\
        [[api.allow]]\nidentity = \"uid:0\"\nmay = [\"read\"]\n";
    let (served, address) = serve(&ours, &theirs, allow).await;

    let spiffe = "spiffe://example.org/ops";
    let admitted = [
        theirs.client(&["alice"], &[], ClientAuth),
        theirs.client(&[], &[spiffe], ClientAuth),
        // The URI comes first: this is not alice.
        theirs.client(&["alice"], &[spiffe], ClientAuth),
    ];
    for shown in &admitted {
        ask(address, &ours, Some(shown)).await.unwrap();
    }

    let denied = [
        (theirs.client(&["bob"], &[], ClientAuth), "cert:bob"),
        (theirs.client(&["uid:0"], &[], ClientAuth), "cert:uid:0"),
        (theirs.client(&["alice"], &["uid:0"], ClientAuth), "uri:uid:0"),
        (
            theirs.client(&["alice"], &["spiffe://example.org/x"], ClientAuth),
            "uri:spiffe://example.org/x",
        ),
    ];
    for (shown, name) in &denied {
        let status = ask(address, &ours, Some(shown)).await.unwrap_err();
        assert_eq!(status.code(), Code::PermissionDenied, "{name}");
        assert!(status.message().starts_with(name), "{name}: {}", status.message());
    }
    let recorded = served.fake.denied.lock().unwrap().clone();
    let names: Vec<&str> = recorded.iter().map(|(who, ..)| who.as_str()).collect();
    assert_eq!(names, denied.iter().map(|(_, name)| *name).collect::<Vec<_>>());

    served.fake.asked.lock().unwrap().clear();
    let strangers = [
        None,
        Some(other.client(&["alice"], &[], ClientAuth)),
        Some(theirs.client(&["alice"], &[], ServerAuth)),
        Some(theirs.client(&["alice"], &[spiffe, "spiffe://example.org/x"], ClientAuth)),
        Some(theirs.client(&[], &[], ClientAuth)),
    ];
    for (number, shown) in strangers.iter().enumerate() {
        let status = ask(address, &ours, shown.as_ref()).await.unwrap_err();
        // Never got as far as an answer.
        assert_ne!(status.code(), Code::PermissionDenied, "stranger {number}");
        assert!(served.fake.asked.lock().unwrap().is_empty(), "stranger {number}");
    }
    // Somebody else's daemon is not asked.
    ask(address, &other, Some(&admitted[0])).await.unwrap_err();
}

#[tokio::test]
async fn files_that_cannot_be_used_are_named() {
    let authority = Authority::make("ours");
    let folder = tempfile::tempdir().unwrap();
    let good = folder.path().join("good.pem");
    let key = KeyPair::generate().unwrap();
    fs::write(&good, authority.pem + &key.serialize_pem()).unwrap();
    let empty = folder.path().join("empty.pem");
    fs::write(&empty, "").unwrap();
    let missing = folder.path().join("missing.pem");
    let check = async |cert: &Path, key: &Path, ca: &Path, named: &Path| {
        let config = format!(
            "[kms]\nsocket = \"/k\"\n[bundle]\ndir = \"/\"\n[[roots]]\nkind = \"local\"\nfile = \"/r\"\n\
             [api]\nlisten = \"127.0.0.1:0\"\ntls = {{ cert_file = {cert:?}, key_file = {key:?}, client_ca_file = {ca:?} }}\n",
        );
        let config = strongroomd::config::Config::parse(&config).unwrap().api.unwrap();
        let error = strongroomd::api::Doors::open(&config).await.unwrap_err().to_string();
        assert!(error.contains(named.to_str().unwrap()), "{error}");
    };
    for bad in [&empty, &missing] {
        check(bad, &good, &good, bad).await;
        check(&good, bad, &good, bad).await;
        check(&good, &good, bad, bad).await;
    }
}
