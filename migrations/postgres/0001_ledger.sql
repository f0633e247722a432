-- The ledger of any number of clusters. Columns that never change stand first in each table.
-- What must be unique, immutable or append-only is so here, whoever writes.

CREATE TABLE clusters (
    cluster BYTEA NOT NULL PRIMARY KEY CHECK (octet_length(cluster) = 16),
    created BIGINT NOT NULL,
    ledger_key_id TEXT NOT NULL,
    ledger_key_wraps BYTEA NOT NULL
);

CREATE TABLE heads (
    cluster BYTEA NOT NULL REFERENCES clusters (cluster),
    ring TEXT NOT NULL,
    revision BIGINT NOT NULL,
    generation BIGINT NOT NULL CHECK (generation > 0),
    audit_seq BIGINT NOT NULL,
    audit_hash BYTEA NOT NULL CHECK (octet_length(audit_hash) = 32),
    versions BIGINT NOT NULL,
    holds BIGINT NOT NULL,
    runs BIGINT NOT NULL,
    replicas BIGINT NOT NULL,
    contents BYTEA NOT NULL CHECK (octet_length(contents) = 128),
    mac BYTEA NOT NULL CHECK (octet_length(mac) = 32),
    PRIMARY KEY (cluster, ring)
);

CREATE TABLE versions (
    cluster BYTEA NOT NULL,
    ring TEXT NOT NULL,
    version BIGINT NOT NULL CHECK (version BETWEEN 1 AND 4294967295),
    key_id TEXT NOT NULL,
    created BIGINT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('pre_active', 'active', 'deactivated', 'archived', 'destroy_scheduled', 'destroyed', 'compromised')),
    activated BIGINT,
    changed BIGINT NOT NULL,
    destroy_requested_by TEXT,
    destroy_wait BIGINT,
    destroy_observed BIGINT,
    destroy_approved_by TEXT,
    wraps BYTEA NOT NULL,
    mac BYTEA NOT NULL CHECK (octet_length(mac) = 32),
    PRIMARY KEY (cluster, ring, version),
    FOREIGN KEY (cluster, ring) REFERENCES heads (cluster, ring),
    UNIQUE (cluster, key_id),
    -- Two people, or none.
    CHECK (state <> 'destroyed' OR (destroy_requested_by IS NOT NULL AND destroy_approved_by IS NOT NULL AND destroy_requested_by <> destroy_approved_by)),
    CHECK ((destroy_requested_by IS NULL) = (destroy_wait IS NULL) AND (destroy_requested_by IS NULL) = (destroy_observed IS NULL)),
    CHECK (destroy_requested_by IS NULL OR state IN ('destroy_scheduled', 'destroyed')),
    -- A count of zero: the material is gone, and only then.
    CHECK (CASE state WHEN 'destroyed' THEN wraps = '\x00' ELSE octet_length(wraps) > 1 END),
    CHECK (key_id = ring || '/v' || version || '/' || right(key_id, 12))
);

CREATE UNIQUE INDEX one_active_version ON versions (cluster, ring) WHERE state = 'active';
-- The fingerprint: no key comes back under another number.
CREATE UNIQUE INDEX one_version_for_each_key ON versions (cluster, ring, right(key_id, 12));

CREATE TABLE holds (
    cluster BYTEA NOT NULL,
    ring TEXT NOT NULL,
    id BIGINT NOT NULL CHECK (id > 0),
    first BIGINT NOT NULL,
    last BIGINT NOT NULL CHECK (last >= first),
    until BIGINT NOT NULL,
    reason TEXT NOT NULL,
    added_by TEXT NOT NULL,
    added_at BIGINT NOT NULL,
    released_by TEXT,
    released_at BIGINT,
    mac BYTEA NOT NULL CHECK (octet_length(mac) = 32),
    PRIMARY KEY (cluster, ring, id),
    FOREIGN KEY (cluster, ring) REFERENCES heads (cluster, ring),
    CHECK ((released_by IS NULL) = (released_at IS NULL))
);

