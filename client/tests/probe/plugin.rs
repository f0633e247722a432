//! A KMS plugin that keeps the contract, but for what a test changes. It encrypts by remembering.

use std::{
    collections::HashMap,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use http_body_util::{BodyExt as _, Full};
use proto::kms::{
    DecryptRequest, DecryptResponse, EncryptRequest, EncryptResponse, StatusRequest,
    StatusResponse,
    key_management_service_server::{KeyManagementService, KeyManagementServiceServer},
};
use tempfile::TempDir;
use tokio::{net::UnixListener, runtime::Runtime};
use tokio_stream::wrappers::UnixListenerStream;
use tonic::{Code, Request, Response, Status, body::Body, transport::Server};
use tower::util::MapResponseLayer;

/// How the plugin behaves; the default is as it should.
pub(crate) struct Behaviour {
    pub(crate) version: String,
    pub(crate) healthz: String,
    pub(crate) key_id: String,
    /// Sent for a Status as it stands: what the types of the protocol cannot say.
    pub(crate) raw_status: Option<Vec<u8>>,
    pub(crate) status_code: Code,
    pub(crate) encrypt_key_id: Option<String>,
    pub(crate) encrypt_code: Code,
    /// From the plaintext and a number that grows.
    pub(crate) seal: fn(&[u8], u64) -> Vec<u8>,
    pub(crate) annotations: HashMap<String, Vec<u8>>,
    pub(crate) decrypt_code: Code,
    pub(crate) open: fn(Vec<u8>) -> Vec<u8>,
    /// The codes for what must be refused; `Ok` accepts.
    pub(crate) changed: Code,
    pub(crate) other_key: Code,
    pub(crate) empty_ciphertext: Code,
    pub(crate) oversized_ciphertext: Code,
    pub(crate) empty_plaintext: Code,
    pub(crate) oversized_plaintext: Code,
    /// A wrong request makes Status say that the plugin is ill.
    pub(crate) is_harmed: bool,
    /// Every Status names another key.
    pub(crate) is_restless: bool,
    /// The method that never answers.
    pub(crate) silent: Option<&'static str>,
    pub(crate) socket_mode: u32,
    pub(crate) folder_mode: u32,
    /// `@name`: listen there, and make no file.
    pub(crate) abstract_name: Option<String>,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            version: "v2".to_owned(),
            healthz: "ok".to_owned(),
            key_id: "etcd/v1/0123456789ab".to_owned(),
            raw_status: None,
            status_code: Code::Ok,
            encrypt_key_id: None,
            encrypt_code: Code::Ok,
            seal: |_, number| [number.to_be_bytes().to_vec(), vec![7; 65]].concat(),
            annotations: [("kek.strongroom.dev".to_owned(), vec![1; 80])].into(),
            decrypt_code: Code::Ok,
            open: |plaintext| plaintext,
            changed: Code::InvalidArgument,
            other_key: Code::NotFound,
            empty_ciphertext: Code::InvalidArgument,
            oversized_ciphertext: Code::OutOfRange,
            empty_plaintext: Code::InvalidArgument,
            oversized_plaintext: Code::ResourceExhausted,
            is_harmed: false,
            is_restless: false,
            silent: None,
            socket_mode: 0o660,
            folder_mode: 0o750,
            abstract_name: None,
        }
    }
}

/// A plugin that serves until it is dropped.
pub(crate) struct Serving {
    pub(crate) socket: PathBuf,
    _dir: TempDir,
    _runtime: Runtime,
}

/// Serves on a socket of its own.
pub(crate) fn serve(behaviour: Behaviour) -> Serving {
    let raw = behaviour.raw_status.clone();
    let layer = MapResponseLayer::new(move |response: http::Response<Body>| match &raw {
        Some(message) if response.headers().contains_key(RAW) => with_message(response, message),
        _ => response,
    });
    let plugin = Arc::new(Plugin {
        behaviour,
        sealed: Mutex::default(),
        statuses: AtomicU64::new(0),
        encrypts: AtomicU64::new(0),
        is_ill: AtomicBool::new(false),
    });
    let service = KeyManagementServiceServer::from_arc(Arc::clone(&plugin));
    listen(&plugin.behaviour, move |listener| async move {
        let incoming = UnixListenerStream::new(listener);
        let server = Server::builder().layer(layer).add_service(service);
        server.serve_with_incoming(incoming).await.unwrap();
    })
}

/// Has something else than a plugin behind the socket.
pub(crate) fn listen<F: Future<Output = ()> + Send + 'static>(
    behaviour: &Behaviour,
    serve: impl FnOnce(UnixListener) -> F,
) -> Serving {
    let dir = TempDir::new().unwrap();
    let runtime = Runtime::new().unwrap();
    let entered = runtime.enter();
    let socket = match &behaviour.abstract_name {
        Some(name) => {
            let listener = UnixListener::bind(name.replacen('@', "\0", 1)).unwrap();
            runtime.spawn(serve(listener));
            name.into()
        }
        None => {
            let socket = dir.path().join("kms.sock");
            runtime.spawn(serve(UnixListener::bind(&socket).unwrap()));
            let set = |path: &Path, mode| {
                std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
            };
            set(&socket, behaviour.socket_mode);
            set(dir.path(), behaviour.folder_mode);
            socket
        }
    };
    drop(entered);
    Serving { socket, _dir: dir, _runtime: runtime }
}

