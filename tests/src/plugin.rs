//! The daemon as kube-apiserver sees it: three calls over its socket.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use proto::kms::key_management_service_client::KeyManagementServiceClient;
use proto::kms::{
    DecryptRequest, DecryptResponse, EncryptRequest, EncryptResponse, StatusRequest, StatusResponse,
};
use tonic::Status;
use tonic::transport::{Channel, Endpoint};

use crate::random;
use crate::stored_value::{EncryptedObject, Seed};

/// One connection, made when it is needed and made again when it broke.
#[derive(Clone)]
pub struct Plugin(KeyManagementServiceClient<Channel>);

impl Plugin {
    /// To whoever serves the socket when a call is made.
    pub fn at(socket: &Path) -> Result<Self> {
        let endpoint = Endpoint::from_shared(format!("unix://{}", socket.display()))?;
        // As long as kube-apiserver waits.
        let channel = endpoint.timeout(Duration::from_secs(3)).connect_lazy();
        Ok(Self(KeyManagementServiceClient::new(channel)))
    }

    /// The call.
    pub async fn status(&self) -> Result<StatusResponse, Status> {
        Ok(self.0.clone().status(StatusRequest {}).await?.into_inner())
    }

    /// The call.
    pub async fn encrypt(&self, plaintext: &[u8]) -> Result<EncryptResponse, Status> {
        let request = EncryptRequest { plaintext: plaintext.to_vec(), uid: "test".to_owned() };
        Ok(self.0.clone().encrypt(request).await?.into_inner())
    }

    /// The call.
    pub async fn decrypt(&self, request: DecryptRequest) -> Result<DecryptResponse, Status> {
        Ok(self.0.clone().decrypt(request).await?.into_inner())
    }

    /// A new seed, and the object that wraps it and waits for its data.
    pub async fn make_seed(&self) -> Result<(Seed, EncryptedObject)> {
        let seed = random::bytes()?;
        let answer = self.encrypt(&seed).await.context("Encrypt")?;
        let wrapped = EncryptedObject {
            encrypted_data: Vec::new(),
            key_id: answer.key_id,
            encrypted_dek_source: answer.ciphertext,
            annotations: answer.annotations.into_iter().collect(),
            encrypted_dek_source_type: 1,
        };
        Ok((seed, wrapped))
    }

    /// The seed that an object wraps.
    pub async fn unwrap_seed(&self, object: &EncryptedObject) -> Result<Seed> {
        let request = DecryptRequest {
            ciphertext: object.encrypted_dek_source.clone(),
            uid: "test".to_owned(),
            key_id: object.key_id.clone(),
            annotations: object.annotations.clone().into_iter().collect(),
        };
        let answer = self.decrypt(request).await.context("Decrypt")?;
        answer.plaintext.try_into().map_err(|_| anyhow!("a seed has 32 bytes"))
    }
}