CREATE TABLE runs (
    cluster BYTEA NOT NULL,
    ring TEXT NOT NULL,
    id BIGINT NOT NULL CHECK (id > 0),
    trigger TEXT NOT NULL,
    reason TEXT NOT NULL,
    requested_by TEXT NOT NULL,
    begun BIGINT NOT NULL,
    from_version BIGINT NOT NULL,
    to_version BIGINT,
    activated BIGINT,
    converged BIGINT,
    state TEXT NOT NULL CHECK (state IN ('open', 'paused', 'cancelled', 'done')),
    ended BIGINT,
    outcome TEXT NOT NULL,
    mac BYTEA NOT NULL CHECK (octet_length(mac) = 32),
    PRIMARY KEY (cluster, ring, id),
    FOREIGN KEY (cluster, ring) REFERENCES heads (cluster, ring),
    CHECK (state <> 'cancelled' OR activated IS NULL)
);

CREATE UNIQUE INDEX one_open_run ON runs (cluster, ring) WHERE state IN ('open', 'paused');

CREATE TABLE replicas (
    cluster BYTEA NOT NULL,
    ring TEXT NOT NULL,
    id BIGINT NOT NULL CHECK (id > 0),
    -- "C" here and below: sorted as we sort, whatever the locale of the database.
    name TEXT COLLATE "C" NOT NULL,
    joined BIGINT NOT NULL,
    removed_by TEXT,
    removed_at BIGINT,
    mac BYTEA NOT NULL CHECK (octet_length(mac) = 32),
    PRIMARY KEY (cluster, ring, id),
    FOREIGN KEY (cluster, ring) REFERENCES heads (cluster, ring),
    UNIQUE (cluster, ring, name),
    CHECK ((removed_by IS NULL) = (removed_at IS NULL))
);

-- The last word of each replica: the only rows that are written without a change of the head.
CREATE TABLE reports (
    cluster BYTEA NOT NULL,
    ring TEXT NOT NULL,
    replica TEXT COLLATE "C" NOT NULL,
    at BIGINT NOT NULL,
    generation BIGINT NOT NULL,
    bundle BYTEA NOT NULL CHECK (octet_length(bundle) = 32),
    serving BIGINT NOT NULL,
    tested BIGINT NOT NULL,
    mac BYTEA NOT NULL CHECK (octet_length(mac) = 32),
    PRIMARY KEY (cluster, ring, replica),
    FOREIGN KEY (cluster, ring, replica) REFERENCES replicas (cluster, ring, name)
);

CREATE TABLE leases (
    cluster BYTEA NOT NULL PRIMARY KEY REFERENCES clusters (cluster),
    holder TEXT NOT NULL,
    epoch BIGINT NOT NULL,
    until BIGINT NOT NULL
);

CREATE TABLE bundles (
    cluster BYTEA NOT NULL,
    ring TEXT NOT NULL,
    generation BIGINT NOT NULL,
    bytes BYTEA NOT NULL,
    PRIMARY KEY (cluster, ring, generation),
    FOREIGN KEY (cluster, ring) REFERENCES heads (cluster, ring)
);

CREATE TABLE activations (
    cluster BYTEA NOT NULL,
    ring TEXT NOT NULL,
    -- Once for each version, for ever.
    version BIGINT NOT NULL,
    at BIGINT NOT NULL,
    generation BIGINT NOT NULL,
    PRIMARY KEY (cluster, ring, version),
    FOREIGN KEY (cluster, ring, version) REFERENCES versions (cluster, ring, version)
);

CREATE TABLE audit (
    cluster BYTEA NOT NULL,
    ring TEXT NOT NULL,
    seq BIGINT NOT NULL CHECK (seq > 0),
    at BIGINT NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    subject TEXT NOT NULL,
    detail TEXT NOT NULL,
    previous BYTEA NOT NULL CHECK (octet_length(previous) = 32),
    hash BYTEA NOT NULL CHECK (octet_length(hash) = 32),
    PRIMARY KEY (cluster, ring, seq),
    FOREIGN KEY (cluster, ring) REFERENCES heads (cluster, ring)
);

-- A trigger function that says what is wrong, with the SQLSTATE of a violated rule.
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '%: %', TG_TABLE_NAME, TG_ARGV[0] USING ERRCODE = 'integrity_constraint_violation';
END $$;

