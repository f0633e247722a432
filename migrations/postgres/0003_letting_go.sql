-- Audit records follow one another by a foreign key: a trigger that looks for the last record costs ten times as much.
DROP TRIGGER audit_follows ON audit;
DROP FUNCTION audit_follows();
ALTER TABLE audit ADD COLUMN prior BIGINT GENERATED ALWAYS AS (nullif(seq - 1, 0)) STORED;
ALTER TABLE audit ADD CONSTRAINT "audit records follow one another without a gap"
    FOREIGN KEY (cluster, ring, prior) REFERENCES audit (cluster, ring, seq);

-- With a version that is destroyed go the bundles that carry it; the newest bundle of a ring never goes.
CREATE FUNCTION bundle_stays() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    IF old.generation >= (SELECT generation FROM heads WHERE heads.cluster = old.cluster AND heads.ring = old.ring)
        OR NOT EXISTS (
            SELECT 1 FROM versions WHERE versions.cluster = old.cluster AND versions.ring = old.ring AND state = 'destroyed'
        )
    THEN
        RAISE EXCEPTION 'bundles: nothing is deleted but what a destruction leaves behind'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN old;
END $$;
DROP TRIGGER bundles_never_goes ON bundles;
CREATE TRIGGER bundles_never_goes BEFORE DELETE ON bundles FOR EACH ROW EXECUTE FUNCTION bundle_stays();

-- A compromised version opens again where somebody says so, and is destroyed like any other: by way of archived.
DROP TRIGGER version_state_goes_forward ON versions;
CREATE TRIGGER version_state_goes_forward BEFORE UPDATE OF state ON versions FOR EACH ROW
WHEN (new.state <> old.state AND NOT (
    (old.state = 'pre_active' AND new.state IN ('active', 'deactivated', 'destroyed', 'compromised'))
    OR (old.state = 'active' AND new.state IN ('deactivated', 'compromised'))
    OR (old.state = 'deactivated' AND new.state IN ('archived', 'compromised'))
    OR (old.state = 'archived' AND new.state IN ('deactivated', 'destroy_scheduled', 'compromised'))
    OR (old.state = 'destroy_scheduled' AND new.state IN ('archived', 'destroyed', 'compromised'))
    OR (old.state = 'compromised' AND new.state IN ('deactivated', 'archived'))
))
EXECUTE FUNCTION refuse('no such transition of the state');
