-- SPDX-License-Identifier: Apache-2.0
-- A log that may have lost its end is closed: nothing is appended until somebody has decided
-- (ADR-0022). A new epoch begins where the log stands; its signed note says what was lost and why.

ALTER TABLE eventlog.log_head ADD COLUMN closed text;
COMMENT ON COLUMN eventlog.log_head.closed IS 'why nothing may be appended; null while all is well';

CREATE TABLE eventlog.epoch (
    log_id integer NOT NULL,
    epoch integer NOT NULL CHECK (epoch > 1),
    base bigint NOT NULL, -- it begins behind this position
    note text NOT NULL, -- signed checkpoint of the new epoch at its base, with the decision in it
    opened_at bigint NOT NULL, -- microseconds since the epoch
    PRIMARY KEY (log_id, epoch)
);

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON eventlog.epoch
FOR EACH STATEMENT EXECUTE FUNCTION eventlog.refuse_change();

CREATE FUNCTION eventlog.close_log(p_log integer, p_reason text) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(1297040195, p_log);
    UPDATE eventlog.log_head AS h SET closed = p_reason
    WHERE h.log_id = p_log AND h.closed IS NULL;
    RETURN FOUND;
END $$;

-- Let a closed log go on: in the epoch that it is in, or in a new one that begins at its head.
CREATE FUNCTION eventlog.open_log(
    p_log integer, p_epoch integer, p_base bigint, p_note text, p_at bigint
) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
    last integer;
BEGIN
    PERFORM pg_advisory_xact_lock(1297040195, p_log);
    UPDATE eventlog.log_head AS h SET closed = NULL
    WHERE h.log_id = p_log AND h.closed IS NOT NULL AND h.pos = p_base;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    IF p_epoch IS NOT NULL THEN
        SELECT coalesce(max(e.epoch), 1) INTO last FROM eventlog.epoch AS e WHERE e.log_id = p_log;
        IF p_epoch <= last THEN
            RAISE EXCEPTION 'the log is in epoch % already', last USING ERRCODE = 'MC007';
        END IF;
        INSERT INTO eventlog.epoch (log_id, epoch, base, note, opened_at)
        VALUES (p_log, p_epoch, p_base, p_note, p_at);
        -- What was not sealed in the old epoch is under this note.
        INSERT INTO eventlog.checkpoint (log_id, size, note, sealed_at)
        SELECT p_log, p_base, p_note, p_at WHERE p_base > 0 ON CONFLICT DO NOTHING;
    END IF;
    RETURN true;
END $$;

REVOKE ALL ON FUNCTION eventlog.close_log, eventlog.open_log FROM PUBLIC;
GRANT EXECUTE ON FUNCTION eventlog.close_log, eventlog.open_log TO motcua_sealer;
GRANT SELECT ON eventlog.epoch TO
    motcua_intake, motcua_payment, motcua_notify, motcua_kiosk_sync, motcua_audit, motcua_sealer,
    motcua_feed, motcua_audit_web;

CREATE OR REPLACE FUNCTION eventlog.append(
    p_log integer,
    rq_source text[], rq_key text[], rq_digest bytea[], rq_first integer[], rq_n integer[],
    st_stream text[], st_expected bigint[], st_n integer[],
    ev_id uuid[], ev_stream text[], ev_version bigint[], ev_type text[], ev_schema integer[],
    ev_subject text[], ev_occurred bigint[], ev_data bytea[], ev_meta bytea[], ev_content bytea[],
    hd_reactor text[], hd_pos bigint[],
    pi_event uuid[], pi_field text[], pi_key uuid[], pi_blob bytea[], pi_commitment bytea[]
) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
    total constant integer := cardinality(ev_id);
    base bigint := 0;
    now_us bigint;
    fresh integer;
    grown integer;
    rightful integer;
    room bigint;
    why text;