-- Versions and generations only go forward.
CREATE TRIGGER head_goes_forward BEFORE UPDATE ON heads FOR EACH ROW
WHEN (new.revision <= old.revision OR new.generation < old.generation OR new.audit_seq < old.audit_seq
    OR new.cluster <> old.cluster OR new.ring <> old.ring)
EXECUTE FUNCTION refuse('revision, generation and audit_seq only grow');
CREATE TRIGGER version_stays_itself BEFORE UPDATE ON versions FOR EACH ROW
WHEN (new.cluster <> old.cluster OR new.ring <> old.ring OR new.version <> old.version OR new.key_id <> old.key_id
    OR new.created <> old.created OR (old.activated IS NOT NULL AND new.activated IS DISTINCT FROM old.activated))
EXECUTE FUNCTION refuse('number, key_id, created and activated never change');
CREATE TRIGGER version_state_goes_forward BEFORE UPDATE OF state ON versions FOR EACH ROW
WHEN (new.state <> old.state AND NOT (
    (old.state = 'pre_active' AND new.state IN ('active', 'deactivated', 'destroyed', 'compromised'))
    OR (old.state = 'active' AND new.state IN ('deactivated', 'compromised'))
    OR (old.state = 'deactivated' AND new.state IN ('archived', 'compromised'))
    OR (old.state = 'archived' AND new.state IN ('deactivated', 'destroy_scheduled', 'compromised'))
    OR (old.state = 'destroy_scheduled' AND new.state IN ('archived', 'destroyed', 'compromised'))
    OR (old.state = 'compromised' AND new.state IN ('archived', 'destroy_scheduled'))
))
EXECUTE FUNCTION refuse('no such transition of the state');
-- Time does not release a hold: that is an act, with its audit record. A hold does not bar the way back from destroy_scheduled.
-- The search path is pinned where a function reads tables: else a temporary table of the same name would answer for ours.
CREATE FUNCTION held_version_stays() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    IF new.state <> old.state
        AND (new.state IN ('destroy_scheduled', 'destroyed') OR new.state = 'archived' AND old.state <> 'destroy_scheduled')
        AND EXISTS (
            SELECT 1 FROM holds WHERE holds.cluster = new.cluster AND holds.ring = new.ring AND holds.released_at IS NULL
                AND new.version BETWEEN holds.first AND holds.last
        )
    THEN
        RAISE EXCEPTION 'versions: a hold keeps this version' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN new;
END $$;
CREATE TRIGGER held_version_stays BEFORE UPDATE OF state ON versions FOR EACH ROW EXECUTE FUNCTION held_version_stays();
CREATE TRIGGER hold_stays_itself BEFORE UPDATE ON holds FOR EACH ROW
WHEN (old.released_at IS NOT NULL OR new.cluster <> old.cluster OR new.ring <> old.ring OR new.id <> old.id
    OR new.first <> old.first OR new.last <> old.last OR new.until <> old.until OR new.reason <> old.reason
    OR new.added_by <> old.added_by OR new.added_at <> old.added_at)
EXECUTE FUNCTION refuse('only released, and only once');
CREATE TRIGGER run_stays_itself BEFORE UPDATE ON runs FOR EACH ROW
WHEN (old.state IN ('cancelled', 'done') OR new.cluster <> old.cluster OR new.ring <> old.ring OR new.id <> old.id
    OR new.begun <> old.begun OR new.from_version <> old.from_version OR new.requested_by <> old.requested_by
    OR new.trigger <> old.trigger OR new.reason <> old.reason
    OR (old.to_version IS NOT NULL AND new.to_version IS DISTINCT FROM old.to_version)
    OR (old.activated IS NOT NULL AND new.activated IS DISTINCT FROM old.activated)
    OR (old.converged IS NOT NULL AND new.converged IS DISTINCT FROM old.converged))
