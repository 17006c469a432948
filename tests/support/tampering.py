# SPDX-License-Identifier: Apache-2.0
"""What somebody with all rights could do to a log, each a few statements; seeded."""

import hashlib
import random
from collections.abc import Callable
from typing import Any, Final

import psycopg

from services.common.integrity.notes import Checkpoint, Note, Signer, sign_checkpoint

Act = Callable[["Vandal"], str]
"""Does it, and returns where a verifier has to find it; one of several behind ``|``."""


class Vandal:
    """An administrator who changes the log inside a transaction that is rolled back."""

    def __init__(self, connection: psycopg.Connection[Any], seed: int, head: int) -> None:
        """Begin; ``head`` is the last position."""
        self.run = connection.execute
        self.rng = random.Random(seed)
        self.head = head
        self.at = self.rng.randint(1, head)

    def set(self, column: str, value: str, *more: object) -> str:
        """Change a column of one event."""
        done = self.run(f"UPDATE eventlog.event SET {column} = {value} WHERE pos = %s".encode(),
                        (*more, self.at))  # fmt: skip
        assert done.rowcount == 1
        return f"position {self.at}"

    def flip(self, column: str) -> str:
        """Flip one bit of a byte string."""
        row = self.run(
            f"SELECT {column} FROM eventlog.event WHERE pos = %s".encode(), (self.at,)
        ).fetchone()
        assert row is not None
        raw = bytearray(row[0])
        raw[self.rng.randrange(len(raw))] ^= 1 << self.rng.randrange(8)
        return self.set(column, "%s", bytes(raw))

    def rehash(self) -> str:
        """Compute content hash and leaf anew, as a forger would."""
        self.set("content_hash", "sha256(data || meta)")
        self.set("leaf_hash", "sha256('\\x00'::bytea || content_hash || int8send(recorded_at))")
        return f"position {self.at}"


def _delete(vandal: Vandal) -> str:
    vandal.run("DELETE FROM eventlog.event WHERE pos = %s", (vandal.at,))
    return f"position {vandal.at}" if vandal.at < vandal.head else "log_head"


def _insert(vandal: Vandal) -> str:
    vandal.run(
        "INSERT INTO eventlog.event SELECT log_id, %s, gen_random_uuid(), stream, version, type,"
        " schema, subject, occurred_at, recorded_at, data, meta, content_hash, leaf_hash"
        " FROM eventlog.event WHERE pos = %s",
        (vandal.head + 1, vandal.at),
    )
    return f"position {vandal.head + 1}"


def _swap(vandal: Vandal) -> str:
    other = vandal.at % vandal.head + 1
    rows = {
        at: vandal.run("SELECT data FROM eventlog.event WHERE pos = %s", (at,)).fetchone()
        for at in (vandal.at, other)
    }
    if rows[vandal.at] == rows[other]:
        return vandal.flip("data")
    for at, source in ((vandal.at, other), (other, vandal.at)):
        vandal.run("UPDATE eventlog.event SET data = %s WHERE pos = %s", (rows[source][0], at))  # type: ignore[index]
    return f"position {vandal.at}"


def _exchange(vandal: Vandal) -> str:
    """Two events change places, whole rows; every hash of a row stays true."""
    other = vandal.at % vandal.head + 1
    for at, to in ((vandal.at, 0), (other, vandal.at), (0, other)):
        vandal.run("UPDATE eventlog.event SET pos = %s WHERE pos = %s", (to or 9_000_000, at or 9_000_000))  # fmt: skip
    return "position|events"  # a stream out of order, or only the tree knows


def _truncate(vandal: Vandal) -> str:
    vandal.run("DELETE FROM eventlog.event WHERE pos >= %s", (vandal.at,))
    vandal.run("UPDATE eventlog.log_head SET pos = %s", (vandal.at - 1,))
    return "checkpoint"


def _roll_back(vandal: Vandal) -> str:
    """As if the last events had never been: every table agrees, only who saw the log knows."""
    left = vandal.at - 1
    vandal.run("DELETE FROM eventlog.checkpoint WHERE size > %s", (left,))
    vandal.run("DELETE FROM eventlog.tree_node WHERE (idx + 1) << level > %s", (left,))
    vandal.run("DELETE FROM eventlog.event WHERE pos > %s", (left,))
    vandal.run("DELETE FROM eventlog.append_key WHERE first_pos > %s", (left,))
    vandal.run("UPDATE eventlog.append_key SET n = %s + 1 - first_pos WHERE first_pos + n > %s + 1", (left, left))  # fmt: skip
    vandal.run(
        "UPDATE eventlog.log_head AS h SET pos = %s, recorded_at = coalesce((SELECT e.recorded_at"
        " FROM eventlog.event AS e WHERE e.pos = %s), 0)", (left, left),
    )  # fmt: skip
    return f"checkpoint {vandal.head}"


