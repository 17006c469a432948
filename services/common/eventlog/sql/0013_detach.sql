-- SPDX-License-Identifier: Apache-2.0
-- Streams that came to their end leave the table once their ranges stand in the archive (ADR-0028).
-- A stream leaves as a whole or not at all, with everything of its dossier that may leave; its head,
-- its keys and its leaf hashes stay. Everything here fails closed: what is not known to be over stays.

ALTER TABLE eventlog.stream_head ADD COLUMN away boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN eventlog.stream_head.away IS 'its events stand in the archive only';

CREATE TABLE eventlog.closing (
    category text COLLATE "C" NOT NULL, -- whose streams come to an end; no others ever leave
    type text COLLATE "C" NOT NULL,
    closes boolean NOT NULL, -- false: the stream is open again
    PRIMARY KEY (category, type)
);
INSERT INTO eventlog.closing (category, type, closes) VALUES
    ('dossier', 'dossier.refused', true),
    ('dossier', 'dossier.withdrawn', true),
    ('dossier', 'dossier.stopped', true),
    ('dossier', 'dossier.returned', true),
    ('dossier', 'dossier.return_reversed', false),
    ('notification', 'notification.requested', false),
    ('notification', 'notification.attempted', false),
    ('notification', 'notification.outcome_unknown', false),
    ('notification', 'notification.accepted', true),
    ('notification', 'notification.delivered', true),
    ('notification', 'notification.failed', true);

-- Leaf hashes of all that ever left: trees and proofs go on without the archive.
CREATE TABLE eventlog.detached (
    log_id integer NOT NULL,
    pos bigint NOT NULL,
    leaf_hash bytea NOT NULL CHECK (octet_length(leaf_hash) = 32),
    PRIMARY KEY (log_id, pos)
);

-- When a stream left or came back; stream_head.away says how it is.
CREATE TABLE eventlog.detached_stream (
    log_id integer NOT NULL,
    stream text COLLATE "C" NOT NULL,
    moved_at bigint NOT NULL, -- microseconds since the epoch
    away boolean NOT NULL,
    subject text COLLATE "C" NOT NULL,
    first bigint NOT NULL, -- position of its first event
    last bigint NOT NULL,
    login text NOT NULL,
    PRIMARY KEY (log_id, stream, moved_at)
);
CREATE INDEX detached_stream_subject ON eventlog.detached_stream (log_id, subject);

-- Which types left which archived range: whoever asks for others may read on in the table.
CREATE TABLE eventlog.detached_type (
    log_id integer NOT NULL,
    last bigint NOT NULL,
    type text COLLATE "C" NOT NULL,
    first bigint NOT NULL,
    PRIMARY KEY (log_id, last, type)
);

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON eventlog.detached
FOR EACH STATEMENT EXECUTE FUNCTION eventlog.refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON eventlog.detached_stream
FOR EACH STATEMENT EXECUTE FUNCTION eventlog.refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON eventlog.detached_type
FOR EACH STATEMENT EXECUTE FUNCTION eventlog.refuse_change();

GRANT SELECT ON
    eventlog.detached, eventlog.detached_stream, eventlog.detached_type, eventlog.archived_range
TO motcua_intake, motcua_payment, motcua_notify, motcua_kiosk_sync, motcua_audit, motcua_eraser,
    motcua_sealer, motcua_feed, motcua_audit_web;
GRANT SELECT ON eventlog.closing TO motcua_sealer, motcua_audit;
GRANT SELECT ON eventlog.stream_head, eventlog.event_pii TO motcua_sealer;

-- A row is deleted by the function below only, and only when it was written down before.
CREATE FUNCTION eventlog.refuse_unrecorded() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    IF EXISTS (
        SELECT FROM gone AS g WHERE NOT EXISTS (
            SELECT FROM eventlog.detached AS d
            WHERE d.log_id = g.log_id AND d.pos = g.pos AND d.leaf_hash = g.leaf_hash)
        OR NOT EXISTS (
            SELECT FROM eventlog.archived_range AS r
            WHERE r.log_id = g.log_id AND g.pos BETWEEN r.first AND r.last)
    ) THEN
        RAISE EXCEPTION 'the event log is append-only: DELETE refused' USING ERRCODE = '42501';
    END IF;
    RETURN NULL;