BEGIN
    PERFORM eventlog.require_writer(st_stream, hd_reactor);
    -- Every event belongs to a stream that was asked for, at its next versions: otherwise a login
    -- could smuggle events into streams that it may not write.
    SELECT count(DISTINCT (e.stream, e.version)) INTO rightful
    FROM unnest(ev_stream, ev_version) AS e(stream, version)
    JOIN unnest(st_stream, st_expected, st_n) AS s(stream, expected, n)
        ON e.stream = s.stream AND e.version > s.expected AND e.version <= s.expected + s.n;
    IF rightful <> total OR total <> (SELECT coalesce(sum(n), 0) FROM unnest(st_n) AS n)
        OR total <> (SELECT coalesce(sum(n), 0) FROM unnest(rq_n) AS n) THEN
        RAISE EXCEPTION 'events and streams do not belong together' USING ERRCODE = 'MC005';
    END IF;
    PERFORM pg_advisory_xact_lock(1297040195, p_log);
    IF total > 0 THEN
        UPDATE eventlog.log_head SET pos = pos + total,
            recorded_at = greatest(
                recorded_at, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint)
        WHERE log_id = p_log
        RETURNING pos - total, recorded_at, room_to, closed INTO STRICT base, now_us, room, why;
        IF why IS NOT NULL THEN
            RAISE EXCEPTION 'the log is closed: %', why USING ERRCODE = 'MC006';
        END IF;
        IF base + total > room THEN
            PERFORM eventlog.make_partitions(p_log);
        END IF;

        INSERT INTO eventlog.stream_head (log_id, stream, version)
        SELECT p_log, s.stream, s.n
        FROM unnest(st_stream, st_expected, st_n) AS s(stream, expected, n)
        WHERE s.expected = 0;
        GET DIAGNOSTICS fresh = ROW_COUNT;
        IF fresh < cardinality(st_stream) THEN
            UPDATE eventlog.stream_head AS h SET version = h.version + s.n
            FROM unnest(st_stream, st_expected, st_n) AS s(stream, expected, n)
            WHERE h.log_id = p_log AND h.stream = s.stream
                AND s.expected > 0 AND h.version = s.expected;
            GET DIAGNOSTICS grown = ROW_COUNT;
            IF fresh + grown < cardinality(st_stream) THEN
                RAISE EXCEPTION 'a stream has moved on' USING ERRCODE = 'MC001';
            END IF;
        END IF;

        INSERT INTO eventlog.append_key (log_id, source, key, digest, first_pos, n)
        SELECT p_log, r.source, r.key, r.digest, base + r.first, r.n
        FROM unnest(rq_source, rq_key, rq_digest, rq_first, rq_n)
            AS r(source, key, digest, first, n)
        WHERE r.n > 0;

        INSERT INTO eventlog.event (
            log_id, pos, event_id, stream, version, type, schema, subject, occurred_at,
            recorded_at, data, meta, content_hash, leaf_hash)
        SELECT p_log, base + e.place, e.id, e.stream, e.version, e.type, e.schema, e.subject,
            e.occurred, now_us, e.data, e.meta, e.content,
            sha256('\x00'::bytea || e.content || int8send(now_us))
        FROM unnest(ev_id, ev_stream, ev_version, ev_type, ev_schema, ev_subject, ev_occurred,
            ev_data, ev_meta, ev_content) WITH ORDINALITY
            AS e(id, stream, version, type, schema, subject, occurred, data, meta, content, place);

        IF cardinality(pi_event) > 0 THEN
            INSERT INTO eventlog.event_pii (log_id, event_id, field, key_id, blob, commitment)
            SELECT p_log, p.event, p.field, p.key, p.blob, p.commitment
            FROM unnest(pi_event, pi_field, pi_key, pi_blob, pi_commitment)
                AS p(event, field, key, blob, commitment);
        END IF;
    END IF;
    IF total = 0 THEN
        SELECT h.closed INTO why FROM eventlog.log_head AS h WHERE h.log_id = p_log;
        IF why IS NOT NULL THEN
            RAISE EXCEPTION 'the log is closed: %', why USING ERRCODE = 'MC006';
        END IF;
    END IF;
    IF cardinality(hd_reactor) > 0 THEN
        -- The inbox, not the log: marking twice that something was handled is harmless.
        INSERT INTO eventlog.handled (log_id, reactor, pos)
        SELECT p_log, h.reactor, h.pos FROM unnest(hd_reactor, hd_pos) AS h(reactor, pos)
        ON CONFLICT DO NOTHING;
    END IF;
    IF total > 0 THEN
        PERFORM pg_notify('eventlog', p_log::text);
    END IF;
    RETURN base;
END $$;
