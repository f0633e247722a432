-- Roles for the ledger of strongroomd. Run it as a superuser, connected to the ledger's database, before `strongroomd migrate` and
-- again after it:  psql --dbname=strongroom --file=postgres-roles.sql
-- It changes nothing that is so already. Passwords are yours to set: \password strongroom

DO $$
BEGIN
    -- Owns the tables and changes them: `strongroomd migrate --url postgres://strongroom_owner@…`. No daemon uses it.
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'strongroom_owner') THEN
        CREATE ROLE strongroom_owner LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS;
    END IF;
    -- What strongroomd connects as. It can delete no row but reports and what a destruction leaves behind, and change no table, and sees the rows of one cluster at a time.
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'strongroom') THEN
        CREATE ROLE strongroom LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS;
    END IF;
END $$;

REVOKE CREATE ON SCHEMA public FROM PUBLIC;
GRANT USAGE, CREATE ON SCHEMA public TO strongroom_owner;
GRANT USAGE ON SCHEMA public TO strongroom;
-- Nobody needs tables that only one session sees.
DO $$ BEGIN EXECUTE format('REVOKE TEMPORARY ON DATABASE %I FROM PUBLIC', current_database()); END $$;

-- Every table of ours can be read and added to …
ALTER DEFAULT PRIVILEGES FOR ROLE strongroom_owner IN SCHEMA public GRANT SELECT, INSERT ON TABLES TO strongroom;

DO $$
BEGIN
    -- … of these, the columns that a change is made of can be changed, within their triggers …
    IF to_regclass('public.heads') IS NOT NULL THEN
        REVOKE UPDATE ON clusters, heads, versions, holds, runs, replicas, reports, leases FROM strongroom;
        GRANT UPDATE (ledger_key_wraps) ON clusters TO strongroom;
        GRANT UPDATE (revision, generation, audit_seq, audit_hash, versions, holds, runs, replicas, contents, mac) ON heads TO strongroom;
        GRANT UPDATE (state, activated, changed, destroy_requested_by, destroy_wait, destroy_observed, destroy_approved_by, wraps, mac)
            ON versions TO strongroom;
        GRANT UPDATE (released_by, released_at, mac) ON holds TO strongroom;
        GRANT UPDATE (to_version, activated, converged, state, ended, outcome, mac) ON runs TO strongroom;
        GRANT UPDATE (joined, removed_by, removed_at, mac) ON replicas TO strongroom;
        -- What a replica said before it left goes when it joins again: beside the bundles of before a destruction, or the removal of a root, the only rows
        -- that are ever deleted.
        GRANT UPDATE (at, generation, bundle, serving, tested, mac), DELETE ON reports TO strongroom;
        GRANT DELETE ON bundles TO strongroom;
        GRANT UPDATE (holder, epoch, until) ON leases TO strongroom;
    END IF;
    -- … and the versions of the schema are only looked at.
    IF to_regclass('public._sqlx_migrations') IS NOT NULL THEN
        REVOKE INSERT ON _sqlx_migrations FROM strongroom;
    END IF;
END $$;
