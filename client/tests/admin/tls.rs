//! Over https: both sides show a certificate, and what is wrong with one is said.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

use proto::admin as api;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
};
use tokio::net::{TcpListener, UnixStream};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        RootCertStore, ServerConfig,
        crypto::ring::default_provider,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
        server::WebPkiClientVerifier,
    },
};

use crate::{
    daemon::{Answers, serve},
    key, keys,
};

struct Authority {
    issuer: Issuer<'static, KeyPair>,
    file: PathBuf,
}

impl Authority {
    fn make(folder: &Path, name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let file = folder.join(format!("{name}.ca"));
        std::fs::write(&file, params.self_signed(&key).unwrap().pem()).unwrap();
        Self { issuer: Issuer::new(params, key), file }
    }

    /// Files of a certificate and its key.
    fn issue(
        &self,
        folder: &Path,
        name: &str,
        usage: ExtendedKeyUsagePurpose,
    ) -> (PathBuf, PathBuf) {
        let mut params = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages = vec![usage];
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let (cert, secret) =
            (folder.join(format!("{name}.crt")), folder.join(format!("{name}.key")));
        std::fs::write(&cert, certificate.pem()).unwrap();
        std::fs::write(&secret, key.serialize_pem()).unwrap();
        (cert, secret)
    }
}

fn roots(file: &Path) -> Arc<RootCertStore> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(file).unwrap()).unwrap();
    Arc::new(roots)
}

/// Mutual TLS in front of a socket.
async fn front(
    listener: TcpListener,
    socket: PathBuf,
    (cert, key): (PathBuf, PathBuf),
    clients: PathBuf,
) {
    let provider = Arc::new(default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(roots(&clients), provider.clone());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier.build().unwrap())
        .with_single_cert(
            vec![CertificateDer::from_pem_file(cert).unwrap()],
            PrivateKeyDer::from_pem_file(key).unwrap(),
        )
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        if let Ok(mut stream) = acceptor.accept(stream).await {
            let mut socket = UnixStream::connect(&socket).await.unwrap();
            tokio::spawn(
                async move { tokio::io::copy_bidirectional(&mut stream, &mut socket).await },
            );
        }
    }
}

#[test]
fn https_needs_the_right_certificates_on_both_sides() {
    let daemon =
        serve(Answers { keys: keys(key(1, api::KeyState::Deactivated)), ..Answers::default() });
    let folder = daemon.folder.path();
    let [ours, theirs, other] =
        ["ours", "theirs", "other"].map(|name| Authority::make(folder, name));
    let serving = ours.issue(folder, "daemon", ExtendedKeyUsagePurpose::ServerAuth);
    let alice = theirs.issue(folder, "alice", ExtendedKeyUsagePurpose::ClientAuth);
    let stranger = other.issue(folder, "stranger", ExtendedKeyUsagePurpose::ClientAuth);

    let runtime = tokio::runtime::Runtime::new().unwrap();
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let address: SocketAddr = listener.local_addr().unwrap();
    runtime.spawn(front(listener, daemon.socket.clone(), serving, theirs.file.clone()));

    let ask = |(cert, key): &(PathBuf, PathBuf), authority: &Path| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_strongroom"));
        command.arg("keys").arg("list").arg(format!("--admin=https://{address}"));
        command.arg("--cert").arg(cert).arg("--key").arg(key).arg("--ca").arg(authority);
        let output = command.output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(text).unwrap())
    };
    let (code, text) = ask(&alice, &ours.file);
    assert!(text.contains("etcd/v1/0123456789ab"), "{text}");
    assert_eq!(code, Some(0));

    let (code, text) = ask(&alice, &other.file);
    assert!(text.contains("--ca must be the authority of the daemon's certificate"), "{text}");
    assert_eq!(code, Some(3));

    let (code, text) = ask(&stranger, &ours.file);
    assert!(text.contains("broke: ") && text.contains("api.tls.client_ca_file"), "{text}");
    assert_eq!(code, Some(3), "{text}");

    let (code, text) = ask(&(alice.1.clone(), alice.0.clone()), &ours.file);
    assert!(text.contains("cannot be used"), "{text}");
    assert_eq!(code, Some(1));
}
