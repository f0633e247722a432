//! The two doors of the API, and who comes in through them.

use std::{
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use http::Extensions;
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        self, RootCertStore, ServerConfig,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
        server::WebPkiClientVerifier,
        version::TLS13,
    },
    server::TlsStream,
};
use tracing::{info, warn};

use super::certificate::identity;
use crate::{
    authority::Identity,
    config,
    listen::{BindError, Door, Place, Socket},
};

/// A handful of people and dashboards.
const MAX_CONNECTIONS: usize = 64;

fn place(config: &config::Api) -> Option<Place<'_>> {
    let config::Api { socket, owner, group, .. } = config;
    let path = socket.as_deref()?;
    Some(Place { path, owner: *owner, group: *group, setting: "api.socket" })
}

/// Where the API is served; bound, and nobody let in yet.
#[derive(Debug)]
pub struct Doors {
    pub(super) socket: Option<Socket>,
    pub(super) tcp: Option<TcpDoor>,
}

impl Doors {
    /// Binds what the configuration names.
    ///
    /// # Errors
    /// [`OpenError`]; nothing stays bound.
    pub async fn open(config: &config::Api) -> Result<Self, OpenError> {
        let socket = place(config).map(Socket::bind).transpose()?;
        let tcp = match &config.listen {
            Some(listen) => Some(TcpDoor::open(listen).await?),
            None => None,
        };
        Ok(Self { socket, tcp })
    }

    /// Address and port, where it is served over TCP.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        self.tcp.as_ref()?.listener.local_addr().ok()
    }
}

/// The unix socket: a peer is the user that the kernel says it is.
pub(super) struct SocketDoor(pub(super) UnixListener);

impl Door for SocketDoor {
    type Raw = UnixStream;
    type Stream = UnixStream;
    type Who = Identity;
    const MAX_CONNECTIONS: usize = MAX_CONNECTIONS;

    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<UnixStream>> {
        self.0.poll_accept(cx).map_ok(|(stream, _)| stream)
    }

    /// Everybody who can open the socket: the gate says who may do what, and tells whoever may not.
    fn admits(&self, raw: &UnixStream) -> bool {
        raw.peer_cred()
            .inspect_err(|error| warn!(%error, "peer refused: the kernel does not say who it is"))
            .is_ok()
    }

    fn greet(
        &self,
        raw: UnixStream,
    ) -> impl Future<Output = Option<(UnixStream, Identity)>> + Send + 'static {
        let who = raw.peer_cred().ok().map(|peer| Identity::Uid(peer.uid()));
        std::future::ready(who.map(|who| (raw, who)))
    }

    fn introduce(who: &Identity, extensions: &mut Extensions) {
        extensions.insert(who.clone());
    }
}

/// TCP: a peer is whom its certificate names.
pub(super) struct TcpDoor {
    listener: TcpListener,
    acceptor: TlsAcceptor,
}

impl TcpDoor {
    async fn open(config: &config::Listen) -> Result<Self, OpenError> {
        let address = config.address;
        let acceptor = TlsAcceptor::from(Arc::new(tls(&config.tls)?));
        let bound = TcpListener::bind(address).await;
        let listener = bound.map_err(|source| OpenError::Listen { address, source })?;
        Ok(Self { listener, acceptor })
    }
}

impl std::fmt::Debug for TcpDoor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TcpDoor").field("listener", &self.listener).finish_non_exhaustive()
    }
}

impl Door for TcpDoor {
    type Raw = (TcpStream, SocketAddr);
    type Stream = Pin<Box<TlsStream<TcpStream>>>;
    type Who = Identity;
    const MAX_CONNECTIONS: usize = MAX_CONNECTIONS;
    const PING_EVERY: Option<Duration> = Some(Duration::from_secs(30));

    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<Self::Raw>> {
        self.listener.poll_accept(cx)
    }

    fn admits(&self, _: &Self::Raw) -> bool {
        true
    }

    fn greet(
        &self,
        (stream, address): Self::Raw,
    ) -> impl Future<Output = Option<(Self::Stream, Identity)>> + Send + 'static {
        // Small answers to small questions; where it fails they are only later.
        let _ = stream.set_nodelay(true);
        let accept = self.acceptor.accept(stream);
        async move {
            let stream = accept
                .await
                .inspect_err(|error| info!(%address, %error, "peer refused: no TLS with a certificate that we take"))
                .ok()?;
            let shown = stream.get_ref().1.peer_certificates();
            let Some(who) = shown.and_then(<[_]>::first).and_then(identity) else {
                warn!(%address, "peer refused: its certificate has neither one URI nor one common name");
                return None;
            };
            Some((Box::pin(stream), who))
        }
    }

    fn introduce(who: &Identity, extensions: &mut Extensions) {
        extensions.insert(who.clone());
    }
}

fn tls(files: &config::Tls) -> Result<ServerConfig, OpenError> {
    let unusable = |path: &Path, why: String| OpenError::Tls { path: path.into(), why };
    let provider = Arc::new(ring::default_provider());
    let mut authorities = RootCertStore::empty();
    let path = &*files.client_ca_file;
    for certificate in certificates(path)? {
        authorities.add(certificate).map_err(|error| unusable(path, error.to_string()))?;
    }
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(authorities), Arc::clone(&provider))
            .build()
            .map_err(|error| unusable(path, error.to_string()))?;

    let chain = certificates(&files.cert_file)?;
    let path = &*files.key_file;
    let pem = read(path)?;
    let key = PrivateKeyDer::from_pem_slice(&pem)
        .map_err(|_| unusable(path, "it has no private key in PEM".into()))?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])
        .map(|config| config.with_client_cert_verifier(verifier))
        .and_then(|config| config.with_single_cert(chain, key))
        .map_err(|error: rustls::Error| unusable(path, error.to_string()))?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(config)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, OpenError> {
    let unusable = |why: &str| OpenError::Tls { path: path.into(), why: why.into() };
    let pem = read(path)?;
    let all: Vec<_> = CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<_, _>>()
        .map_err(|_| unusable("it is not PEM"))?;
    if all.is_empty() { Err(unusable("it has no certificate")) } else { Ok(all) }
}

fn read(path: &Path) -> Result<Vec<u8>, OpenError> {
    fs::read(path).map_err(|error| OpenError::Tls { path: path.into(), why: error.to_string() })
}

/// The API cannot be served. Every message says what to do next.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The unix socket.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The address.
    #[error(
        "api.listen {address} cannot be bound: {source}. Choose another address in the configuration"
    )]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// A file of `api.tls`.
    #[error("{} of api.tls cannot be used: {why}", path.display())]
    Tls {
        /// The file.
        path: PathBuf,
        /// Why.
        why: String,
    },
}
