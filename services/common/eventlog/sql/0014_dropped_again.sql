-- SPDX-License-Identifier: Apache-2.0
-- A letter that was given back, died again and was given up again is recorded again, and the inbox's
-- mark stands still from the look at it to the commit, whatever it is.

ALTER TABLE eventlog.dropped DROP CONSTRAINT dropped_pkey;
ALTER TABLE eventlog.dropped ADD PRIMARY KEY (log_id, reactor, letter, dropped_at);

CREATE OR REPLACE FUNCTION eventlog.drop_letter(
    p_log integer, p_reactor text, p_letter text, p_pos bigint, p_event uuid,
    p_reason text, p_by text
) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
    genuine boolean;
    through bigint;
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
        SELECT r.done_through INTO STRICT through FROM eventlog.reactor AS r
        WHERE r.log_id = p_log AND r.reactor = p_reactor FOR UPDATE;
        IF through >= p_pos THEN
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
        (extract(epoch FROM clock_timestamp()) * 1000000)::bigint);
    RETURN meaning;
END $$;
