# SPDX-License-Identifier: Apache-2.0
"""A closed log goes on: as it was, when nothing is lost; in a new epoch, when somebody decides so.

Whoever calls holds the sealer's login and key. The sealer itself closes a log, and seals none while
it is closed, so it has given the lead away; it is taken here until the decision is recorded.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import psycopg

from services.common.audit.outside import Lost
from services.common.audit.sealing import SqlTree, checked_leaf
from services.common.audit.seals import (
    LOCK_CLASS,
    Seals,
    TamperedError,
    in_force,
    newest_checkpoint,
    origin_of,
)
from services.common.errors import Malformed, Problem, Refused
from services.common.integrity import tiles
from services.common.integrity.checker import Epoch, opening
from services.common.integrity.merkle import Frontier, frontier_of
from services.common.integrity.notes import (
    DECIDED_BY,
    EPOCH_AFTER,
    LOST_THROUGH,
    NEXT_KEY,
    REASON,
    Checkpoint,
    sign_checkpoint,
)

LEAD_TRIES: Final = 60
LEAD_EVERY_S: Final = 0.5
WORDS_MAX: Final = 200
_PAGE: Final = 1_000
_EVENTS: Final = (
    "SELECT pos, event_id, stream, version, type, schema, subject, occurred_at, recorded_at, data,"
    " meta, content_hash, leaf_hash FROM eventlog.event"
    " WHERE log_id = %s AND pos > %s AND pos <= %s ORDER BY pos LIMIT %s"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Who decides, and why; both stand in a signed note for ever, so nothing personal."""

    by: str
    reason: str


def close_log(connection: psycopg.Connection[Any], log_id: int, reason: str) -> bool:
    """Close the log: no append and no seal from here on; False where it is closed already.

    Raises:
        psycopg.Error: the database is down, or the login may not.
    """
    row = connection.execute("SELECT eventlog.close_log(%s, %s)", (log_id, reason)).fetchone()
    return row is not None and bool(row[0])


def resume(connection: psycopg.Connection[Any], log_id: int, missing: Sequence[Lost]) -> None:
    """Let a closed log go on in its epoch.

    Raises:
        Refused: ``events_lost``: a new epoch has to be opened · ``log_open``.
        psycopg.Error: the database is down.
    """
    if missing:
        raise Refused(
            "events_lost", f"{missing[0]}; only a new epoch can go on",
            "nhật ký đã mất sự kiện, phải mở kỷ nguyên mới",
        ) from None  # fmt: skip
    _opened(connection, log_id, None, _head(connection, log_id), "", now_us=0)


def open_epoch(
    connection: psycopg.Connection[Any], seals: Seals, decision: Decision,
    missing: Sequence[Lost], *, now_us: int, pause: Callable[[float], None],
) -> Epoch:  # fmt: skip
    """Begin a new epoch at the log's head, and let the log go on; returns what its note says.

    What was not sealed in the old epoch is hashed anew first, and is under the note.

    Args:
        connection: as the sealer's login, in autocommit mode.
        seals: the sealer's keys.
        decision: stands in the note.
        missing: what is known to be lost.
        now_us: microseconds since the epoch.
        pause: waits, for the sealer to give the lead away.

    Raises:
        Refused: ``log_open``: nobody closed it · ``sealer_leads`` · ``empty_log``.
        Malformed: the decision does not fit a line.
        TamperedError: what is left of the log is not as it was written either.
        psycopg.Error: the database is down; nothing was changed.
    """
    _check(decision)
    _lead(connection, seals.log_id, pause)
    seals = in_force(connection, seals)
    head = _head(connection, seals.log_id)
    if head == 0:
        raise Refused("empty_log", "an empty log begins no epoch", "nhật ký rỗng")
    frontier, nodes = _grown(connection, seals, head)
    number = max(int(seals.origin.rpartition("/")[2]), *(one.known.epoch for one in missing), 1) + 1
    following = seals.renamed(origin_of(seals.log_id, number), head)
    through = max([head, *(one.through for one in missing)])
    checkpoint = Checkpoint(
        origin=following.origin, size=head, root=frontier.root(),
        extensions=(
            f"{EPOCH_AFTER}{seals.origin}", f"{LOST_THROUGH}{through}",
            f"{DECIDED_BY}{decision.by}", f"{REASON}{decision.reason}",
            *(f"{NEXT_KEY}{one.verifier}" for one in following.signers),
        ),
    )  # fmt: skip
    note = str(sign_checkpoint(checkpoint, [*seals.signers, *following.signers]))
    with connection.transaction(), connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO eventlog.tree_node (log_id, level, idx, hash) VALUES (%s, %s, %s, %s)",
            [(seals.log_id, *node) for node in nodes],
        )
        _opened(connection, seals.log_id, number, head, note, now_us=now_us)
    opened = opening(checkpoint)
    assert opened is not None, "it was made above"
    return opened


