-- The ledger of one cluster or many. Columns that never change stand first in each table.
-- What must be unique, immutable or append-only is so here, whoever writes.

CREATE TABLE clusters (
    cluster BLOB NOT NULL PRIMARY KEY CHECK (length(cluster) = 16),
    created INTEGER NOT NULL,
    ledger_key_id TEXT NOT NULL,
    ledger_key_wraps BLOB NOT NULL
) STRICT;

CREATE TABLE heads (
    cluster BLOB NOT NULL REFERENCES clusters (cluster),
    ring TEXT NOT NULL,
    revision INTEGER NOT NULL,
    generation INTEGER NOT NULL CHECK (generation > 0),
    audit_seq INTEGER NOT NULL,
    audit_hash BLOB NOT NULL CHECK (length(audit_hash) = 32),
    versions INTEGER NOT NULL,
    holds INTEGER NOT NULL,
    runs INTEGER NOT NULL,
    replicas INTEGER NOT NULL,
    contents BLOB NOT NULL CHECK (length(contents) = 128),
    mac BLOB NOT NULL CHECK (length(mac) = 32),
    PRIMARY KEY (cluster, ring)
) STRICT;

CREATE TABLE versions (
    cluster BLOB NOT NULL,
    ring TEXT NOT NULL,
    version INTEGER NOT NULL CHECK (version BETWEEN 1 AND 4294967295),
    key_id TEXT NOT NULL,
    created INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('pre_active', 'active', 'deactivated', 'archived', 'destroy_scheduled', 'destroyed', 'compromised')),
    activated INTEGER,
    changed INTEGER NOT NULL,
    destroy_requested_by TEXT,
    destroy_wait INTEGER,
    destroy_observed INTEGER,
    destroy_approved_by TEXT,
    wraps BLOB NOT NULL,
    mac BLOB NOT NULL CHECK (length(mac) = 32),
    PRIMARY KEY (cluster, ring, version),
    FOREIGN KEY (cluster, ring) REFERENCES heads (cluster, ring),
    UNIQUE (cluster, key_id),
    -- Two people, or none.
    CHECK (state <> 'destroyed' OR (destroy_requested_by IS NOT NULL AND destroy_approved_by IS NOT NULL AND destroy_requested_by <> destroy_approved_by)),
    CHECK ((destroy_requested_by IS NULL) = (destroy_wait IS NULL) AND (destroy_requested_by IS NULL) = (destroy_observed IS NULL)),
    CHECK (destroy_requested_by IS NULL OR state IN ('destroy_scheduled', 'destroyed')),
    -- A count of zero: the material is gone, and only then.
    CHECK (CASE state WHEN 'destroyed' THEN wraps = x'00' ELSE length(wraps) > 1 END),
    CHECK (key_id = ring || '/v' || version || '/' || substr(key_id, -12))
) STRICT;

CREATE UNIQUE INDEX one_active_version ON versions (cluster, ring) WHERE state = 'active';
-- The fingerprint: no key comes back under another number.
CREATE UNIQUE INDEX one_version_for_each_key ON versions (cluster, ring, substr(key_id, -12));

CREATE TABLE holds (
    cluster BLOB NOT NULL,
    ring TEXT NOT NULL,
    id INTEGER NOT NULL CHECK (id > 0),
    first INTEGER NOT NULL,
    last INTEGER NOT NULL CHECK (last >= first),
    until INTEGER NOT NULL,
    reason TEXT NOT NULL,
    added_by TEXT NOT NULL,
    added_at INTEGER NOT NULL,
    released_by TEXT,
    released_at INTEGER,
    mac BLOB NOT NULL CHECK (length(mac) = 32),
    PRIMARY KEY (cluster, ring, id),
    FOREIGN KEY (cluster, ring) REFERENCES heads (cluster, ring),
    CHECK ((released_by IS NULL) = (released_at IS NULL))
) STRICT;

CREATE TABLE runs (
    cluster BLOB NOT NULL,
    ring TEXT NOT NULL,
    id INTEGER NOT NULL CHECK (id > 0),
    trigger TEXT NOT NULL,
    reason TEXT NOT NULL,
    requested_by TEXT NOT NULL,
    begun INTEGER NOT NULL,
    from_version INTEGER NOT NULL,
    to_version INTEGER,
    activated INTEGER,
    converged INTEGER,
    state TEXT NOT NULL CHECK (state IN ('open', 'paused', 'cancelled', 'done')),
    ended INTEGER,
    outcome TEXT NOT NULL,
    mac BLOB NOT NULL CHECK (length(mac) = 32),
    PRIMARY KEY (cluster, ring, id),
    FOREIGN KEY (cluster, ring) REFERENCES heads (cluster, ring),
    CHECK (state <> 'cancelled' OR activated IS NULL)
) STRICT;

