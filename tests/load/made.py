# SPDX-License-Identifier: Apache-2.0
"""A generated log to read from."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import sql

from infra.generating.loading import SCRATCH, generate
from tests.support.database import LOG_ID, Database, fresh_database


@contextmanager
def made_log(events: int) -> Iterator[Database]:
    """Lend a scratch database with a log of ``events`` in whole stories."""
    with fresh_database(os.environ["MOTCUA_TEST_DATABASE_URL"]) as database:
        with psycopg.connect(database.owner_url, autocommit=True) as connection:
            connection.execute(
                sql.SQL("COMMENT ON DATABASE {} IS {}").format(
                    sql.Identifier(database.name), sql.Literal(SCRATCH)
                )
            )
        generate(database.owner_url, LOG_ID, events=events, seed=1)
        yield database
