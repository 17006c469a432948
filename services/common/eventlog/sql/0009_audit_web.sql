-- SPDX-License-Identifier: Apache-2.0
-- What each patrol of a sealer found, for auditors; and the login of their pages, which reads events
-- and seals: no ciphertext, no read model, no function.

CREATE TABLE eventlog.patrol_round (
    log_id integer NOT NULL,
    ended_at bigint NOT NULL, -- microseconds since the epoch
    began_at bigint NOT NULL,
    size bigint NOT NULL CHECK (size >= 0), -- how many events were read
    found text, -- what was not as written; null: everything was
    PRIMARY KEY (log_id, ended_at)
);

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON eventlog.patrol_round
FOR EACH STATEMENT EXECUTE FUNCTION eventlog.refuse_change();

GRANT SELECT, INSERT ON eventlog.patrol_round TO motcua_sealer;
GRANT SELECT ON eventlog.patrol_round TO motcua_audit, motcua_audit_web;

GRANT USAGE ON SCHEMA eventlog TO motcua_audit_web;
GRANT SELECT ON
    eventlog.event, eventlog.log_head, eventlog.stream_head, eventlog.migration,
    eventlog.checkpoint, eventlog.cosignature, eventlog.tree_node
TO motcua_audit_web;
