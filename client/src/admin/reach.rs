//! The way to a daemon: its socket, or mutual TLS.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
    str::FromStr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use http::Uri;
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::{
    TlsConnector,
    rustls::{
        ClientConfig, RootCertStore,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _},
        version::TLS13,
    },
};
use tonic::transport::{Channel, Endpoint};

use super::Connection;
use crate::{
    failure::Failure,
    socket::{Address, Unreachable},
};

/// How long connecting may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where the admin API is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    Socket(Address),
    Https { host: String, port: u16 },
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if !text.starts_with("https:") && !text.starts_with("http:") {
            return text.parse().map(Self::Socket).map_err(|_| {
                "expected the path of a socket, unix:///path, or https://HOST:PORT".to_owned()
            });
        }
        let wrong = || "expected https://HOST:PORT, and nothing after it".to_owned();
        let uri: Uri = text.parse().map_err(|_| wrong())?;
        let plain = uri.scheme_str() == Some("https")
            && matches!(uri.path(), "" | "/")
            && uri.query().is_none()
            && uri.authority().is_some_and(|authority| !authority.as_str().contains('@'));
        match (uri.host(), uri.port_u16()) {
            (Some(host), Some(port)) if plain => {
                let host = host.trim_matches(['[', ']']).to_owned();
                Ok(Self::Https { host, port })
            }
            _ => Err(wrong()),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket(address) => address.fmt(f),
            Self::Https { host, port } if host.contains(':') => {
                write!(f, "https://[{host}]:{port}")
            }
            Self::Https { host, port } => write!(f, "https://{host}:{port}"),
        }
    }
}

/// The way, and why it was closed the last time.
pub(super) struct Reach {
    target: Target,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    trouble: Arc<Mutex<Option<Failure>>>,
}

trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

impl Reach {
    pub(super) fn new(connection: &Connection) -> Result<Self, Failure> {
        let target = connection.admin.clone();
        let tls = match &target {
            Target::Socket(_) => None,
            Target::Https { host, .. } => {
                let name = ServerName::try_from(host.clone()).map_err(|_| {
                    Failure::new(
                        format!("{host:?} is no name of a machine"),
                        "a certificate could not be checked against it",
                        "give the name or address that the daemon's certificate has",
                    )
                    .usage()
                })?;
                Some((TlsConnector::from(Arc::new(tls(connection)?)), name))
            }
        };
        Ok(Self { target, tls, trouble: Arc::default() })
    }

    pub(super) fn target(&self) -> &Target {
        &self.target
    }

    /// Why nobody was reached, if that was why.
    pub(super) fn trouble(&self) -> Option<Failure> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Connects when it is first used, and again when the connection broke.
    pub(super) fn channel(&self) -> Channel {
        let (target, tls, trouble) = (self.target.clone(), self.tls.clone(), self.trouble.clone());
        let connector = tower::service_fn(move |_: Uri| {
            let (target, tls, trouble) = (target.clone(), tls.clone(), trouble.clone());
            async move {
                let connected = connect(&target, tls).await;
                let mut last = trouble.lock().unwrap_or_else(PoisonError::into_inner);
                *last = connected.as_ref().err().cloned();
                connected.map(TokioIo::new)
            }
        });
        // The connector knows the way; HTTP/2 only wants a name.
        Endpoint::from_static("http://localhost").connect_with_connector_lazy(connector)
    }
}