END $$;

DROP TRIGGER append_only ON eventlog.event;
CREATE TRIGGER append_only BEFORE UPDATE OR TRUNCATE ON eventlog.event
FOR EACH STATEMENT EXECUTE FUNCTION eventlog.refuse_change();
CREATE TRIGGER append_only_but_detached BEFORE DELETE ON eventlog.event
FOR EACH STATEMENT WHEN (current_setting('eventlog.detaching', true) IS DISTINCT FROM 'on')
EXECUTE FUNCTION eventlog.refuse_change();
CREATE TRIGGER only_recorded AFTER DELETE ON eventlog.event
REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION eventlog.refuse_unrecorded();

-- Of the dossiers asked for, take out those that are over; returns them. One transaction, under the
-- log's lock, so nobody appends between the question and the deed.
CREATE FUNCTION eventlog.detach(p_log integer, p_subjects text[], p_before bigint)
RETURNS TABLE (subject text, streams bigint, events bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
#variable_conflict use_column
DECLARE
    now_us constant bigint := (extract(epoch FROM clock_timestamp()) * 1000000)::bigint;
    leaving text[];
    expected bigint;
    reach bigint;
    behind text;
    gone bigint;
BEGIN
    PERFORM pg_advisory_xact_lock(1297040195, p_log);
    IF EXISTS (
        SELECT FROM eventlog.log_head AS h WHERE h.log_id = p_log AND h.closed IS NOT NULL
    ) THEN
        RAISE EXCEPTION 'the log is closed' USING ERRCODE = 'MC006';
    END IF;
    WITH story AS MATERIALIZED (
        SELECT e.subject, e.stream, e.recorded_at, e.event_id
        FROM eventlog.event AS e WHERE e.log_id = p_log AND e.subject = ANY (p_subjects)
    ), touched AS (
        SELECT DISTINCT s.subject, s.stream FROM story AS s
        WHERE split_part(s.stream, '-', 1) IN (SELECT c.category FROM eventlog.closing AS c)
    ), fact AS (
        SELECT t.subject, t.stream, h.version, h.away, count(*) AS n,
            bool_and(e.subject IS NOT DISTINCT FROM t.subject) AS of_one,
            bool_and(r.first IS NOT NULL) AS archived,
            (array_agg(c.closes ORDER BY e.version DESC) FILTER (WHERE c.closes IS NOT NULL))[1]
                AS closed
        FROM touched AS t
        JOIN eventlog.event AS e ON e.log_id = p_log AND e.stream = t.stream
        LEFT JOIN eventlog.stream_head AS h ON h.log_id = p_log AND h.stream = t.stream
        LEFT JOIN eventlog.archived_range AS r
            ON r.log_id = p_log AND e.pos BETWEEN r.first AND r.last
        LEFT JOIN eventlog.closing AS c
            ON c.category = split_part(e.stream, '-', 1) AND c.type = e.type
        GROUP BY t.subject, t.stream, h.version, h.away
    ), over AS (
        SELECT f.subject FROM fact AS f GROUP BY f.subject
        HAVING bool_and(coalesce(
                f.of_one AND f.archived AND f.closed AND f.version = f.n AND NOT f.away, false))
            AND bool_or(f.stream = 'dossier-' || f.subject)
    )
    SELECT array_agg(f.stream), sum(f.n) INTO leaving, expected
    FROM fact AS f JOIN over AS o ON o.subject = f.subject
    WHERE NOT EXISTS (
        SELECT FROM story AS s WHERE s.subject = f.subject AND (
            s.recorded_at >= p_before OR EXISTS (
                SELECT FROM eventlog.event_pii AS p
                WHERE p.log_id = p_log AND p.event_id = s.event_id)));
    IF leaving IS NULL THEN
        RETURN;
    END IF;
    SELECT max(e.pos) INTO reach FROM eventlog.event AS e
    WHERE e.log_id = p_log AND e.stream = ANY (leaving);
    SELECT coalesce(
        (SELECT r.reactor FROM eventlog.reactor AS r
            WHERE r.log_id = p_log AND r.done_through < reach ORDER BY r.reactor LIMIT 1),
        (SELECT 'relay' WHERE reach > coalesce(
            (SELECT y.pos FROM eventlog.relay AS y WHERE y.log_id = p_log), 0))
    ) INTO behind;
    IF behind IS NOT NULL THEN
        RAISE EXCEPTION '% has not come to position % yet', behind, reach USING ERRCODE = 'MC008';
    END IF;
    INSERT INTO eventlog.detached (log_id, pos, leaf_hash)
    SELECT e.log_id, e.pos, e.leaf_hash FROM eventlog.event AS e
    WHERE e.log_id = p_log AND e.stream = ANY (leaving) ON CONFLICT DO NOTHING;
    INSERT INTO eventlog.detached_type (log_id, last, type, first)
    SELECT DISTINCT e.log_id, r.last, e.type, r.first
    FROM eventlog.event AS e
    JOIN eventlog.archived_range AS r ON r.log_id = p_log AND e.pos BETWEEN r.first AND r.last
    WHERE e.log_id = p_log AND e.stream = ANY (leaving) ON CONFLICT DO NOTHING;
    INSERT INTO eventlog.detached_stream (
        log_id, stream, moved_at, away, subject, first, last, login)
    SELECT e.log_id, e.stream, now_us, true, e.subject, min(e.pos), max(e.pos), session_user
    FROM eventlog.event AS e WHERE e.log_id = p_log AND e.stream = ANY (leaving)
    GROUP BY e.log_id, e.stream, e.subject;
    UPDATE eventlog.stream_head AS h SET away = true
    WHERE h.log_id = p_log AND h.stream = ANY (leaving);
    PERFORM set_config('eventlog.detaching', 'on', true);
    DELETE FROM eventlog.event AS e WHERE e.log_id = p_log AND e.stream = ANY (leaving);
    GET DIAGNOSTICS gone = ROW_COUNT;
    PERFORM set_config('eventlog.detaching', '', true);
    IF gone <> expected THEN
        RAISE EXCEPTION '% events left instead of %', gone, expected USING ERRCODE = 'MC009';
    END IF;
    RETURN QUERY
    SELECT d.subject, count(*), sum(h.version)::bigint
    FROM eventlog.detached_stream AS d
    JOIN eventlog.stream_head AS h ON h.log_id = p_log AND h.stream = d.stream
    WHERE d.log_id = p_log AND d.moved_at = now_us AND d.stream = ANY (leaving)
    GROUP BY d.subject;
END $$;

-- Put a dossier's events back, all of them; their leaves are those that left.
CREATE FUNCTION eventlog.attach(
    p_log integer, p_subject text,
    ev_pos bigint[], ev_id uuid[], ev_stream text[], ev_version bigint[], ev_type text[],
    ev_schema integer[], ev_occurred bigint[], ev_recorded bigint[], ev_data bytea[],
    ev_meta bytea[], ev_content bytea[]
) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
    now_us constant bigint := (extract(epoch FROM clock_timestamp()) * 1000000)::bigint;
    back text[];
    wanted bigint;
    came bigint;
BEGIN
    PERFORM pg_advisory_xact_lock(1297040195, p_log);
    SELECT array_agg(h.stream), sum(h.version) INTO back, wanted
    FROM eventlog.stream_head AS h
    WHERE h.log_id = p_log AND h.away AND h.stream IN (
        SELECT d.stream FROM eventlog.detached_stream AS d
        WHERE d.log_id = p_log AND d.subject = p_subject);
    IF back IS NULL THEN
        RETURN 0;
    END IF;
    INSERT INTO eventlog.event (
        log_id, pos, event_id, stream, version, type, schema, subject, occurred_at, recorded_at,
        data, meta, content_hash, leaf_hash)
    SELECT p_log, e.pos, e.id, e.stream, e.version, e.type, e.schema, p_subject, e.occurred,
        e.recorded, e.data, e.meta, e.content, d.leaf_hash
    FROM unnest(ev_pos, ev_id, ev_stream, ev_version, ev_type, ev_schema, ev_occurred, ev_recorded,
            ev_data, ev_meta, ev_content)
        AS e(pos, id, stream, version, type, schema, occurred, recorded, data, meta, content)
    JOIN eventlog.detached AS d ON d.log_id = p_log AND d.pos = e.pos
        AND d.leaf_hash = sha256('\x00'::bytea || e.content || int8send(e.recorded))
    WHERE e.stream = ANY (back);
    GET DIAGNOSTICS came = ROW_COUNT;
    IF came <> wanted OR came <> cardinality(ev_pos) THEN
        RAISE EXCEPTION '% of % events are those that left', came, wanted USING ERRCODE = 'MC009';
    END IF;
    INSERT INTO eventlog.detached_stream (
        log_id, stream, moved_at, away, subject, first, last, login)
    SELECT e.log_id, e.stream, now_us, false, e.subject, min(e.pos), max(e.pos), session_user
    FROM eventlog.event AS e WHERE e.log_id = p_log AND e.stream = ANY (back)
    GROUP BY e.log_id, e.stream, e.subject;
    UPDATE eventlog.stream_head AS h SET away = false
    WHERE h.log_id = p_log AND h.stream = ANY (back);
    RETURN came;
END $$;

REVOKE ALL ON FUNCTION eventlog.detach, eventlog.attach, eventlog.refuse_unrecorded FROM PUBLIC;
GRANT EXECUTE ON FUNCTION eventlog.detach, eventlog.attach TO motcua_sealer;

-- As before, but for streams that are away.
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
    IF rightful <> total OR 1 > ANY (st_n) OR 0 > ANY (rq_n)
        OR total <> (SELECT coalesce(sum(n), 0) FROM unnest(st_n) AS n)
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
                AND s.expected > 0 AND h.version = s.expected AND NOT h.away;
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

CREATE OR REPLACE FUNCTION eventlog.settle(
    p_log integer, rq_source text[], rq_key text[], rq_digest bytea[],
    st_request integer[], st_stream text[], st_expected bigint[]
) RETURNS TABLE (
    request integer, outcome text, first_pos bigint, n integer,
    stream text, expected bigint, actual bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
#variable_conflict use_column
BEGIN
    PERFORM pg_advisory_xact_lock(1297040195, p_log);
    RETURN QUERY
    WITH r AS (
        SELECT u.place::integer AS request, k.first_pos, k.n, k.digest = u.digest AS same
        FROM unnest(rq_source, rq_key, rq_digest) WITH ORDINALITY
            AS u(source, key, digest, place)
        LEFT JOIN eventlog.append_key AS k
            ON k.log_id = p_log AND k.source = u.source AND k.key = u.key
    ), s AS (
        SELECT DISTINCT ON (u.request) u.request, u.stream, u.expected,
            coalesce(h.version, 0) AS actual, w.category IS NULL AS alien,
            coalesce(h.away, false) AS away
        FROM unnest(st_request, st_stream, st_expected) AS u(request, stream, expected)
        LEFT JOIN eventlog.stream_head AS h ON h.log_id = p_log AND h.stream = u.stream
        LEFT JOIN eventlog.category_writer AS w
            ON w.category = split_part(u.stream, '-', 1) AND w.writer = session_user
        WHERE w.category IS NULL OR coalesce(h.version, 0) <> u.expected OR h.away
        ORDER BY u.request, w.category IS NULL DESC, h.away DESC NULLS LAST
    )
    SELECT r.request,
        CASE WHEN r.same THEN 'duplicate' WHEN NOT r.same THEN 'reused'
            WHEN s.alien THEN 'foreign' WHEN s.away THEN 'archived'
            WHEN s.request IS NOT NULL THEN 'conflict'
            ELSE 'ok' END,
        r.first_pos, r.n, s.stream, s.expected, s.actual
    FROM r LEFT JOIN s ON s.request = r.request ORDER BY r.request;
END $$;
