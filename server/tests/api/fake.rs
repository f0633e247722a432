//! A ring that remembers what it was asked.

use std::{collections::BTreeMap, sync::Mutex, time::Duration};

use async_trait::async_trait;
use envelope::{
    RootId,
    audit::{Checkpoint, Hash, Record},
};
use strongroomd::{
    ledger::{ClusterId, Dump, LedgerError, State, Tampered},
    rotation::{
        Act, Control, ControlError, Custody, Phase, Plan, Planned, Refused, Rewrapped, Root, Tried,
        Wait,
    },
};
use tokio::sync::Notify;

use crate::ring;

pub(crate) type Trouble = fn() -> ControlError;

#[derive(Debug)]
pub(crate) struct Fake {
    pub(crate) dump: Mutex<Dump>,
    /// Every question, by its name here.
    pub(crate) asked: Mutex<Vec<&'static str>>,
    pub(crate) acted: Mutex<Vec<(String, Act)>>,
    pub(crate) denied: Mutex<Vec<(String, &'static str, u64)>>,
    pub(crate) imported: Mutex<Option<Dump>>,
    pub(crate) trouble: Mutex<Option<Trouble>>,
    pub(crate) woken: Notify,
}

impl Fake {
    pub(crate) fn new() -> Self {
        Self {
            dump: Mutex::new(ring::lived()),
            asked: Mutex::default(),
            acted: Mutex::default(),
            denied: Mutex::default(),
            imported: Mutex::default(),
            trouble: Mutex::default(),
            woken: Notify::new(),
        }
    }

    fn ask(&self, what: &'static str) -> Result<(), ControlError> {
        self.asked.lock().unwrap().push(what);
        let trouble = *self.trouble.lock().unwrap();
        trouble.map_or(Ok(()), |trouble| Err(trouble()))
    }

    fn custody(&self) -> Custody {
        let open = Root { id: Some(RootId(*b"root-1")), name: "/root.key".into(), away: None };
        let away = Root { id: None, name: String::new(), away: Some("it is missing".into()) };
        Custody { state: self.read(), roots: vec![open, away] }
    }

    fn read(&self) -> State {
        let mut rows = self.dump.lock().unwrap().rows.clone();
        rows.reports = vec![ring::report(&rows, rows.now)];
        State::verify(rows, &ring::ledger_key()).unwrap()
    }
}

#[async_trait]
impl Control for Fake {
    async fn state(&self) -> Result<State, ControlError> {
        self.ask("state")?;
        Ok(self.read())
    }

    async fn plan(&self) -> Result<Planned, ControlError> {
        self.ask("plan")?;
        let wait = Wait {
            on: "replica cp-2".into(),
            reason: "has never reported".into(),
            unblock: Some("strongroom replicas remove cp-2 --reason TEXT".into()),
        };
        let plan = Plan {
            phase: Phase::Propagate,
            steps: Vec::new(),
            waits: vec![wait],
            eta: None,
            next: None,
        };
        Ok(Planned { state: self.read(), plan, apiservers: Vec::new() })
    }

    async fn act(&self, actor: &str, act: Act) -> Result<State, ControlError> {
        self.ask("act")?;
        self.acted.lock().unwrap().push((actor.into(), act));
        Ok(self.read())
    }

    async fn deny(&self, actor: &str, action: &'static str, more: u64) -> Result<(), ControlError> {
        self.denied.lock().unwrap().push((actor.into(), action, more));
        let trouble = *self.trouble.lock().unwrap();
        trouble.map_or(Ok(()), |trouble| Err(trouble()))
    }

    async fn audit(&self, after: u64, limit: u32) -> Result<Vec<(Record, Hash)>, ControlError> {
        self.ask("audit")?;
        let dump = self.dump.lock().unwrap();
        let rows = dump.audit.iter().filter(|(record, _)| record.seq > after);
        Ok(rows.take(limit as usize).cloned().collect())
    }

