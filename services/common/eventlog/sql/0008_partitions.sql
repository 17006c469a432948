-- SPDX-License-Identifier: Apache-2.0
-- The log's partitions are made before they are needed (ADR-0017). The sealer looks after them; an
-- append that comes to the last one's end nevertheless makes the next one itself.

ALTER TABLE eventlog.log_head ADD COLUMN room_to bigint NOT NULL DEFAULT 0;
COMMENT ON COLUMN eventlog.log_head.room_to IS 'partitions are known to reach to this position';

CREATE FUNCTION eventlog.partitions() RETURNS TABLE (name name, first bigint, last bigint)
LANGUAGE sql STABLE SET search_path = pg_catalog AS $$
    SELECT c.relname, bound[1]::bigint, bound[2]::bigint - 1
    FROM pg_inherits AS i
    JOIN pg_class AS c ON c.oid = i.inhrelid,
        regexp_match(
            pg_get_expr(c.relpartbound, c.oid), 'FROM \(''(\d+)''\) TO \(''(\d+)''\)'
        ) AS bound
    WHERE i.inhparent = 'eventlog.event'::regclass
    ORDER BY 2
$$;

CREATE FUNCTION eventlog.make_partition(p_first bigint, p_last bigint) RETURNS text
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
DECLARE
    name constant text := 'event_from_' || p_first;
BEGIN
    -- Attached rather than made in place: that would lock readers out.
    EXECUTE format('CREATE TABLE eventlog.%I (LIKE eventlog.event INCLUDING ALL)', name);
    EXECUTE format(
        'CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON eventlog.%I'
        ' FOR EACH STATEMENT EXECUTE FUNCTION eventlog.refuse_change()', name);
    RETURN name;
END $$;

-- Make what is missing, so that as many empty partitions lie before the head; returns the last
-- position that has one. They are as wide as the last one. Appends wait meanwhile, some ms.
CREATE FUNCTION eventlog.make_partitions(p_log integer, p_ahead integer DEFAULT 2) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
    head bigint;
    until bigint;
    width bigint;
BEGIN
    PERFORM pg_advisory_xact_lock(1297040195, p_log);
    PERFORM pg_advisory_xact_lock(1297040198, 0); -- several logs share the partitions
    SELECT h.pos INTO STRICT head FROM eventlog.log_head AS h WHERE h.log_id = p_log;
    SELECT p.last, p.last - p.first + 1 INTO STRICT until, width
    FROM eventlog.partitions() AS p ORDER BY p.last DESC LIMIT 1;
    WHILE until - head < p_ahead * width LOOP
        EXECUTE format(
            'ALTER TABLE eventlog.event ATTACH PARTITION eventlog.%I FOR VALUES FROM (%s) TO (%s)',
            eventlog.make_partition(until + 1, until + width), until + 1, until + width + 1);
        until := until + width;
    END LOOP;
    UPDATE eventlog.log_head AS h SET room_to = until
    WHERE h.log_id = p_log AND h.room_to <> until;
    RETURN until;
END $$;

REVOKE ALL ON FUNCTION
    eventlog.partitions, eventlog.make_partition, eventlog.make_partitions
FROM PUBLIC;
GRANT EXECUTE ON FUNCTION eventlog.partitions, eventlog.make_partitions TO motcua_sealer;

DO $$
BEGIN
    FOR i IN 0..9 LOOP
        EXECUTE format(
            'CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON eventlog.event_%s'
            ' FOR EACH STATEMENT EXECUTE FUNCTION eventlog.refuse_change()', i);
    END LOOP;
END $$;

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
        WHERE log_id = p_log RETURNING pos - total, recorded_at, room_to INTO STRICT base, now_us, room;
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
