use std::{collections::HashMap, sync::Arc};

use envelope::{Frame, KeyId, KeyMaterial};
use proto::kms::{
    DecryptRequest, DecryptResponse, EncryptRequest, EncryptResponse, StatusRequest,
    StatusResponse, key_management_service_server::KeyManagementService,
};
use tokio::sync::{Notify, OnceCell};
use tonic::{Request, Response, Status};
use tracing::{debug, error, warn};

use crate::{
    health::Health,
    keyring::{DecryptError, EncryptError, Keyring, NotLoaded, Recovered, RecoveryError},
};

/// The annotation that makes a ciphertext self-contained: its key version, wrapped by a root (docs/format.md).
const ANNOTATION: &str = "kek.strongroom.dev";

/// KMS v2 as kube-apiserver speaks it (KEP-3299).
#[derive(Debug, Clone)]
pub struct Plugin {
    /// The keys.
    pub keyring: Arc<Keyring>,
    /// Versions that only annotations carry; empty until the roots are open.
    pub recovered: Arc<OnceCell<Recovered>>,
    /// Whether what Status says is `ok`.
    pub health: Arc<Health>,
    /// Whether Encrypt adds the annotation `kek.strongroom.dev`.
    pub annotate: bool,
    /// Asks for a probe of the roots at once.
    pub probe_now: Arc<Notify>,
}

#[tonic::async_trait]
impl KeyManagementService for Plugin {
    async fn status(&self, _: Request<StatusRequest>) -> Result<Response<StatusResponse>, Status> {
        let status = self.keyring.status().map_err(not_loaded)?;
        Ok(Response::new(StatusResponse {
            version: "v2".into(),
            healthz: self.health.healthz().into(),
            key_id: status.key_id,
        }))
    }

    async fn encrypt(
        &self,
        request: Request<EncryptRequest>,
    ) -> Result<Response<EncryptResponse>, Status> {
        let seed = KeyMaterial::copy_from(&request.get_ref().plaintext).ok_or_else(|| {
            Status::invalid_argument(
                "plaintext must be a DEK seed of 32 bytes, as kube-apiserver 1.29 and later sends",
            )
        })?;
        let encrypted =
            self.keyring.encrypt(&seed, self.annotate).map_err(|error| match error {
                EncryptError::NotLoaded(error) => not_loaded(error),
                EncryptError::Wrap(error) => {
                    error!(%error, "a seed was not wrapped");
                    Status::data_loss("the seed was not wrapped; the log of strongroomd says why")
                }
            })?;
        let annotations = if self.annotate {
            HashMap::from([(ANNOTATION.into(), encrypted.version.annotation().to_vec())])
        } else {
            HashMap::new()
        };
        Ok(Response::new(EncryptResponse {
            ciphertext: encrypted.frame.encode(),
            key_id: encrypted.version.id().as_str().into(),
            annotations,
        }))
    }

    async fn decrypt(
        &self,
        request: Request<DecryptRequest>,
    ) -> Result<Response<DecryptResponse>, Status> {
        let request = request.get_ref();
        let frame = Frame::parse(&request.ciphertext)
            .map_err(|error| Status::invalid_argument(format!("ciphertext: {error}")))?;
        // A handful at most: looking at each is cheaper than hashing one.
        let mut annotations = request.annotations.iter();
        let annotation =
            annotations.find(|(name, _)| *name == ANNOTATION).map(|(_, value)| value.as_slice());
        let seed = match self.keyring.decrypt(&request.key_id, &frame, annotation) {
            Ok(seed) => seed,
            // Boxed, because it is rare and large: every call would make room for it.
            Err(DecryptError::Unknown(id)) => {
                Box::pin(self.recover(&id, &frame, annotation)).await?
            }
            Err(error) => return Err(refuse(&error)),
        };
        Ok(Response::new(DecryptResponse { plaintext: seed.expose_secret().to_vec() }))
    }
}

impl Plugin {
    /// Opens what was wrapped under a version that no bundle of this node knows, with the version that lies beside it.
    async fn recover(
        &self,
        id: &KeyId,
        frame: &Frame,
        annotation: Option<&[u8]>,
    ) -> Result<KeyMaterial, Status> {
        let unknown = || Status::not_found(format!("key version {id} is not known here"));
        let wrapped = annotation.ok_or_else(unknown)?;
        let recovered = self.recovered.get().ok_or_else(|| not_loaded(NotLoaded))?;
        let version = recovered.version(id, wrapped).await.map_err(|error| {
            let message = format!("key version {id} is not known here, and {error}");
            match error {
                RecoveryError::Malformed | RecoveryError::Open => Status::invalid_argument(message),
                RecoveryError::TooMany => Status::resource_exhausted(message),
                RecoveryError::Unavailable => {
                    self.probe_now.notify_one();
                    Status::unavailable(message)
                }
                _ => Status::not_found(message),
            }
        })?;
        version.unwrap_seed(frame, annotation).map_err(|error| refuse(&error.into()))
    }
}

fn not_loaded(error: NotLoaded) -> Status {
    Status::unavailable(error.to_string())
}

/// The code that tells the peer who must act, and nothing about why a ciphertext does not open.
fn refuse(error: &DecryptError) -> Status {
    match error {
        DecryptError::NotLoaded(error) => not_loaded(*error),
        DecryptError::Malformed(error) => {
            debug!(%error, "a key id was refused");
            Status::invalid_argument(format!("key_id: {error}"))
        }
        DecryptError::Unknown(_) => Status::not_found(error.to_string()),
        DecryptError::Closed { .. } => {
            warn!(%error, "a decryption was refused");
            Status::failed_precondition(error.to_string())
        }
        DecryptError::Open(_) => {
            warn!("a ciphertext does not open: it was changed, or moved here from elsewhere");
            Status::invalid_argument("the ciphertext does not open under this key_id")
        }
    }
}