def _sign_again(vandal: Vandal) -> str:
    size, note = _checkpoint(vandal)
    parsed = Checkpoint.parse(Note.parse(note).text)
    forged = Checkpoint(origin=parsed.origin, size=size, root=hashlib.sha256(b"x").digest())
    stranger = Signer(parsed.origin, vandal.rng.randbytes(32))
    vandal.run(
        "UPDATE eventlog.checkpoint SET note = %s WHERE size = %s",
        (str(sign_checkpoint(forged, [stranger])), size),
    )
    return f"checkpoint {size}"


def _rewrite(vandal: Vandal) -> str:
    size, note = _checkpoint(vandal)
    vandal.run(
        "UPDATE eventlog.checkpoint SET note = %s WHERE size = %s",
        (note.replace(f"\n{size}\n", f"\n{size - 1}\n"), size),
    )
    return f"checkpoint {size}"


def _forge(vandal: Vandal) -> str:
    """Change the facts and every hash of the row: only the tree knows."""
    vandal.set("data", "data || ' '::bytea")
    row = vandal.run(
        "SELECT min(size) FROM eventlog.checkpoint WHERE size >= %s", (vandal.at,)
    ).fetchone()
    assert row is not None
    vandal.rehash()
    return "position"


def _later(vandal: Vandal) -> str:
    vandal.set("recorded_at", "recorded_at + 60000000")
    vandal.set("leaf_hash", "sha256('\\x00'::bytea || content_hash || int8send(recorded_at))")
    return "events"


def _ciphertext(vandal: Vandal) -> str:
    row = vandal.run(
        "SELECT p.event_id, e.pos FROM eventlog.event_pii AS p"
        " JOIN eventlog.event AS e USING (event_id) ORDER BY e.pos OFFSET %s LIMIT 1",
        (vandal.rng.randrange(20),),
    ).fetchone()
    assert row is not None
    change = vandal.rng.choice((
        "UPDATE eventlog.event_pii SET blob = set_byte(blob, 20, 255 - get_byte(blob, 20))",
        "UPDATE eventlog.event_pii SET commitment = sha256('x')",
        "UPDATE eventlog.event_pii SET key_id = gen_random_uuid()",
        "DELETE FROM eventlog.event_pii",
    ))  # fmt: skip
    vandal.run(f"{change} WHERE event_id = %s".encode(), (row[0],))
    return f"position {row[1]}"


def _checkpoint(vandal: Vandal) -> tuple[int, str]:
    rows = vandal.run("SELECT size, note FROM eventlog.checkpoint ORDER BY size").fetchall()
    size, note = vandal.rng.choice(rows)
    return int(size), str(note)


def _table(statement: str, where: str) -> Act:
    def act(vandal: Vandal) -> str:
        assert vandal.run(statement.encode(), (vandal.at,)).rowcount
        return where

    return act


ACTS: Final[dict[str, Act]] = {
    "a bit of data": lambda vandal: vandal.flip("data"),
    "a bit of meta": lambda vandal: vandal.flip("meta"),
    "a bit of the content hash": lambda vandal: vandal.flip("content_hash"),
    "a bit of the leaf": lambda vandal: vandal.flip("leaf_hash"),
    "type": lambda vandal: vandal.set("type", "type || 'x'"),
    "schema": lambda vandal: vandal.set("schema", "schema + 1"),
    "subject": lambda vandal: vandal.set("subject", "coalesce(subject, '') || 'x'"),
    "stream": lambda vandal: vandal.set("stream", "stream || 'x'"),
    "version": lambda vandal: vandal.set("version", "version + 1"),
    "event id": lambda vandal: vandal.set("event_id", "gen_random_uuid()"),
    "occurred_at": lambda vandal: vandal.set("occurred_at", "occurred_at - 1"),
    "recorded_at": lambda vandal: vandal.set("recorded_at", "recorded_at + 1"),
    "recorded_at with its leaf": _later,
    "delete": _delete, "insert": _insert, "swap": _swap, "exchange": _exchange,
    "truncate": _truncate, "roll back": _roll_back, "sign again": _sign_again,
    "rewrite a checkpoint": _rewrite, "forge": _forge, "ciphertext": _ciphertext,
    "a subtree": _table("UPDATE eventlog.tree_node SET hash = sha256('x') WHERE %s > 0", "subtree"),
    "no subtree": _table("DELETE FROM eventlog.tree_node WHERE %s > 0", "subtree"),
    "a stream's head": _table(
        "UPDATE eventlog.stream_head SET version = version + 1 WHERE stream ="
        " (SELECT stream FROM eventlog.event WHERE pos = %s)", "stream",
    ),
    "a request's key": _table(
        "DELETE FROM eventlog.append_key WHERE first_pos = (SELECT max(k.first_pos)"
        " FROM eventlog.append_key AS k WHERE k.first_pos <= %s)", "position",
    ),
}  # fmt: skip