CREATE UNIQUE INDEX one_open_run ON runs (cluster, ring) WHERE state IN ('open', 'paused');

CREATE TABLE replicas (
    cluster BLOB NOT NULL,
    ring TEXT NOT NULL,
    id INTEGER NOT NULL CHECK (id > 0),
    name TEXT NOT NULL,
    joined INTEGER NOT NULL,
    removed_by TEXT,
    removed_at INTEGER,
    mac BLOB NOT NULL CHECK (length(mac) = 32),
    PRIMARY KEY (cluster, ring, id),
    FOREIGN KEY (cluster, ring) REFERENCES heads (cluster, ring),
    UNIQUE (cluster, ring, name),
    CHECK ((removed_by IS NULL) = (removed_at IS NULL))
) STRICT;

-- The last word of each replica: the only rows that are written without a change of the head.
CREATE TABLE reports (
    cluster BLOB NOT NULL,
    ring TEXT NOT NULL,
    replica TEXT NOT NULL,
    at INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    bundle BLOB NOT NULL CHECK (length(bundle) = 32),
    serving INTEGER NOT NULL,
    tested INTEGER NOT NULL,
    mac BLOB NOT NULL CHECK (length(mac) = 32),
    PRIMARY KEY (cluster, ring, replica),
    FOREIGN KEY (cluster, ring, replica) REFERENCES replicas (cluster, ring, name)
) STRICT;

CREATE TABLE leases (
    cluster BLOB NOT NULL PRIMARY KEY REFERENCES clusters (cluster),
    holder TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    until INTEGER NOT NULL
) STRICT;

CREATE TABLE bundles (
    cluster BLOB NOT NULL,
    ring TEXT NOT NULL,
    generation INTEGER NOT NULL,
    bytes BLOB NOT NULL,
    PRIMARY KEY (cluster, ring, generation),
    FOREIGN KEY (cluster, ring) REFERENCES heads (cluster, ring)
) STRICT;

CREATE TABLE activations (
    cluster BLOB NOT NULL,
    ring TEXT NOT NULL,
    -- Once for each version, for ever.
    version INTEGER NOT NULL,
    at INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    PRIMARY KEY (cluster, ring, version),
    FOREIGN KEY (cluster, ring, version) REFERENCES versions (cluster, ring, version)
) STRICT;

CREATE TABLE audit (
    cluster BLOB NOT NULL,
    ring TEXT NOT NULL,
    seq INTEGER NOT NULL CHECK (seq > 0),
    at INTEGER NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    subject TEXT NOT NULL,
    detail TEXT NOT NULL,
    previous BLOB NOT NULL CHECK (length(previous) = 32),
    hash BLOB NOT NULL CHECK (length(hash) = 32),
    PRIMARY KEY (cluster, ring, seq),
    FOREIGN KEY (cluster, ring) REFERENCES heads (cluster, ring)
) STRICT;

-- Versions and generations only go forward.
CREATE TRIGGER head_goes_forward BEFORE UPDATE ON heads
WHEN new.revision <= old.revision OR new.generation < old.generation OR new.audit_seq < old.audit_seq
    OR new.cluster <> old.cluster OR new.ring <> old.ring
BEGIN SELECT RAISE(ABORT, 'heads: revision, generation and audit_seq only grow'); END;

CREATE TRIGGER version_stays_itself BEFORE UPDATE ON versions
WHEN new.cluster <> old.cluster OR new.ring <> old.ring OR new.version <> old.version OR new.key_id <> old.key_id
    OR new.created <> old.created OR (old.activated IS NOT NULL AND new.activated IS NOT old.activated)
BEGIN SELECT RAISE(ABORT, 'versions: number, key_id, created and activated never change'); END;

CREATE TRIGGER version_state_goes_forward BEFORE UPDATE OF state ON versions
WHEN new.state <> old.state AND NOT (
    (old.state = 'pre_active' AND new.state IN ('active', 'deactivated', 'destroyed', 'compromised'))
    OR (old.state = 'active' AND new.state IN ('deactivated', 'compromised'))
    OR (old.state = 'deactivated' AND new.state IN ('archived', 'compromised'))
    OR (old.state = 'archived' AND new.state IN ('deactivated', 'destroy_scheduled', 'compromised'))
    OR (old.state = 'destroy_scheduled' AND new.state IN ('archived', 'destroyed', 'compromised'))
    OR (old.state = 'compromised' AND new.state IN ('archived', 'destroy_scheduled'))
)
BEGIN SELECT RAISE(ABORT, 'versions: no such transition of the state'); END;

