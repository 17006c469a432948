-- SPDX-License-Identifier: Apache-2.0
-- The log's tables (ADR-0001). log_id is the first column of every key: one log per province.
-- Positions come from log_head under an advisory lock, so they are dense and appear in order.

CREATE TABLE eventlog.log_head (
    log_id integer PRIMARY KEY,
    pos bigint NOT NULL,
    recorded_at bigint NOT NULL -- microseconds since the epoch; never falls
) WITH (fillfactor = 10);

CREATE TABLE eventlog.event (
    log_id integer NOT NULL,
    pos bigint NOT NULL,
    event_id uuid NOT NULL,
    stream text COLLATE "C" NOT NULL,
    version bigint NOT NULL,
    type text COLLATE "C" NOT NULL,
    schema integer NOT NULL,
    subject text COLLATE "C",
    occurred_at bigint NOT NULL,
    recorded_at bigint NOT NULL,
    data bytea NOT NULL, -- canonical JSON, stored as the bytes that were hashed
    meta bytea NOT NULL,
    content_hash bytea NOT NULL,
    leaf_hash bytea NOT NULL,
    PRIMARY KEY (log_id, pos)
) PARTITION BY RANGE (pos);

CREATE INDEX event_stream ON eventlog.event (log_id, stream, version);
CREATE INDEX event_subject ON eventlog.event (log_id, subject, pos) WHERE subject IS NOT NULL;

DO $$
BEGIN
    FOR i IN 0..9 LOOP
        EXECUTE format(
            'CREATE TABLE eventlog.event_%s PARTITION OF eventlog.event FOR VALUES FROM (%s) TO (%s)',
            i, i * 1000000 + 1, (i + 1) * 1000000 + 1);
    END LOOP;
END $$;

-- A partitioned table cannot hold a unique key without the position, so these two do.
CREATE TABLE eventlog.stream_head (
    log_id integer NOT NULL,
    stream text COLLATE "C" NOT NULL,
    version bigint NOT NULL,
    PRIMARY KEY (log_id, stream)
) WITH (fillfactor = 80);

CREATE TABLE eventlog.append_key (
    log_id integer NOT NULL,
    source text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    digest bytea NOT NULL,
    first_pos bigint NOT NULL,
    n integer NOT NULL,
    PRIMARY KEY (log_id, source, key)
);

CREATE TABLE eventlog.reactor (
    log_id integer NOT NULL,
    reactor text COLLATE "C" NOT NULL,
    done_through bigint NOT NULL,
    PRIMARY KEY (log_id, reactor)
);

CREATE TABLE eventlog.handled (
    log_id integer NOT NULL,
    reactor text COLLATE "C" NOT NULL,
    pos bigint NOT NULL,
    PRIMARY KEY (log_id, reactor, pos)
);

CREATE TABLE eventlog.event_pii (
    log_id integer NOT NULL,
    event_id uuid NOT NULL,
    field text COLLATE "C" NOT NULL,
    key_id uuid NOT NULL,
    blob bytea NOT NULL, -- nonce, ciphertext and tag
    commitment bytea NOT NULL,
    PRIMARY KEY (log_id, event_id, field)
);

CREATE TABLE eventlog.category_writer (
    category text COLLATE "C" PRIMARY KEY,
    writer name NOT NULL
);

CREATE TABLE eventlog.relay (
    log_id integer PRIMARY KEY,
    pos bigint NOT NULL
);

CREATE FUNCTION eventlog.refuse_change() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    RAISE EXCEPTION 'the event log is append-only: % refused', TG_OP USING ERRCODE = '42501';
END $$;

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON eventlog.event
FOR EACH STATEMENT EXECUTE FUNCTION eventlog.refuse_change();
