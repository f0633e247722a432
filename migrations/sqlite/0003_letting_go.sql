-- With a version that is destroyed go the bundles that carry it; the newest bundle of a ring never goes.
DROP TRIGGER bundles_never_goes;
CREATE TRIGGER bundles_never_goes BEFORE DELETE ON bundles
WHEN old.generation >= (SELECT generation FROM heads WHERE heads.cluster = old.cluster AND heads.ring = old.ring)
    OR NOT EXISTS (SELECT 1 FROM versions WHERE versions.cluster = old.cluster AND versions.ring = old.ring AND state = 'destroyed')
BEGIN SELECT RAISE(ABORT, 'bundles: nothing is deleted but what a destruction leaves behind'); END;

-- A compromised version opens again where somebody says so, and is destroyed like any other: by way of archived.
DROP TRIGGER version_state_goes_forward;
CREATE TRIGGER version_state_goes_forward BEFORE UPDATE OF state ON versions
WHEN new.state <> old.state AND NOT (
    (old.state = 'pre_active' AND new.state IN ('active', 'deactivated', 'destroyed', 'compromised'))
    OR (old.state = 'active' AND new.state IN ('deactivated', 'compromised'))
    OR (old.state = 'deactivated' AND new.state IN ('archived', 'compromised'))
    OR (old.state = 'archived' AND new.state IN ('deactivated', 'destroy_scheduled', 'compromised'))
    OR (old.state = 'destroy_scheduled' AND new.state IN ('archived', 'destroyed', 'compromised'))
    OR (old.state = 'compromised' AND new.state IN ('deactivated', 'archived'))
)
BEGIN SELECT RAISE(ABORT, 'versions: no such transition of the state'); END;
