-- SPDX-License-Identifier: Apache-2.0
-- Dead letters that somebody gave up: what, why and who, for auditors. The mark in the inbox commits
-- with the entry, so the sweeper does not bring the event back and nothing is given up unseen.

CREATE TABLE eventlog.dropped (
    log_id integer NOT NULL,
    reactor text COLLATE "C" NOT NULL,
    letter text COLLATE "C" NOT NULL CHECK (length(letter) BETWEEN 1 AND 100),
    pos bigint, -- null: the letter is no event of this log
    reason text NOT NULL CHECK (length(reason) BETWEEN 1 AND 500),
    dropped_by text NOT NULL CHECK (length(dropped_by) BETWEEN 1 AND 100),
    login text NOT NULL,
    dropped_at bigint NOT NULL, -- microseconds since the epoch
    PRIMARY KEY (log_id, reactor, letter)
);

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON eventlog.dropped
FOR EACH STATEMENT EXECUTE FUNCTION eventlog.refuse_change();

GRANT SELECT ON eventlog.dropped TO motcua_audit, motcua_audit_web;

-- Returns what it means: "dropped" (the event is given up), "handled" (its effect is in the log
-- already, only the copy goes), "no_event" (the letter is no event of this log).
CREATE FUNCTION eventlog.drop_letter(
    p_log integer, p_reactor text, p_letter text, p_pos bigint, p_event uuid,
    p_reason text, p_by text
) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
    genuine boolean;
    meaning text := 'no_event';
BEGIN
    PERFORM eventlog.require_writer('{}', ARRAY[p_reactor]);
    genuine := EXISTS (
        SELECT FROM eventlog.event AS e
        WHERE e.log_id = p_log AND e.pos = p_pos AND e.event_id = p_event);
    IF genuine THEN
        INSERT INTO eventlog.reactor (log_id, reactor, done_through)
        VALUES (p_log, p_reactor, 0) ON CONFLICT DO NOTHING;
        -- The row's lock keeps done_through where it is until this commits.
        PERFORM FROM eventlog.reactor AS r
        WHERE r.log_id = p_log AND r.reactor = p_reactor AND r.done_through >= p_pos FOR UPDATE;
        IF FOUND THEN
            meaning := 'handled';
        ELSE
            INSERT INTO eventlog.handled (log_id, reactor, pos)
            VALUES (p_log, p_reactor, p_pos) ON CONFLICT DO NOTHING;
            meaning := CASE WHEN FOUND THEN 'dropped' ELSE 'handled' END;
        END IF;
    END IF;
    INSERT INTO eventlog.dropped (
        log_id, reactor, letter, pos, reason, dropped_by, login, dropped_at)
    VALUES (
        p_log, p_reactor, p_letter, CASE WHEN genuine THEN p_pos END, p_reason, p_by, session_user,
        (extract(epoch FROM clock_timestamp()) * 1000000)::bigint)
    ON CONFLICT DO NOTHING;
    RETURN meaning;
END $$;

REVOKE ALL ON FUNCTION eventlog.drop_letter FROM PUBLIC;
GRANT EXECUTE ON FUNCTION eventlog.drop_letter
TO motcua_intake, motcua_payment, motcua_notify, motcua_kiosk_sync;
