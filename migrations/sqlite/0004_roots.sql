-- A root key comes or goes: the ledger key is wrapped anew. Nothing else of a cluster ever changes.
DROP TRIGGER clusters_never_change;
CREATE TRIGGER clusters_never_change BEFORE UPDATE ON clusters
WHEN new.cluster <> old.cluster OR new.created <> old.created OR new.ledger_key_id <> old.ledger_key_id OR length(new.ledger_key_wraps) <= 1
BEGIN SELECT RAISE(ABORT, 'clusters: never change, but for the wraps of the ledger key'); END;

-- With a version that is destroyed, and with a root key that is removed, go the bundles that carry it; the newest never goes.
CREATE INDEX removals_of_roots ON audit (cluster, ring) WHERE action = 'root.removed';
DROP TRIGGER bundles_never_goes;
CREATE TRIGGER bundles_never_goes BEFORE DELETE ON bundles
WHEN old.generation >= (SELECT generation FROM heads WHERE heads.cluster = old.cluster AND heads.ring = old.ring)
    OR NOT (
        EXISTS (SELECT 1 FROM versions WHERE versions.cluster = old.cluster AND versions.ring = old.ring AND state = 'destroyed')
        OR EXISTS (SELECT 1 FROM audit WHERE audit.cluster = old.cluster AND audit.ring = old.ring AND action = 'root.removed')
    )
BEGIN SELECT RAISE(ABORT, 'bundles: nothing is deleted but what a destruction leaves behind'); END;