EXECUTE FUNCTION refuse('what was begun or has ended stays');
CREATE TRIGGER replica_stays_itself BEFORE UPDATE ON replicas FOR EACH ROW
WHEN (new.cluster <> old.cluster OR new.ring <> old.ring OR new.id <> old.id OR new.name <> old.name)
EXECUTE FUNCTION refuse('a name is never given to another');
-- An epoch that came back would let an old leader write again.
CREATE TRIGGER lease_epoch_grows BEFORE UPDATE ON leases FOR EACH ROW
WHEN (new.cluster <> old.cluster OR new.epoch < old.epoch OR (new.epoch = old.epoch AND new.holder <> old.holder))
EXECUTE FUNCTION refuse('the epoch grows with each holder');
CREATE FUNCTION audit_follows() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    IF new.seq <> 1 + (SELECT coalesce(max(seq), 0) FROM audit WHERE audit.cluster = new.cluster AND audit.ring = new.ring) THEN
        RAISE EXCEPTION 'audit: records follow one another without a gap' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN new;
END $$;
CREATE TRIGGER audit_follows BEFORE INSERT ON audit FOR EACH ROW EXECUTE FUNCTION audit_follows();
CREATE TRIGGER audit_never_changes BEFORE UPDATE ON audit FOR EACH ROW EXECUTE FUNCTION refuse('append-only');
CREATE TRIGGER activations_never_changes BEFORE UPDATE ON activations FOR EACH ROW EXECUTE FUNCTION refuse('append-only');
CREATE TRIGGER bundles_never_changes BEFORE UPDATE ON bundles FOR EACH ROW EXECUTE FUNCTION refuse('append-only');
CREATE TRIGGER audit_never_goes BEFORE DELETE ON audit FOR EACH ROW EXECUTE FUNCTION refuse('nothing is deleted');
CREATE TRIGGER activations_never_goes BEFORE DELETE ON activations FOR EACH ROW EXECUTE FUNCTION refuse('nothing is deleted');
CREATE TRIGGER bundles_never_goes BEFORE DELETE ON bundles FOR EACH ROW EXECUTE FUNCTION refuse('nothing is deleted');
CREATE TRIGGER clusters_never_goes BEFORE DELETE ON clusters FOR EACH ROW EXECUTE FUNCTION refuse('nothing is deleted');
CREATE TRIGGER heads_never_goes BEFORE DELETE ON heads FOR EACH ROW EXECUTE FUNCTION refuse('nothing is deleted');
CREATE TRIGGER versions_never_goes BEFORE DELETE ON versions FOR EACH ROW EXECUTE FUNCTION refuse('nothing is deleted');
CREATE TRIGGER holds_never_goes BEFORE DELETE ON holds FOR EACH ROW EXECUTE FUNCTION refuse('nothing is deleted');
CREATE TRIGGER runs_never_goes BEFORE DELETE ON runs FOR EACH ROW EXECUTE FUNCTION refuse('nothing is deleted');
CREATE TRIGGER replicas_never_goes BEFORE DELETE ON replicas FOR EACH ROW EXECUTE FUNCTION refuse('nothing is deleted');
CREATE TRIGGER leases_never_goes BEFORE DELETE ON leases FOR EACH ROW EXECUTE FUNCTION refuse('nothing is deleted');
CREATE TRIGGER clusters_never_change BEFORE UPDATE ON clusters FOR EACH ROW EXECUTE FUNCTION refuse('never change');

CREATE TRIGGER clusters_never_emptied BEFORE TRUNCATE ON clusters FOR EACH STATEMENT EXECUTE FUNCTION refuse('nothing is deleted');
CREATE TRIGGER heads_never_emptied BEFORE TRUNCATE ON heads FOR EACH STATEMENT EXECUTE FUNCTION refuse('nothing is deleted');
CREATE TRIGGER versions_never_emptied BEFORE TRUNCATE ON versions FOR EACH STATEMENT EXECUTE FUNCTION refuse('nothing is deleted');
CREATE TRIGGER holds_never_emptied BEFORE TRUNCATE ON holds FOR EACH STATEMENT EXECUTE FUNCTION refuse('nothing is deleted');
CREATE TRIGGER runs_never_emptied BEFORE TRUNCATE ON runs FOR EACH STATEMENT EXECUTE FUNCTION refuse('nothing is deleted');
CREATE TRIGGER replicas_never_emptied BEFORE TRUNCATE ON replicas FOR EACH STATEMENT EXECUTE FUNCTION refuse('nothing is deleted');
CREATE TRIGGER reports_never_emptied BEFORE TRUNCATE ON reports FOR EACH STATEMENT EXECUTE FUNCTION refuse('nothing is deleted');
CREATE TRIGGER leases_never_emptied BEFORE TRUNCATE ON leases FOR EACH STATEMENT EXECUTE FUNCTION refuse('nothing is deleted');
CREATE TRIGGER bundles_never_emptied BEFORE TRUNCATE ON bundles FOR EACH STATEMENT EXECUTE FUNCTION refuse('nothing is deleted');
CREATE TRIGGER activations_never_emptied BEFORE TRUNCATE ON activations FOR EACH STATEMENT EXECUTE FUNCTION refuse('nothing is deleted');
CREATE TRIGGER audit_never_emptied BEFORE TRUNCATE ON audit FOR EACH STATEMENT EXECUTE FUNCTION refuse('nothing is deleted');

