-- Version 1. One row an object: what is desired, as JSON. Bodies hold secrets.
CREATE TABLE object (
    kind INTEGER NOT NULL, -- enum store_kind
    key TEXT NOT NULL,
    body BLOB NOT NULL,
    PRIMARY KEY (kind, key)
) WITHOUT ROWID;
