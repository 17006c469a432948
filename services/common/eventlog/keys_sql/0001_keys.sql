-- SPDX-License-Identifier: Apache-2.0
-- Wrapped data keys, in a database of their own so that backups of the log never hold them.

CREATE TABLE keys.subject_key (
    key_id uuid PRIMARY KEY,
    purpose text COLLATE "C" NOT NULL,
    wrapped bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE TABLE keys.purpose_reader (
    purpose text COLLATE "C" NOT NULL,
    reader name NOT NULL,
    PRIMARY KEY (purpose, reader)
);

INSERT INTO keys.purpose_reader (purpose, reader)
VALUES ('contact', 'motcua_notify'), ('contact', 'motcua_kiosk_sync');

CREATE FUNCTION keys.put(p_key uuid, p_purpose text, p_wrapped bytea) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    INSERT INTO keys.subject_key (key_id, purpose, wrapped)
    VALUES (p_key, p_purpose, p_wrapped) ON CONFLICT (key_id) DO NOTHING;
    -- AES-KW is deterministic, so the same key stored again is the same row.
    RETURN EXISTS (
        SELECT FROM keys.subject_key AS k
        WHERE k.key_id = p_key AND k.purpose = p_purpose AND k.wrapped = p_wrapped);
END $$;

CREATE FUNCTION keys.get(p_key uuid) RETURNS TABLE (purpose text, wrapped bytea, granted boolean)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT k.purpose, CASE WHEN r.reader IS NOT NULL THEN k.wrapped END, r.reader IS NOT NULL
    FROM keys.subject_key AS k
    LEFT JOIN keys.purpose_reader AS r
        ON r.purpose = k.purpose AND r.reader = session_user
    WHERE k.key_id = p_key;
END $$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA keys FROM PUBLIC;
GRANT USAGE ON SCHEMA keys
TO motcua_intake, motcua_payment, motcua_notify, motcua_kiosk_sync, motcua_audit;
GRANT EXECUTE ON FUNCTION keys.put, keys.get
TO motcua_intake, motcua_payment, motcua_notify, motcua_kiosk_sync, motcua_audit;
