use std::{borrow::Cow, fmt};

use crate::{
    Context, Frame, KeyId, KeyMaterial, OpenError, Purpose, Random, RandomError, frame::FrameKey,
    wire::Writer,
};

/// One version of a ring, ready to wrap and unwrap the DEK seeds of kube-apiserver.
pub struct VersionKey {
    id: KeyId,
    key: FrameKey,
    context: Vec<u8>,
    /// What is stored beside new frames, and the additional data of those, put together once.
    annotation: Vec<u8>,
    annotated: Vec<u8>,
}

impl VersionKey {
    /// Takes the key that `id` names.
    ///
    /// # Errors
    /// The fingerprint in `id` is not this key's: it is another key, or a root that answered with the wrong one.
    pub fn new(id: KeyId, key: &KeyMaterial) -> Result<Self, OpenError> {
        if id.fingerprint() != crate::Fingerprint::derive(key) {
            return Err(OpenError);
        }
        let key = FrameKey::new(key);
        let context = Context { purpose: Purpose::Seed, key_id: &id }.encode();
        let mut version = Self { id, key, context, annotation: Vec::new(), annotated: Vec::new() };
        version.annotated = version.beside(&[]);
        Ok(version)
    }

    /// The same key with the annotation that is stored beside new frames: itself, wrapped by a root.
    #[must_use]
    pub fn annotated(mut self, annotation: Vec<u8>) -> Self {
        self.annotated = self.beside(&annotation);
        self.annotation = annotation;
        self
    }

    /// What is stored beside new frames; empty where nothing was given.
    #[must_use]
    pub fn annotation(&self) -> &[u8] {
        &self.annotation
    }

    /// The id that this key and no other has.
    #[must_use]
    pub fn id(&self) -> &KeyId {
        &self.id
    }

    /// Wraps a seed under a fresh nonce, bound to the annotation that will be stored beside it, if any; and opens the frame
    /// again before it is given out, because kube-apiserver never checks that what it stores can be opened.
    ///
    /// # Errors
    /// [`WrapError`]; nothing was given out.
    pub fn wrap_seed(
        &self,
        seed: &KeyMaterial,
        annotation: Option<&[u8]>,
        random: &dyn Random,
    ) -> Result<Frame, WrapError> {
        let frame = self.key.wrap_checked(seed, &self.aad(annotation), random)?;
        frame.ok_or(WrapError::SelfCheck)
    }

    /// Opens a seed that was wrapped under this version and beside this annotation.
    ///
    /// # Errors
    /// [`OpenError`], for whatever reason.
    pub fn unwrap_seed(
        &self,
        frame: &Frame,
        annotation: Option<&[u8]>,
    ) -> Result<KeyMaterial, OpenError> {
        self.key.unwrap(frame, &self.aad(annotation))
    }

    /// The context, and after it `enc(annotation)` where there is one: nothing of what is stored can be changed unnoticed.
    fn aad(&self, annotation: Option<&[u8]>) -> Cow<'_, [u8]> {
        match annotation {
            None => Cow::Borrowed(&self.context),
            Some(own) if own == self.annotation => Cow::Borrowed(&self.annotated),
            Some(other) => Cow::Owned(self.beside(other)),
        }
    }

    fn beside(&self, annotation: &[u8]) -> Vec<u8> {
        let mut aad = Writer::with_capacity(self.context.len() + 4 + annotation.len());
        aad.bytes(&self.context);
        aad.prefixed(annotation);
        aad.finish()
    }
}

impl fmt::Debug for VersionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VersionKey({})", self.id)
    }
}

/// Why a seed was not wrapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WrapError {
    /// No random bytes for the nonce.
    #[error(transparent)]
    Random(#[from] RandomError),
    /// What was just wrapped did not open to the same bytes: faulty memory or processor.
    #[error(
        "what was just wrapped does not open again: suspect this machine's memory or processor"
    )]
    SelfCheck,
}
