//! A ring in a ledger, made of nothing, with rows of every kind.

use envelope::{
    Bundle, KeyId, KeyMaterial, LedgerKey, RingName, RootId, WrappedKey,
    bundle::{State as VersionState, Version, WrappedLedgerKey},
};
use strongroomd::ledger::{
    ClusterId, Draft, Dump, Entry, HoldRow, ReplicaRow, ReportRow, Rows, RunRow, RunState, State,
};

/// When the ring was made.
pub(crate) const BEGAN: u64 = 1_800_000_000;
/// A key of the ring, as nobody may ever see it.
pub(crate) const SECRET: [u8; 32] = *b"the key of version 1, in clear!!";
/// The same as a root wrapped it, as only an export has it.
pub(crate) const WRAPPED: &[u8] = b"the key of version 1, wrapped by a root";

pub(crate) fn ledger_key() -> LedgerKey {
    let key = KeyMaterial::copy_from(&[3; 32]).unwrap();
    let id = KeyId::derive(RingName::parse(LedgerKey::RING).unwrap(), 1, &key).unwrap();
    LedgerKey::new(id, key).unwrap()
}

/// Two versions, one of them active.
pub(crate) fn genesis() -> Dump {
    let ring = RingName::parse("etcd").unwrap();
    let wrap = |blob: &[u8]| WrappedKey::new(RootId(*b"root-1"), blob.to_vec()).unwrap();
    let version = |number, secret: [u8; 32], state, blob| Version {
        id: KeyId::derive(ring.clone(), number, &KeyMaterial::copy_from(&secret).unwrap()).unwrap(),
        state,
        created: BEGAN,
        activated: Some(BEGAN),
        wraps: vec![wrap(blob)],
    };
    let versions = vec![
        version(1, SECRET, VersionState::Deactivated, WRAPPED),
        version(2, [9; 32], VersionState::Active, b"another"),
    ];
    let key = ledger_key();
    let ledger = WrappedLedgerKey { id: key.id().clone(), wraps: vec![wrap(b"the ledger key")] };
    let bundle = Bundle::new(ring, 1, ledger, versions).unwrap();
    let bytes = bundle.encode(&key).unwrap();
    let began = entry("init", "etcd");
    Dump::genesis(ClusterId([7; 16]), (&bundle, bytes), &key, BEGAN, began)
}

pub(crate) fn entry(action: &'static str, subject: &str) -> Entry {
    Entry {
        actor: "uid:0".into(),
        action,
        subject: subject.into(),
        detail: "with \"quotes\", a \\ and ünïcode".into(),
    }
}

/// A ring with a run, a hold, replicas, a checkpoint, and a version that waits for its end.
pub(crate) fn lived() -> Dump {
    let mut dump = genesis();
    change(&mut dump, |draft| {
        draft.put_replica(replica(1, "cp-1"), entry("join", "cp-1"));
        draft.put_replica(
            ReplicaRow { removed: Some(("uid:0".into(), BEGAN)), ..replica(2, "cp-2") },
            entry("remove", "cp-2"),
        );
        draft.put_hold(hold(1, 1), entry("hold", "1"));
        draft.put_hold(
            HoldRow { released: Some(("cert:bob".into(), BEGAN + 5)), ..hold(2, 2) },
            entry("hold", "2"),
        );
        draft.put_run(run(1, RunState::Cancelled), entry("cancel", "1"));
        draft.put_run(run(2, RunState::Open), entry("begin", "2"));
        draft.checkpoint();
    });
    change(&mut dump, |draft| {
        let mut row = draft.state().version(1).unwrap().clone();
        row.state = VersionState::DestroyScheduled;
        row.destruction = Some(strongroomd::ledger::Destruction {
            requested_by: "uid:1000".into(),
            wait: 604_800,
            observed: 3600,
            approved_by: None,
        });
        draft.put_version(row, entry("schedule destroy", "1"));
        draft.checkpoint();
    });
    dump
}

pub(crate) fn replica(id: u64, name: &str) -> ReplicaRow {
    ReplicaRow { id, name: name.into(), joined: BEGAN, removed: None, mac: [0; 32] }
}

pub(crate) fn hold(id: u64, version: u32) -> HoldRow {
    HoldRow {
        id,
        first: version,
        last: version,
        until: BEGAN + 86_400,
        reason: "etcd backup".into(),
        added_by: "uid:0".into(),
        added_at: BEGAN,
        released: None,
        mac: [0; 32],
    }
}

pub(crate) fn run(id: u64, state: RunState) -> RunRow {
    RunRow {
        id,
        trigger: "manual".into(),
        reason: "quarterly".into(),
        requested_by: "uid:0".into(),
        begun: BEGAN,
        from: 2,
        to: Some(3),
        activated: None,
        converged: None,
        ended: (!state.is_open()).then_some(BEGAN + 9),
        state,
        outcome: String::new(),
        mac: [0; 32],
    }
}

/// What `cp-1` says of itself.
pub(crate) fn report(rows: &Rows, at: u64) -> ReportRow {
    let report = ReportRow {
        replica: "cp-1".into(),
        at,
        bundle: [7; 32],
        generation: rows.head.generation,
        serving: 2,
        tested: 3,
        mac: [0; 32],
    };
    report.sealed(&ledger_key(), &rows.cluster.id, &rows.ring)
}

/// Does to a dump what a ledger does to its tables.
pub(crate) fn change(dump: &mut Dump, plan: impl FnOnce(&mut Draft)) {
    let state = State::verify(dump.rows.clone(), &ledger_key()).unwrap();
    let mut draft = Draft::new(&state, None);
    plan(&mut draft);
    let change = draft.seal(&ledger_key()).unwrap();
    dump.rows.apply(&change);
    dump.history.bundles.extend(change.bundle);
    dump.history.activations.extend(change.activation);
    dump.audit.extend(change.audit);
    dump.history.checkpoints.extend(change.checkpoint);
    State::verify(dump.rows.clone(), &ledger_key()).unwrap();
}