    async fn checkpoints(&self) -> Result<Vec<Checkpoint>, ControlError> {
        self.ask("checkpoints")?;
        Ok(self.dump.lock().unwrap().history.checkpoints.clone())
    }

    fn public_key(&self) -> [u8; 32] {
        Checkpoint::public_key(&ring::ledger_key(), &[7; 16]).unwrap()
    }

    async fn dump(&self, _: &str) -> Result<Dump, ControlError> {
        self.ask("dump")?;
        Ok(self.dump.lock().unwrap().clone())
    }

    async fn import(&self, _: &str, dump: Dump) -> Result<State, ControlError> {
        self.ask("import")?;
        *self.imported.lock().unwrap() = Some(dump);
        Ok(self.read())
    }

    async fn adopt(&self, _: &str) -> Result<State, ControlError> {
        self.ask("adopt")?;
        Ok(self.read())
    }

    async fn roots(&self) -> Result<Custody, ControlError> {
        self.ask("roots")?;
        Ok(self.custody())
    }

    async fn check_roots(&self) -> Result<(Custody, Vec<Tried>), ControlError> {
        self.ask("check_roots")?;
        let tried = Tried {
            key: self.read().versions[0].id.clone(),
            root: RootId(*b"root-1"),
            outcome: Err("as the test has it".into()),
            took: Duration::from_millis(3),
        };
        Ok((self.custody(), vec![tried]))
    }

    async fn rewrap(&self, actor: &str, _: bool) -> Result<Rewrapped, ControlError> {
        self.ask("rewrap")?;
        let made = BTreeMap::from([(self.read().versions[0].id.clone(), vec![RootId([2; 6])])]);
        self.acted.lock().unwrap().push((actor.into(), Act::Rewrap { made: BTreeMap::new() }));
        Ok(Rewrapped { custody: self.custody(), made, failed: Vec::new() })
    }

    async fn remove_root(
        &self,
        actor: &str,
        root: RootId,
        reason: String,
    ) -> Result<Custody, ControlError> {
        self.ask("remove_root")?;
        let act = Act::RemoveRoot { root, reason, proven: BTreeMap::new() };
        self.acted.lock().unwrap().push((actor.into(), act));
        Ok(self.custody())
    }

    async fn changed(&self) {
        self.woken.notified().await;
    }
}

/// Every kind of trouble, and the code that says who must act.
pub(crate) const TROUBLES: &[(Trouble, tonic::Code)] = {
    use tonic::Code;
    &[
        (|| Refused("no".into()).into(), Code::FailedPrecondition),
        (|| ControlError::NoRing, Code::FailedPrecondition),
        (|| ControlError::Unfit("no".into()), Code::InvalidArgument),
        (|| ControlError::RootAway("away".into()), Code::Unavailable),
        (|| ControlError::Starting("keys".into()), Code::Unavailable),
        (
            || Tampered { table: "versions", row: "1".into(), what: "was changed" }.into(),
            Code::DataLoss,
        ),
        (|| LedgerError::Away("gone".into()).into(), Code::Unavailable),
        (|| LedgerError::Moved { planned_on: 1 }.into(), Code::Aborted),
        (|| LedgerError::Fenced { epoch: 1 }.into(), Code::Aborted),
        (|| LedgerError::NotMember("cp-1".into()).into(), Code::FailedPrecondition),
        (|| LedgerError::Refused("trigger".into()).into(), Code::FailedPrecondition),
        (|| LedgerError::Exists(ClusterId([1; 16])).into(), Code::AlreadyExists),
        (|| LedgerError::Malformed { table: "runs", what: "x".into() }.into(), Code::DataLoss),
        (|| LedgerError::SchemaOlder { found: 1, needed: 2 }.into(), Code::FailedPrecondition),
        (|| LedgerError::SchemaNewer { found: 2, needed: 1 }.into(), Code::FailedPrecondition),
    ]
};