-- Time does not release a hold: that is an act, with its audit record. A hold does not bar the way back from destroy_scheduled.
CREATE TRIGGER held_version_stays BEFORE UPDATE OF state ON versions
WHEN new.state <> old.state
    AND (new.state IN ('destroy_scheduled', 'destroyed') OR new.state = 'archived' AND old.state <> 'destroy_scheduled')
    AND EXISTS (
        SELECT 1 FROM holds WHERE holds.cluster = new.cluster AND holds.ring = new.ring AND holds.released_at IS NULL
            AND new.version BETWEEN holds.first AND holds.last
    )
BEGIN SELECT RAISE(ABORT, 'versions: a hold keeps this version'); END;

CREATE TRIGGER hold_stays_itself BEFORE UPDATE ON holds
WHEN old.released_at IS NOT NULL OR new.cluster <> old.cluster OR new.ring <> old.ring OR new.id <> old.id
    OR new.first <> old.first OR new.last <> old.last OR new.until <> old.until OR new.reason <> old.reason
    OR new.added_by <> old.added_by OR new.added_at <> old.added_at
BEGIN SELECT RAISE(ABORT, 'holds: only released, and only once'); END;

CREATE TRIGGER run_stays_itself BEFORE UPDATE ON runs
WHEN old.state IN ('cancelled', 'done') OR new.cluster <> old.cluster OR new.ring <> old.ring OR new.id <> old.id
    OR new.begun <> old.begun OR new.from_version <> old.from_version OR new.requested_by <> old.requested_by
    OR new.trigger <> old.trigger OR new.reason <> old.reason
    OR (old.to_version IS NOT NULL AND new.to_version IS NOT old.to_version)
    OR (old.activated IS NOT NULL AND new.activated IS NOT old.activated)
    OR (old.converged IS NOT NULL AND new.converged IS NOT old.converged)
BEGIN SELECT RAISE(ABORT, 'runs: what was begun or has ended stays'); END;

CREATE TRIGGER replica_stays_itself BEFORE UPDATE ON replicas
WHEN new.cluster <> old.cluster OR new.ring <> old.ring OR new.id <> old.id OR new.name <> old.name
BEGIN SELECT RAISE(ABORT, 'replicas: a name is never given to another'); END;

-- An epoch that came back would let an old leader write again.
CREATE TRIGGER lease_epoch_grows BEFORE UPDATE ON leases
WHEN new.cluster <> old.cluster OR new.epoch < old.epoch OR (new.epoch = old.epoch AND new.holder <> old.holder)
BEGIN SELECT RAISE(ABORT, 'leases: the epoch grows with each holder'); END;

CREATE TRIGGER audit_follows BEFORE INSERT ON audit
WHEN new.seq <> 1 + (SELECT coalesce(max(seq), 0) FROM audit WHERE audit.cluster = new.cluster AND audit.ring = new.ring)
BEGIN SELECT RAISE(ABORT, 'audit: records follow one another without a gap'); END;

CREATE TRIGGER audit_never_changes BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'audit: append-only'); END;
CREATE TRIGGER activations_never_changes BEFORE UPDATE ON activations BEGIN SELECT RAISE(ABORT, 'activations: append-only'); END;
CREATE TRIGGER bundles_never_changes BEFORE UPDATE ON bundles BEGIN SELECT RAISE(ABORT, 'bundles: append-only'); END;
CREATE TRIGGER audit_never_goes BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'audit: nothing is deleted'); END;
CREATE TRIGGER activations_never_goes BEFORE DELETE ON activations BEGIN SELECT RAISE(ABORT, 'activations: nothing is deleted'); END;
CREATE TRIGGER bundles_never_goes BEFORE DELETE ON bundles BEGIN SELECT RAISE(ABORT, 'bundles: nothing is deleted'); END;
CREATE TRIGGER clusters_never_goes BEFORE DELETE ON clusters BEGIN SELECT RAISE(ABORT, 'clusters: nothing is deleted'); END;
CREATE TRIGGER heads_never_goes BEFORE DELETE ON heads BEGIN SELECT RAISE(ABORT, 'heads: nothing is deleted'); END;
CREATE TRIGGER versions_never_goes BEFORE DELETE ON versions BEGIN SELECT RAISE(ABORT, 'versions: nothing is deleted'); END;
CREATE TRIGGER holds_never_goes BEFORE DELETE ON holds BEGIN SELECT RAISE(ABORT, 'holds: nothing is deleted'); END;
CREATE TRIGGER runs_never_goes BEFORE DELETE ON runs BEGIN SELECT RAISE(ABORT, 'runs: nothing is deleted'); END;
CREATE TRIGGER replicas_never_goes BEFORE DELETE ON replicas BEGIN SELECT RAISE(ABORT, 'replicas: nothing is deleted'); END;
CREATE TRIGGER leases_never_goes BEFORE DELETE ON leases BEGIN SELECT RAISE(ABORT, 'leases: nothing is deleted'); END;
CREATE TRIGGER clusters_never_change BEFORE UPDATE ON clusters BEGIN SELECT RAISE(ABORT, 'clusters: never change'); END;
