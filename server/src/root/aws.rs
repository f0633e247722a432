//! A key of AWS KMS as a root.
//!
//! Invariants:
//! - The key is named by its ARN in every request, and in every answer it must be the one that is named.
//! - What is wrapped is bound to its place by an encryption context (docs/format.md).
//! - No credential, no body of an answer and no message of the service is in an error.

mod client;
mod pin;
mod refusal;

use std::{collections::HashMap, fmt};

use async_trait::async_trait;
use aws_sdk_kms::{
    Client,
    primitives::{Blob, DateTime, DateTimeFormat},
    types::{KeyMetadata, KeySpec, KeyState, KeyUsageType},
};
use envelope::{AwsKeyArn, Context, KeyMaterial, RootId, WrappedKey};
use tracing::info;
use zeroize::Zeroize;

use self::{pin::Pin, refusal::Refusal};
use super::{Checked, OpenRootError, RootError, RootErrorKind, RootKey, Warning};
use crate::config::{self, AwsKey};

pub use self::pin::PinError;

/// A symmetric key of AWS KMS. It never leaves AWS; what it wraps travels there and back, over TLS.
pub struct AwsKms {
    arn: AwsKeyArn,
    alias: Option<Alias>,
    client: Client,
}

struct Alias {
    text: String,
    pin: Pin,
}

impl AwsKms {
    /// The configured key. AWS is asked only where an alias is used for the first time on this node.
    ///
    /// # Errors
    /// [`OpenRootError`] where it does not say which key the alias stands for.
    pub async fn open(configured: &config::AwsKms) -> Result<Self, OpenRootError> {
        let client = client::connect(configured).await;
        let alias = match &configured.key {
            AwsKey::Arn(arn) => return Ok(Self { arn: arn.clone(), alias: None, client }),
            AwsKey::Alias { alias, .. } => alias,
        };
        let pin = Pin::of(configured, alias);
        let arn = match pin.read().await? {
            Some(arn) => arn,
            None => {
                let failed = |it: Refusal| RootError {
                    name: alias.clone(),
                    kind: it.kind,
                    message: it.message,
                };
                let metadata = describe(&client, alias).await.map_err(failed)?;
                let arn = arn_of(&metadata).map_err(failed)?;
                if !configured.key.may_be(&arn) {
                    let message = "the alias stands for a key of another account or region than its own: look at what stands between \
                                   (proxy, endpoint)";
                    return Err(failed(Refusal::new(RootErrorKind::Corrupt, message)).into());
                }
                pin.write(&arn).await?;
                info!(alias, key = %arn, pin = %pin.path().display(), "an alias was pinned to its key");
                arn
            }
        };
        Ok(Self { arn, alias: Some(Alias { text: alias.clone(), pin }), client })
    }

    /// The key `arn`, asked through `builder`'s client with the retries and deadlines of every other.
    #[must_use]
    pub fn with(arn: AwsKeyArn, builder: aws_sdk_kms::config::Builder) -> Self {
        Self { arn, alias: None, client: Client::from_conf(client::bounded(builder).build()) }
    }

    /// What is wrong with the alias, which may point elsewhere now: it is told, and not followed.
    async fn moved(&self) -> Option<String> {
        let Alias { text, pin } = self.alias.as_ref()?;
        let target = match describe(&self.client, text).await {
            Ok(metadata) => arn_of(&metadata),
            Err(refusal) => Err(refusal),
        };
        let pin = pin.path().display();
        match target {
            Ok(target) if target == self.arn => None,
            // It says nothing of the alias.
            Err(Refusal { kind: RootErrorKind::Throttled, .. }) => None,
            Ok(target) => Some(format!(
                "{text} points to {target} now; this daemon goes on with {}, as {pin} says. Point the alias back; or, to move, give \
                 the new key as another of [[roots]] and wrap everything under it before the old one goes",
                self.arn
            )),
            Err(refusal) => Some(format!(
                "{text} cannot be looked up ({}); this daemon goes on with {}, as {pin} says",
                refusal.message, self.arn
            )),
        }
    }

