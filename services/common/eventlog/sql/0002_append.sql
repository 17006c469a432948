-- SPDX-License-Identifier: Apache-2.0
-- The only ways into the log. They decide by session_user: inside a SECURITY DEFINER function
-- current_user is the owner of the function, not the service that called it.

CREATE FUNCTION eventlog.require_writer(streams text[], reactors text[]) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog AS $$
BEGIN
    IF EXISTS (
        SELECT FROM unnest(streams) AS s(stream)
        WHERE NOT EXISTS (
            SELECT FROM eventlog.category_writer AS w
            WHERE w.category = split_part(s.stream, '-', 1) AND w.writer = session_user)
    ) THEN
        RAISE EXCEPTION 'foreign category' USING ERRCODE = 'MC003';
    END IF;
    IF EXISTS (
        SELECT FROM unnest(reactors) AS r(reactor)
        WHERE 'motcua_' || split_part(r.reactor, '.', 1) <> session_user
    ) THEN
        RAISE EXCEPTION 'foreign reactor' USING ERRCODE = 'MC004';
    END IF;
END $$;

-- One batch, all or nothing: any mismatch raises, and the caller settles request by request.
-- The lock makes positions dense and visible in order; it is released by the commit.
CREATE FUNCTION eventlog.append(
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
        WHERE log_id = p_log RETURNING pos - total, recorded_at INTO STRICT base, now_us;

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

-- Take the log's lock and say of each request whether it may be appended. The caller appends the
-- good ones in the same transaction, so the answers stay true.
CREATE FUNCTION eventlog.settle(
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
            coalesce(h.version, 0) AS actual, w.category IS NULL AS alien
        FROM unnest(st_request, st_stream, st_expected) AS u(request, stream, expected)
        LEFT JOIN eventlog.stream_head AS h ON h.log_id = p_log AND h.stream = u.stream
        LEFT JOIN eventlog.category_writer AS w
            ON w.category = split_part(u.stream, '-', 1) AND w.writer = session_user
        WHERE w.category IS NULL OR coalesce(h.version, 0) <> u.expected
        ORDER BY u.request, w.category IS NULL DESC
    )
    SELECT r.request,
        CASE WHEN r.same THEN 'duplicate' WHEN NOT r.same THEN 'reused'
            WHEN s.alien THEN 'foreign' WHEN s.request IS NOT NULL THEN 'conflict'
            ELSE 'ok' END,
        r.first_pos, r.n, s.stream, s.expected, s.actual
    FROM r LEFT JOIN s ON s.request = r.request ORDER BY r.request;
END $$;
