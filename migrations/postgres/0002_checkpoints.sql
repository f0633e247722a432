-- Signed places of the audit chain.
CREATE TABLE checkpoints (
    cluster BYTEA NOT NULL,
    ring TEXT NOT NULL,
    seq BIGINT NOT NULL,
    hash BYTEA NOT NULL CHECK (octet_length(hash) = 32),
    at BIGINT NOT NULL,
    public_key BYTEA NOT NULL CHECK (octet_length(public_key) = 32),
    signature BYTEA NOT NULL CHECK (octet_length(signature) = 64),
    PRIMARY KEY (cluster, ring, seq),
    FOREIGN KEY (cluster, ring, seq) REFERENCES audit (cluster, ring, seq)
);

CREATE TRIGGER checkpoints_never_change BEFORE UPDATE ON checkpoints FOR EACH ROW EXECUTE FUNCTION refuse('append-only');
CREATE TRIGGER checkpoints_never_go BEFORE DELETE ON checkpoints FOR EACH ROW EXECUTE FUNCTION refuse('nothing is deleted');
CREATE TRIGGER checkpoints_never_emptied BEFORE TRUNCATE ON checkpoints FOR EACH STATEMENT EXECUTE FUNCTION refuse('nothing is deleted');
ALTER TABLE checkpoints ENABLE ROW LEVEL SECURITY;
ALTER TABLE checkpoints FORCE ROW LEVEL SECURITY;
CREATE POLICY own_cluster ON checkpoints USING (cluster = decode(current_setting('strongroom.cluster', true), 'hex'));