    /// An answer must be the named key's: a proxy that answers for another one is not to be believed.
    fn is_ours(&self, answered: Option<&str>) -> Result<(), Refusal> {
        let answered = answered.and_then(|arn| AwsKeyArn::parse(arn).ok());
        if answered.is_some_and(|arn| arn.root_id() == self.arn.root_id()) {
            return Ok(());
        }
        Err(Refusal::new(
            RootErrorKind::Corrupt,
            "another key answered than was asked: look at what stands between (proxy, endpoint)",
        ))
    }

    async fn try_wrap(
        &self,
        key: &KeyMaterial,
        context: Context<'_>,
    ) -> Result<WrappedKey, Refusal> {
        let answer = self
            .client
            .encrypt()
            .key_id(self.arn.as_str())
            .plaintext(Blob::new(key.expose_secret().as_slice()))
            .set_encryption_context(Some(pairs(context)))
            .send()
            .await?;
        self.is_ours(answer.key_id())?;
        let blob = answer.ciphertext_blob.map(Blob::into_inner).unwrap_or_default();
        WrappedKey::new(self.id(), blob).map_err(|_| {
            let message = "what AWS KMS made of a key is no ciphertext of one: look at what stands between (proxy, endpoint)";
            Refusal::new(RootErrorKind::Corrupt, message)
        })
    }

    /// What `wrapped` opens to, and with which material.
    async fn try_unwrap(
        &self,
        wrapped: &WrappedKey,
        context: Context<'_>,
    ) -> Result<(KeyMaterial, Option<String>), Refusal> {
        if wrapped.root() != self.id() {
            return Err(Refusal::new(RootErrorKind::Corrupt, "it names another root key"));
        }
        let mut answer = self
            .client
            .decrypt()
            .key_id(self.arn.as_str())
            .ciphertext_blob(Blob::new(wrapped.blob()))
            .set_encryption_context(Some(pairs(context)))
            .send()
            .await?;
        let ours = self.is_ours(answer.key_id());
        let mut plaintext = answer.plaintext.take().map(Blob::into_inner).unwrap_or_default();
        let key = KeyMaterial::copy_from(&plaintext);
        plaintext.zeroize();
        ours?;
        let key = key.ok_or_else(|| {
            let message =
                "what AWS KMS opened is no key: look at what stands between (proxy, endpoint)";
            Refusal::new(RootErrorKind::Corrupt, message)
        })?;
        Ok((key, answer.key_material_id.filter(|id| is_material(id))))
    }

    async fn try_check(&self) -> Result<Checked, Refusal> {
        let metadata = describe(&self.client, self.arn.as_str()).await?;
        self.is_ours(metadata.arn())?;
        let mut warning = look_at(&metadata)?;
        if warning.is_none() {
            let moved = self.moved().await;
            warning = moved.map(|message| Warning { message, works: true, ends: None });
        }
        let material = metadata.current_key_material_id().filter(|id| is_material(id));
        Ok(Checked { material: material.map(str::to_owned), warning })
    }

    fn error(&self, refusal: Refusal) -> RootError {
        RootError { name: self.arn.to_string(), kind: refusal.kind, message: refusal.message }
    }
}

#[async_trait]
impl RootKey for AwsKms {
    fn id(&self) -> RootId {
        self.arn.root_id()
    }

    fn name(&self) -> String {
        self.arn.to_string()
    }

    async fn check(&self) -> Result<Checked, RootError> {
        self.try_check().await.map_err(|refusal| self.error(refusal))
    }

    async fn wrap(&self, key: &KeyMaterial, context: Context<'_>) -> Result<WrappedKey, RootError> {
        self.try_wrap(key, context).await.map_err(|refusal| self.error(refusal))
    }

