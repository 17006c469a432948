# SPDX-License-Identifier: Apache-2.0
"""Generated logs in a test's database."""

from collections.abc import Iterator

import psycopg
from psycopg import sql

from infra.generating.crowd import said, world_of
from infra.generating.loading import SCRATCH, Generated, generate
from services.common.eventlog.batch import Prepared
from services.common.eventlog.record import RecordedEvent, leaf_hash
from tests.support.database import LOG_ID, Database


def mark_scratch(database: Database, mark: str = SCRATCH) -> None:
    """Say that the database may be filled."""
    with psycopg.connect(database.owner_url, autocommit=True) as owner:
        named = sql.SQL("COMMENT ON DATABASE {} IS {}")
        owner.execute(named.format(sql.Identifier(database.name), sql.Literal(mark)))


def fill_generated(database: Database, events: int, seed: int = 1) -> Generated:
    """Mark the database and fill its log."""
    mark_scratch(database)
    return generate(database.owner_url, LOG_ID, events=events, seed=seed)


def generated_events(events: int, seed: int = 1) -> Iterator[RecordedEvent]:
    """Yield what the log would hold, without a database."""
    position = 0
    for recorded_us, request in said(world_of(seed, events), events):
        for identifier, stream, version, event, content in Prepared.of(request, LOG_ID).events:
            position += 1
            yield RecordedEvent(
                log_id=LOG_ID, position=position, event_id=identifier, stream=stream,
                version=version, type=event.type, schema=event.schema, subject=event.subject,
                occurred_at_us=event.occurred_at_us, recorded_at_us=recorded_us,
                raw_data=event.data, raw_meta=event.meta, content_hash=content,
                leaf_hash=leaf_hash(content, recorded_us),
            )  # fmt: skip
