-- SPDX-License-Identifier: Apache-2.0
-- Whole partitions that stand in a Parquet file too, written and checked (ADR-0023).

CREATE TABLE eventlog.archived_range (
    log_id integer NOT NULL,
    first bigint NOT NULL CHECK (first > 0),
    last bigint NOT NULL CHECK (last >= first),
    file text NOT NULL, -- name in the archive's folder
    sha256 bytea NOT NULL CHECK (octet_length(sha256) = 32),
    size_bytes bigint NOT NULL,
    root bytea NOT NULL CHECK (octet_length(root) = 32), -- of the tree of the first `last` events
    sealed bigint NOT NULL CHECK (sealed >= last), -- size of the checkpoint that it was checked with
    archived_at bigint NOT NULL, -- microseconds since the epoch
    PRIMARY KEY (log_id, first)
);

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON eventlog.archived_range
FOR EACH STATEMENT EXECUTE FUNCTION eventlog.refuse_change();

GRANT SELECT, INSERT ON eventlog.archived_range TO motcua_sealer;
GRANT SELECT ON eventlog.archived_range TO motcua_audit, motcua_audit_web;
