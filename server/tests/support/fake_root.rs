//! A root that can be slow, away, and asked how often it was asked.

use std::{
    future::pending,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use envelope::{Context, KeyMaterial, LocalRoot, RootId, SystemRandom, WrappedKey};
use strongroomd::root::{Checked, RootError, RootErrorKind, RootKey};

/// A local root behind a switch.
#[derive(Debug)]
pub(crate) struct FakeRoot {
    pub(crate) key: LocalRoot,
    hangs: AtomicBool,
    away: AtomicBool,
    wraps_nothing: AtomicBool,
    lies: AtomicBool,
    says: Mutex<Checked>,
    made_with: Mutex<Option<String>>,
    takes: AtomicU64,
    asked: AtomicUsize,
}

impl FakeRoot {
    pub(crate) fn make() -> Arc<Self> {
        Self::of(&KeyMaterial::make(&SystemRandom).unwrap())
    }

    pub(crate) fn of(key: &KeyMaterial) -> Arc<Self> {
        Arc::new(Self {
            key: LocalRoot::new(key),
            hangs: AtomicBool::new(false),
            away: AtomicBool::new(false),
            wraps_nothing: AtomicBool::new(false),
            lies: AtomicBool::new(false),
            says: Mutex::default(),
            made_with: Mutex::default(),
            takes: AtomicU64::new(0),
            asked: AtomicUsize::new(0),
        })
    }

    /// From now on it answers never, or again.
    pub(crate) fn hangs(&self, hangs: bool) {
        self.hangs.store(hangs, Ordering::SeqCst);
    }

    /// From now on it is away, or back.
    pub(crate) fn away(&self, away: bool) {
        self.away.store(away, Ordering::SeqCst);
    }

    /// From now on it refuses to wrap, or does it again.
    pub(crate) fn wraps_nothing(&self, wraps_nothing: bool) {
        self.wraps_nothing.store(wraps_nothing, Ordering::SeqCst);
    }

    /// From now on it opens everything to another key, as a corrupted proxy before it might.
    pub(crate) fn lies(&self, lies: bool) {
        self.lies.store(lies, Ordering::SeqCst);
    }

    /// From now on it says this of its key.
    pub(crate) fn says(&self, checked: Checked) {
        *self.says.lock().unwrap() = checked;
    }

    /// From now on it says that everything was wrapped with this material.
    pub(crate) fn made_with(&self, material: Option<&str>) {
        *self.made_with.lock().unwrap() = material.map(str::to_owned);
    }

    /// From now on an answer takes this long.
    pub(crate) fn takes(&self, time: Duration) {
        self.takes.store(time.as_millis().try_into().unwrap(), Ordering::SeqCst);
    }

    /// How many keys it was asked to unwrap.
    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    async fn answer(&self) -> Result<(), RootError> {
        if self.hangs.load(Ordering::SeqCst) {
            pending::<()>().await;
        }
        let takes = self.takes.load(Ordering::SeqCst);
        if takes > 0 {
            tokio::time::sleep(Duration::from_millis(takes)).await;
        }
        if self.away.load(Ordering::SeqCst) {
            return Err(self.error(RootErrorKind::Unavailable));
        }
        Ok(())
    }

    fn error(&self, kind: RootErrorKind) -> RootError {
        RootError { name: "fake".into(), kind, message: "as the test has it".into() }
    }
}

#[async_trait]
impl RootKey for FakeRoot {
    fn id(&self) -> RootId {
        self.key.id()
    }

    fn name(&self) -> String {
        "fake".into()
    }

    async fn check(&self) -> Result<Checked, RootError> {
        self.answer().await.map(|()| self.says.lock().unwrap().clone())
    }

    async fn wrap(&self, key: &KeyMaterial, context: Context<'_>) -> Result<WrappedKey, RootError> {
        self.answer().await?;
        if self.wraps_nothing.load(Ordering::SeqCst) {
            return Err(self.error(RootErrorKind::Denied));
        }
        Ok(self.key.wrap(key, &context, &SystemRandom).unwrap())
    }

    async fn unwrap(
        &self,
        wrapped: &WrappedKey,
        context: Context<'_>,
    ) -> Result<KeyMaterial, RootError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        self.answer().await?;
        if self.lies.load(Ordering::SeqCst) {
            return Ok(KeyMaterial::make(&SystemRandom).unwrap());
        }
        self.key.unwrap(wrapped, &context).map_err(|_| self.error(RootErrorKind::Corrupt))
    }

    async fn material(&self, _: &WrappedKey, _: Context<'_>) -> Result<Option<String>, RootError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        self.answer().await.map(|()| self.made_with.lock().unwrap().clone())
    }
}