def _check(decision: Decision) -> None:
    found = tuple(
        Problem(name, "malformed", f"must be 1 to {WORDS_MAX} printable characters", "không hợp lệ")
        for name, words in (("by", decision.by), ("reason", decision.reason))
        if not words.strip() or not words.isprintable() or len(words) > WORDS_MAX
    )
    if found:
        raise Malformed("decision", found)


def _lead(connection: psycopg.Connection[Any], log_id: int, pause: Callable[[float], None]) -> None:
    for _ in range(LEAD_TRIES):
        row = connection.execute(
            "SELECT h.closed IS NOT NULL AND pg_try_advisory_lock(%s, %s), h.closed IS NOT NULL"
            " FROM eventlog.log_head AS h WHERE h.log_id = %s",
            (LOCK_CLASS, log_id, log_id),
        ).fetchone()
        if row is None or not row[1]:
            raise _log_open()
        if row[0]:
            return
        pause(LEAD_EVERY_S)
    raise Refused("sealer_leads", "a sealer holds the lead still", "bộ niêm phong còn đang chạy")


def _grown(
    connection: psycopg.Connection[Any], seals: Seals, head: int
) -> tuple[Frontier, list[tuple[int, int, bytes]]]:
    """Return the tree's right edge at the head and the subtrees that are not stored yet."""
    tree = SqlTree(connection, seals.log_id)
    newest = newest_checkpoint(connection, seals)
    size = 0 if newest is None else newest.size
    frontier = frontier_of(size, tree.read) if size else Frontier()
    if newest is not None and frontier.root() != newest.root:
        raise TamperedError(f"the log's first {size} events are not those sealed")
    edge, nodes = tiles.Edge.of(size, tree.row), list[tuple[int, int, bytes]]()
    while frontier.size < head:
        rows = connection.execute(
            _EVENTS, (seals.log_id, frontier.size, head, _PAGE), binary=True
        ).fetchall()
        if not rows:
            raise TamperedError(f"position {frontier.size + 1} is missing")
        for row in rows:
            leaf = checked_leaf(seals.log_id, frontier.size + 1, row)
            frontier.append(leaf)
            nodes += edge.append(leaf)
    return frontier, nodes


def _head(connection: psycopg.Connection[Any], log_id: int) -> int:
    row = connection.execute(
        "SELECT pos FROM eventlog.log_head WHERE log_id = %s", (log_id,)
    ).fetchone()
    return 0 if row is None else int(row[0])


def _opened(
    connection: psycopg.Connection[Any], log_id: int, number: int | None, base: int, note: str,
    *, now_us: int,
) -> None:  # fmt: skip
    row = connection.execute(
        "SELECT eventlog.open_log(%s, %s, %s, %s, %s)", (log_id, number, base, note, now_us)
    ).fetchone()
    if row is None or not row[0]:
        raise _log_open()


def _log_open() -> Refused:
    return Refused(
        "log_open", "the log is open; it is closed first, by a restore, the sealer or epoch close",
        "nhật ký đang mở",
    )  # fmt: skip
