-- Signed places of the audit chain.
CREATE TABLE checkpoints (
    cluster BLOB NOT NULL,
    ring TEXT NOT NULL,
    seq INTEGER NOT NULL,
    hash BLOB NOT NULL CHECK (length(hash) = 32),
    at INTEGER NOT NULL,
    public_key BLOB NOT NULL CHECK (length(public_key) = 32),
    signature BLOB NOT NULL CHECK (length(signature) = 64),
    PRIMARY KEY (cluster, ring, seq),
    FOREIGN KEY (cluster, ring, seq) REFERENCES audit (cluster, ring, seq)
) STRICT;

CREATE TRIGGER checkpoints_never_change BEFORE UPDATE ON checkpoints BEGIN SELECT RAISE(ABORT, 'checkpoints: append-only'); END;
CREATE TRIGGER checkpoints_never_go BEFORE DELETE ON checkpoints BEGIN SELECT RAISE(ABORT, 'checkpoints: nothing is deleted'); END;