struct Plugin {
    behaviour: Behaviour,
    sealed: Mutex<HashMap<Vec<u8>, Sealed>>,
    statuses: AtomicU64,
    encrypts: AtomicU64,
    is_ill: AtomicBool,
}

/// What a ciphertext stands for.
#[derive(Clone, Default)]
struct Sealed {
    plaintext: Vec<u8>,
    key_id: String,
}

const RAW: &str = "raw";
const MOST: usize = 1024;

impl Plugin {
    /// Refuses with the code, unless that is `Ok`.
    fn refuse(&self, code: Code) -> Result<(), Status> {
        self.is_ill.store(self.behaviour.is_harmed, Ordering::Relaxed);
        self.fail(code)
    }

    fn fail(&self, code: Code) -> Result<(), Status> {
        if code == Code::Ok { Ok(()) } else { Err(Status::new(code, "as the test wants it")) }
    }

    async fn answer(&self, method: &str) {
        if self.behaviour.silent == Some(method) {
            std::future::pending::<()>().await;
        }
    }

    /// The key that the last Status named.
    fn key_id(&self) -> String {
        let Behaviour { key_id, is_restless, .. } = &self.behaviour;
        let statuses = self.statuses.load(Ordering::Relaxed);
        if *is_restless { format!("{key_id}-{statuses}") } else { key_id.clone() }
    }
}

#[tonic::async_trait]
impl KeyManagementService for Plugin {
    async fn status(&self, _: Request<StatusRequest>) -> Result<Response<StatusResponse>, Status> {
        self.answer("Status").await;
        let Behaviour { version, healthz, status_code, .. } = &self.behaviour;
        self.fail(*status_code)?;
        self.statuses.fetch_add(1, Ordering::Relaxed);
        let is_ill = self.is_ill.load(Ordering::Relaxed);
        let mut response = Response::new(StatusResponse {
            version: version.clone(),
            healthz: if is_ill { "a peer sent nonsense".to_owned() } else { healthz.clone() },
            key_id: self.key_id(),
        });
        response.metadata_mut().insert(RAW, "1".parse().unwrap());
        Ok(response)
    }

    async fn encrypt(
        &self,
        request: Request<EncryptRequest>,
    ) -> Result<Response<EncryptResponse>, Status> {
        self.answer("Encrypt").await;
        let plaintext = request.into_inner().plaintext;
        self.fail(self.behaviour.encrypt_code)?;
        if plaintext.is_empty() {
            self.refuse(self.behaviour.empty_plaintext)?;
        }
        if plaintext.len() > MOST {
            self.refuse(self.behaviour.oversized_plaintext)?;
        }
        let number = self.encrypts.fetch_add(1, Ordering::Relaxed);
        let ciphertext = (self.behaviour.seal)(&plaintext, number);
        let key_id = self.behaviour.encrypt_key_id.clone().unwrap_or_else(|| self.key_id());
        let sealed = Sealed { plaintext, key_id: key_id.clone() };
        self.sealed.lock().unwrap().insert(ciphertext.clone(), sealed);
        let annotations = self.behaviour.annotations.clone();
        Ok(Response::new(EncryptResponse { ciphertext, key_id, annotations }))
    }

    async fn decrypt(
        &self,
        request: Request<DecryptRequest>,
    ) -> Result<Response<DecryptResponse>, Status> {
        self.answer("Decrypt").await;
        let DecryptRequest { ciphertext, key_id, .. } = request.into_inner();
        let sealed = self.sealed.lock().unwrap().get(&ciphertext).cloned();
        if ciphertext.is_empty() {
            self.refuse(self.behaviour.empty_ciphertext)?;
        } else if ciphertext.len() > 2 * MOST {
            self.refuse(self.behaviour.oversized_ciphertext)?;
        } else if sealed.is_none() {
            self.refuse(self.behaviour.changed)?;
        } else if sealed.as_ref().is_some_and(|sealed| sealed.key_id != key_id) {
            self.refuse(self.behaviour.other_key)?;
        }
        self.fail(self.behaviour.decrypt_code)?;
        let plaintext = sealed.unwrap_or_default().plaintext;
        Ok(Response::new(DecryptResponse { plaintext: (self.behaviour.open)(plaintext) }))
    }
}

fn with_message(response: http::Response<Body>, message: &[u8]) -> http::Response<Body> {
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    let framed = Bytes::from([&[0], &length[..], message].concat());
    let trailers = HeaderMap::from_iter([(
        http::HeaderName::from_static("grpc-status"),
        HeaderValue::from_static("0"),
    )]);
    let body = Full::new(framed).with_trailers(async move { Some(Ok(trailers)) });
    response.map(|_| Body::new(body))
}
