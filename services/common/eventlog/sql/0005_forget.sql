-- SPDX-License-Identifier: Apache-2.0
-- Ciphertexts leave the database only as an event of the log says: a subject.erased names the keys
-- that were destroyed, and only what those keys could have opened is deleted (ADR-0013).

UPDATE eventlog.category_writer SET writer = 'motcua_eraser' WHERE category = 'subject';

CREATE INDEX event_pii_key ON eventlog.event_pii (log_id, key_id);

CREATE FUNCTION eventlog.forget(p_log integer, p_pos bigint) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
    gone integer;
BEGIN
    DELETE FROM eventlog.event_pii AS p
    USING eventlog.event AS e,
        jsonb_array_elements_text(convert_from(e.data, 'UTF8')::jsonb -> 'keys') AS k(key_id)
    WHERE e.log_id = p_log AND e.pos = p_pos AND e.type = 'subject.erased'
        AND p.log_id = p_log AND p.key_id = k.key_id::uuid;
    GET DIAGNOSTICS gone = ROW_COUNT;
    RETURN gone;
END $$;

REVOKE ALL ON FUNCTION eventlog.forget FROM PUBLIC;
GRANT EXECUTE ON FUNCTION eventlog.forget TO motcua_eraser;
GRANT USAGE ON SCHEMA eventlog TO motcua_eraser;
GRANT SELECT ON
    eventlog.event, eventlog.log_head, eventlog.stream_head, eventlog.append_key,
    eventlog.migration
TO motcua_eraser;
GRANT EXECUTE ON FUNCTION eventlog.append, eventlog.settle TO motcua_eraser;
