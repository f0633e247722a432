-- A root key comes or goes: the ledger key is wrapped anew. Nothing else of a cluster ever changes.
DROP TRIGGER clusters_never_change ON clusters;
CREATE TRIGGER clusters_never_change BEFORE UPDATE ON clusters FOR EACH ROW
WHEN (new.cluster <> old.cluster OR new.created <> old.created OR new.ledger_key_id <> old.ledger_key_id
    OR octet_length(new.ledger_key_wraps) <= 1)
EXECUTE FUNCTION refuse('never change, but for the wraps of the ledger key');

-- With a version that is destroyed, and with a root key that is removed, go the bundles that carry it; the newest never goes.
CREATE INDEX removals_of_roots ON audit (cluster, ring) WHERE action = 'root.removed';
CREATE OR REPLACE FUNCTION bundle_stays() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    IF old.generation >= (SELECT generation FROM heads WHERE heads.cluster = old.cluster AND heads.ring = old.ring)
        OR NOT (
            EXISTS (
                SELECT 1 FROM versions WHERE versions.cluster = old.cluster AND versions.ring = old.ring AND state = 'destroyed'
            )
            OR EXISTS (
                SELECT 1 FROM audit WHERE audit.cluster = old.cluster AND audit.ring = old.ring AND action = 'root.removed'
            )
        )
    THEN
        RAISE EXCEPTION 'bundles: nothing is deleted but what a destruction leaves behind'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN old;
END $$;
