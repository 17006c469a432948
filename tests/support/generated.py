# SPDX-License-Identifier: Apache-2.0
"""Generated logs in a test's database."""

import psycopg
from psycopg import sql

from infra.generating.loading import SCRATCH, Generated, generate
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