-- No statement sees or touches another cluster's rows, whatever it says: the connection names its cluster.
ALTER TABLE clusters ENABLE ROW LEVEL SECURITY;
ALTER TABLE clusters FORCE ROW LEVEL SECURITY;
CREATE POLICY own_cluster ON clusters USING (cluster = decode(current_setting('strongroom.cluster', true), 'hex'));
ALTER TABLE heads ENABLE ROW LEVEL SECURITY;
ALTER TABLE heads FORCE ROW LEVEL SECURITY;
CREATE POLICY own_cluster ON heads USING (cluster = decode(current_setting('strongroom.cluster', true), 'hex'));
ALTER TABLE versions ENABLE ROW LEVEL SECURITY;
ALTER TABLE versions FORCE ROW LEVEL SECURITY;
CREATE POLICY own_cluster ON versions USING (cluster = decode(current_setting('strongroom.cluster', true), 'hex'));
ALTER TABLE holds ENABLE ROW LEVEL SECURITY;
ALTER TABLE holds FORCE ROW LEVEL SECURITY;
CREATE POLICY own_cluster ON holds USING (cluster = decode(current_setting('strongroom.cluster', true), 'hex'));
ALTER TABLE runs ENABLE ROW LEVEL SECURITY;
ALTER TABLE runs FORCE ROW LEVEL SECURITY;
CREATE POLICY own_cluster ON runs USING (cluster = decode(current_setting('strongroom.cluster', true), 'hex'));
ALTER TABLE replicas ENABLE ROW LEVEL SECURITY;
ALTER TABLE replicas FORCE ROW LEVEL SECURITY;
CREATE POLICY own_cluster ON replicas USING (cluster = decode(current_setting('strongroom.cluster', true), 'hex'));
ALTER TABLE reports ENABLE ROW LEVEL SECURITY;
ALTER TABLE reports FORCE ROW LEVEL SECURITY;
CREATE POLICY own_cluster ON reports USING (cluster = decode(current_setting('strongroom.cluster', true), 'hex'));
ALTER TABLE leases ENABLE ROW LEVEL SECURITY;
ALTER TABLE leases FORCE ROW LEVEL SECURITY;
CREATE POLICY own_cluster ON leases USING (cluster = decode(current_setting('strongroom.cluster', true), 'hex'));
ALTER TABLE bundles ENABLE ROW LEVEL SECURITY;
ALTER TABLE bundles FORCE ROW LEVEL SECURITY;
CREATE POLICY own_cluster ON bundles USING (cluster = decode(current_setting('strongroom.cluster', true), 'hex'));
ALTER TABLE activations ENABLE ROW LEVEL SECURITY;
ALTER TABLE activations FORCE ROW LEVEL SECURITY;
CREATE POLICY own_cluster ON activations USING (cluster = decode(current_setting('strongroom.cluster', true), 'hex'));
ALTER TABLE audit ENABLE ROW LEVEL SECURITY;
ALTER TABLE audit FORCE ROW LEVEL SECURITY;
CREATE POLICY own_cluster ON audit USING (cluster = decode(current_setting('strongroom.cluster', true), 'hex'));

-- Wakes whoever listens. A poll makes it correct.
CREATE FUNCTION ring_the_bell() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('strongroom', encode(new.cluster, 'hex'));
    RETURN NULL;
END $$;
CREATE TRIGGER head_rings AFTER INSERT OR UPDATE ON heads FOR EACH ROW EXECUTE FUNCTION ring_the_bell();
