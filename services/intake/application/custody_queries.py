# SPDX-License-Identifier: Apache-2.0
"""What officials ask about custody: what lies where, and which cases wait for them.

From the read model ``intake.custody``; an office sees its own. Raises Unavailable while the
database is down.
"""

from typing import Final

import psycopg
from psycopg.rows import dict_row
from psycopg_pool import ConnectionPool, PoolTimeout

from services.common.canonical import Json
from services.common.errors import Unavailable

PAGE_MAX: Final = 200
_CASES: Final = """
    SELECT "case", item, kind, because, machine, place, pouch, dossier::text AS dossier, owner,
      opened_at, due_at, closed_at, official, found, found_at
    FROM intake.custody_case
    WHERE office = %(office)s AND (closed_at IS NOT NULL) = %(closed)s
      AND (%(overdue_at)s::bigint IS NULL OR due_at < %(overdue_at)s)
    ORDER BY due_at, "case" COLLATE "C" LIMIT %(limit)s
"""
_ITEMS: Final = """
    SELECT key, kind, nullif(dossier, '') AS dossier, nullif(barcode, '') AS pouch,
      nullif(machine, '') AS machine, place, since_us AS since, nullif("case", '') AS "case"
    FROM intake.item
    WHERE office = %(office)s AND (%(place)s = '' OR place = %(place)s)
      AND (%(place)s <> '' OR place NOT IN ('citizen', 'post'))
    ORDER BY since_us, key COLLATE "C" LIMIT %(limit)s
"""


def cases(
    pool: ConnectionPool, *, office: str, closed: bool, overdue_at: int | None, limit: int
) -> list[dict[str, Json]]:
    """Return the office's cases, the most urgent first.

    Args:
        pool: connections to the read models.
        office: whose.
        closed: closed ones instead of open ones.
        overdue_at: only those due before it, microseconds since 1970; None for all.
        limit: at most this many, 200 at most.
    """
    return _rows(
        pool, _CASES,
        {"office": office, "closed": closed, "overdue_at": overdue_at, "limit": limit},
    )  # fmt: skip


def items(pool: ConnectionPool, *, office: str, place: str, limit: int) -> list[dict[str, Json]]:
    """Return what lies in ``place``, longest there first.

    An empty place asks for everything that is still in somebody's care: nothing that a citizen
    or the post has.
    """
    return _rows(pool, _ITEMS, {"office": office, "place": place, "limit": limit})


def _rows(pool: ConnectionPool, query: str, values: dict[str, object]) -> list[dict[str, Json]]:
    values["limit"] = min(int(str(values["limit"])), PAGE_MAX)
    try:
        with pool.connection() as connection, connection.cursor(row_factory=dict_row) as cursor:
            return cursor.execute(query.encode(), values).fetchall()
    except (psycopg.Error, PoolTimeout) as error:
        raise Unavailable("postgresql", type(error).__name__) from error
