-- SPDX-License-Identifier: Apache-2.0
-- done_through moves up to just below the first event of its types without a handled row.

CREATE FUNCTION eventlog.advance_done_through(
    p_log integer, p_reactor text, p_types text[], p_before bigint
) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
    done bigint;
    goal bigint;
BEGIN
    PERFORM eventlog.require_writer('{}', ARRAY[p_reactor]);
    INSERT INTO eventlog.reactor (log_id, reactor, done_through)
    VALUES (p_log, p_reactor, 0) ON CONFLICT DO NOTHING;
    SELECT r.done_through INTO STRICT done FROM eventlog.reactor AS r
    WHERE r.log_id = p_log AND r.reactor = p_reactor FOR UPDATE;

    SELECT e.pos - 1 INTO goal FROM eventlog.event AS e
    WHERE e.log_id = p_log AND e.pos > done
        AND (e.recorded_at >= p_before OR (e.type = ANY (p_types) AND NOT EXISTS (
            SELECT FROM eventlog.handled AS h
            WHERE h.log_id = p_log AND h.reactor = p_reactor AND h.pos = e.pos)))
    ORDER BY e.pos LIMIT 1;
    IF goal IS NULL THEN
        SELECT max(e.pos) INTO goal FROM eventlog.event AS e WHERE e.log_id = p_log;
    END IF;
    IF goal > done THEN
        UPDATE eventlog.reactor AS r SET done_through = goal
        WHERE r.log_id = p_log AND r.reactor = p_reactor;
        DELETE FROM eventlog.handled AS h
        WHERE h.log_id = p_log AND h.reactor = p_reactor AND h.pos <= goal;
        RETURN goal;
    END IF;
    RETURN done;
END $$;