    async fn unwrap(
        &self,
        wrapped: &WrappedKey,
        context: Context<'_>,
    ) -> Result<KeyMaterial, RootError> {
        let opened = self.try_unwrap(wrapped, context).await;
        opened.map(|(key, _)| key).map_err(|refusal| self.error(refusal))
    }

    async fn material(
        &self,
        wrapped: &WrappedKey,
        context: Context<'_>,
    ) -> Result<Option<String>, RootError> {
        let opened = self.try_unwrap(wrapped, context).await;
        opened.map(|(_, material)| material).map_err(|refusal| self.error(refusal))
    }
}

impl fmt::Debug for AwsKms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AwsKms({})", self.arn)
    }
}

async fn describe(client: &Client, key: &str) -> Result<KeyMetadata, Refusal> {
    let answer = client.describe_key().key_id(key).send().await?;
    answer.key_metadata.ok_or_else(nothing_said)
}

fn arn_of(metadata: &KeyMetadata) -> Result<AwsKeyArn, Refusal> {
    metadata.arn().and_then(|arn| AwsKeyArn::parse(arn).ok()).ok_or_else(nothing_said)
}

fn nothing_said() -> Refusal {
    let message =
        "AWS KMS answered without saying which key: look at what stands between (proxy, endpoint)";
    Refusal::new(RootErrorKind::Unavailable, message)
}

/// What the key's own state means for us.
fn look_at(metadata: &KeyMetadata) -> Result<Option<Warning>, Refusal> {
    let fits = metadata.key_spec().is_none_or(|spec| *spec == KeySpec::SymmetricDefault)
        && metadata.key_usage().is_none_or(|usage| *usage == KeyUsageType::EncryptDecrypt);
    if !fits {
        let message = "it is no symmetric key for encryption (SYMMETRIC_DEFAULT, ENCRYPT_DECRYPT): configure one that is";
        return Err(Refusal::new(RootErrorKind::Denied, message));
    }
    let gone = |message: String, ends: Option<&DateTime>| {
        Some(Warning { message, works: false, ends: ends.and_then(seconds) })
    };
    Ok(match metadata.key_state() {
        None | Some(KeyState::Enabled | KeyState::Updating) => {
            metadata.valid_to().map(|end| Warning {
                message: format!(
                    "its imported key material expires at {}: import it again before then, or nothing opens any more",
                    date(Some(end))
                ),
                works: true,
                ends: seconds(end),
            })
        }
        Some(KeyState::PendingDeletion | KeyState::PendingReplicaDeletion) => {
            let end = metadata.deletion_date();
            gone(
                format!(
                    "it is scheduled for deletion at {}, and does nothing until then; what only it opens is lost with it. Stop that: \
                     aws kms cancel-key-deletion --key-id ARN, then aws kms enable-key --key-id ARN",
                    date(end)
                ),
                end,
            )
        }
        Some(KeyState::Disabled) => {
            gone("it is disabled: aws kms enable-key --key-id ARN".into(), None)
        }
        Some(KeyState::PendingImport) => {
            gone("its key material is not there: import it again (aws kms import-key-material)".into(), None)
        }
        Some(state) => {
            let known = matches!(state, KeyState::Creating | KeyState::Unavailable);
            let state = if known { state.as_str() } else { "in a state that this version does not know" };
            gone(format!("the key is {state}: aws kms describe-key --key-id ARN says more"), None)
        }
    })
}

fn seconds(date: &DateTime) -> Option<u64> {
    u64::try_from(date.secs()).ok()
}

fn date(date: Option<&DateTime>) -> String {
    let text = date.and_then(|date| date.fmt(DateTimeFormat::DateTime).ok());
    text.unwrap_or_else(|| "an unknown time".into())
}

/// It goes to our logs: only what looks like one does.
fn is_material(id: &str) -> bool {
    (1..=64).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_hexdigit())
}

fn pairs(context: Context<'_>) -> HashMap<String, String> {
    context.pairs().into_iter().map(|(name, value)| (name.into(), value.into())).collect()
}