async fn connect(
    target: &Target,
    tls: Option<(TlsConnector, ServerName<'static>)>,
) -> Result<Box<dyn Io>, Failure> {
    let (host, port) = match target {
        Target::Socket(address) => {
            // The file first: connecting to what is no socket is only "refused".
            let explain = |unreachable| explain(address, &unreachable);
            address.facts().map_err(explain)?;
            return Ok(Box::new(address.connect(PATIENCE).await.map_err(explain)?));
        }
        Target::Https { host, port } => (host.as_str(), *port),
    };
    let unreachable = |why: String, next: &str| {
        Failure::new(format!("strongroomd cannot be reached at {target}"), why, next).unreachable()
    };
    let Some((connector, name)) = tls else {
        return Err(unreachable("there is no TLS for it".into(), "this is a bug: report it"));
    };
    let connected = async {
        let stream = TcpStream::connect((host, port)).await.map_err(|error| {
            unreachable(
                error.to_string(),
                "check api.listen in strongroomd's configuration, and firewalls on the way",
            )
        })?;
        connector.connect(name, stream).await.map_err(|error| {
            unreachable(
                error.to_string(),
                "--ca must be the authority of the daemon's certificate, and the host a name that stands in it",
            )
        })
    };
    match tokio::time::timeout(PATIENCE, connected).await {
        Ok(connected) => Ok(Box::new(connected?)),
        Err(_) => Err(unreachable(
            format!("no answer within {PATIENCE:?}"),
            "check api.listen in strongroomd's configuration, and firewalls on the way",
        )),
    }
}

fn explain(address: &Address, unreachable: &Unreachable) -> Failure {
    let what = format!("strongroomd cannot be reached at {address}");
    let next = match unreachable {
        Unreachable::Denied { .. } => {
            "run this as a user who may: root, or a member of the socket's group (api.group in strongroomd's configuration)"
        }
        Unreachable::Refused { .. } | Unreachable::Silent { .. } => {
            "start it: `strongroomd serve --config FILE` (or `systemctl start strongroomd`); its log says why it stopped"
        }
        _ => {
            "name its socket, api.socket in strongroomd's configuration, with --admin PATH or STRONGROOM_ADMIN;\nif it does not run: `strongroomd serve --config FILE` (or `systemctl start strongroomd`)"
        }
    };
    Failure::new(what, unreachable.to_string(), next).unreachable()
}

fn tls(connection: &Connection) -> Result<ClientConfig, Failure> {
    let ca = needed(connection.ca.as_deref(), "--ca")?;
    let cert = needed(connection.cert.as_deref(), "--cert")?;
    let key = needed(connection.key.as_deref(), "--key")?;
    let mut authorities = RootCertStore::empty();
    for certificate in certificates(ca)? {
        authorities.add(certificate).map_err(|error| unusable(ca, error))?;
    }
    let pem = fs::read(key).map_err(|error| unusable(key, error))?;
    let secret = PrivateKeyDer::from_pem_slice(&pem).map_err(|error| unusable(key, error))?;
    let chain = certificates(cert)?;
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&TLS13])
        .map(|config| config.with_root_certificates(authorities))
        .and_then(|config| config.with_client_auth_cert(chain, secret))
        .map_err(|error| unusable(cert, error))?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(config)
}

fn needed<'a>(path: Option<&'a Path>, option: &str) -> Result<&'a Path, Failure> {
    path.ok_or_else(|| {
        Failure::new(
            format!("{option} is missing"),
            "over https the daemon and you show each other certificates",
            "give --cert, --key and --ca (or STRONGROOM_CERT, STRONGROOM_KEY, STRONGROOM_CA)",
        )
        .usage()
    })
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Failure> {
    let pem = fs::read(path).map_err(|error| unusable(path, error))?;
    let all: Vec<_> = CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<_, _>>()
        .map_err(|error| unusable(path, error))?;
    if all.is_empty() { Err(unusable(path, "it has no certificate")) } else { Ok(all) }
}

fn unusable(path: &Path, why: impl fmt::Display) -> Failure {
    Failure::new(
        format!("{} cannot be used", PathBuf::from(path).display()),
        why.to_string(),
        "give a file in PEM that you may read",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_a_socket_or_https_and_nothing_else() {
        let https = |host: &str, port| Ok(Target::Https { host: host.into(), port });
        assert_eq!("https://db-1.example:7443".parse(), https("db-1.example", 7443));
        assert_eq!("https://[::1]:7443/".parse(), https("::1", 7443));
        assert!(matches!("/run/admin.sock".parse(), Ok(Target::Socket(_))));
        assert!(matches!("unix:///run/admin.sock".parse(), Ok(Target::Socket(_))));
        for wrong in [
            "",
            "http://localhost:7443",
            "https://localhost",
            "https://a:1/path",
            "https://me@a:1",
            "https://a:1/?x",
            "tcp://a:1",
            "https://a:99999",
        ] {
            assert!(wrong.parse::<Target>().is_err(), "{wrong:?} was taken for a target");
        }
    }
}
