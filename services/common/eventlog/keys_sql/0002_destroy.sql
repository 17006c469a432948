-- SPDX-License-Identifier: Apache-2.0
-- A destroyed key stays destroyed: its id is kept, so a machine that sends it once more (the
-- acknowledgement was lost) is told that all is well and nothing comes back (ADR-0013).

CREATE TABLE keys.destroyed (
    key_id uuid PRIMARY KEY,
    destroyed_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE OR REPLACE FUNCTION keys.put(p_key uuid, p_purpose text, p_wrapped bytea) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    -- Against a destruction that runs at the same time.
    PERFORM pg_advisory_xact_lock(1297040197, hashtext(p_key::text));
    IF EXISTS (SELECT FROM keys.destroyed AS d WHERE d.key_id = p_key) THEN
        RETURN true;
    END IF;
    INSERT INTO keys.subject_key (key_id, purpose, wrapped)
    VALUES (p_key, p_purpose, p_wrapped) ON CONFLICT (key_id) DO NOTHING;
    -- AES-KW is deterministic, so the same key stored again is the same row.
    RETURN EXISTS (
        SELECT FROM keys.subject_key AS k
        WHERE k.key_id = p_key AND k.purpose = p_purpose AND k.wrapped = p_wrapped);
END $$;

CREATE FUNCTION keys.destroy(p_keys uuid[]) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
    gone integer;
BEGIN
    PERFORM pg_advisory_xact_lock(1297040197, hashtext(k::text))
    FROM (SELECT unnest(p_keys) AS k ORDER BY 1) AS sorted;
    INSERT INTO keys.destroyed (key_id) SELECT unnest(p_keys) ON CONFLICT DO NOTHING;
    DELETE FROM keys.subject_key WHERE key_id = ANY (p_keys);
    GET DIAGNOSTICS gone = ROW_COUNT;
    RETURN gone;
END $$;

INSERT INTO keys.purpose_reader (purpose, reader) VALUES ('contact', 'motcua_audit');

REVOKE ALL ON FUNCTION keys.destroy FROM PUBLIC;
GRANT USAGE ON SCHEMA keys TO motcua_eraser;
GRANT SELECT ON keys.migration TO motcua_eraser;
GRANT EXECUTE ON FUNCTION keys.destroy TO motcua_eraser;
