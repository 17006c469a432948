-- SPDX-License-Identifier: Apache-2.0
-- What the sealer writes: hashes of complete subtrees of 256 and more leaves, signed checkpoints,
-- and the witnesses' cosignatures. All three only ever grow (ADR-0014).

CREATE TABLE eventlog.tree_node (
    log_id integer NOT NULL,
    level integer NOT NULL CHECK (level IN (8, 16, 24, 32)),
    idx bigint NOT NULL,
    hash bytea NOT NULL CHECK (octet_length(hash) = 32),
    PRIMARY KEY (log_id, level, idx)
);

CREATE TABLE eventlog.checkpoint (
    log_id integer NOT NULL,
    size bigint NOT NULL CHECK (size > 0),
    note text NOT NULL,
    sealed_at bigint NOT NULL, -- microseconds since the epoch
    PRIMARY KEY (log_id, size)
);

CREATE TABLE eventlog.cosignature (
    log_id integer NOT NULL,
    size bigint NOT NULL,
    witness text NOT NULL,
    line text NOT NULL,
    PRIMARY KEY (log_id, size, witness)
);

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON eventlog.tree_node
FOR EACH STATEMENT EXECUTE FUNCTION eventlog.refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON eventlog.checkpoint
FOR EACH STATEMENT EXECUTE FUNCTION eventlog.refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON eventlog.cosignature
FOR EACH STATEMENT EXECUTE FUNCTION eventlog.refuse_change();

GRANT USAGE ON SCHEMA eventlog TO motcua_sealer;
GRANT SELECT ON eventlog.event, eventlog.log_head, eventlog.migration TO motcua_sealer;
GRANT SELECT, INSERT ON eventlog.tree_node, eventlog.checkpoint, eventlog.cosignature
TO motcua_sealer;
GRANT SELECT ON eventlog.tree_node, eventlog.checkpoint, eventlog.cosignature
TO motcua_intake, motcua_payment, motcua_notify, motcua_kiosk_sync, motcua_audit;
