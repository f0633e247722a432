use std::fmt;

use crate::{
    Context, Frame, KeyMaterial, OpenError, Random, RandomError, RootId, WrappedKey,
    frame::FrameKey, key_id::short_mac,
};

/// A root key that this machine holds: 32 random bytes that wrap key versions as [`Frame`]s.
pub struct LocalRoot {
    id: RootId,
    key: FrameKey,
}

impl LocalRoot {
    /// Makes the key ready.
    #[must_use]
    pub fn new(key: &KeyMaterial) -> Self {
        Self { id: RootId(short_mac(key, b"strongroom/root/v1")), key: FrameKey::new(key) }
    }

    /// The id that this key and no other has.
    #[must_use]
    pub fn id(&self) -> RootId {
        self.id
    }

    /// Wraps `key` for the place that `context` names.
    ///
    /// # Errors
    /// No random bytes for the nonce.
    pub fn wrap(
        &self,
        key: &KeyMaterial,
        context: &Context<'_>,
        random: &dyn Random,
    ) -> Result<WrappedKey, RandomError> {
        let blob = self.key.wrap(key, &context.encode(), random)?.encode();
        #[expect(clippy::expect_used, reason = "a frame has 73 bytes")]
        Ok(WrappedKey::new(self.id, blob).expect("1 to 2048 bytes"))
    }

    /// Opens what [`LocalRoot::wrap`] made for the same place.
    ///
    /// # Errors
    /// [`OpenError`], for whatever reason; also where it names another root.
    pub fn unwrap(
        &self,
        wrapped: &WrappedKey,
        context: &Context<'_>,
    ) -> Result<KeyMaterial, OpenError> {
        if wrapped.root() != self.id {
            return Err(OpenError);
        }
        let frame = Frame::parse(wrapped.blob()).map_err(|_| OpenError)?;
        self.key.unwrap(&frame, &context.encode())
    }
}

impl fmt::Debug for LocalRoot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LocalRoot({})", self.id)
    }
}
