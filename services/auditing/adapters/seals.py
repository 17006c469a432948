# SPDX-License-Identifier: Apache-2.0
"""Checkpoints, cosignatures, the patrol's rounds and one event's proof, from PostgreSQL."""

from collections.abc import Sequence
from typing import Final, LiteralString

from services.auditing.application.seals import Head, Round, StoredSeal, StoredWitness
from services.common.audit.sealing import SqlTree
from services.common.eventlog.postgres import lent, open_pool
from services.common.integrity.proofs import TlogProof, make_proof

_POOL: Final = 4
_LAST: Final = 2**63 - 1
_HEAD: Final[LiteralString] = (
    "SELECT h.pos, coalesce(c.size, 0), (SELECT e.recorded_at FROM eventlog.event AS e"
    " WHERE e.log_id = h.log_id AND e.pos = coalesce(c.size, 0) + 1)"
    " FROM eventlog.log_head AS h LEFT JOIN LATERAL (SELECT size FROM eventlog.checkpoint AS s"
    " WHERE s.log_id = h.log_id ORDER BY size DESC LIMIT 1) AS c ON true WHERE h.log_id = %s"
)
_SEALS: Final[LiteralString] = (
    "SELECT c.size, c.sealed_at, c.sealed_at - (SELECT e.recorded_at FROM eventlog.event AS e"
    "  WHERE e.log_id = c.log_id AND e.pos = 1 + coalesce((SELECT p.size"
    "  FROM eventlog.checkpoint AS p WHERE p.log_id = c.log_id AND p.size < c.size"
    "  ORDER BY p.size DESC LIMIT 1), 0)), c.note,"
    " ARRAY(SELECT s.line FROM eventlog.cosignature AS s"
    "  WHERE s.log_id = c.log_id AND s.size = c.size ORDER BY s.witness)"
    " FROM eventlog.checkpoint AS c WHERE c.log_id = %s AND c.size < %s"
    " ORDER BY c.size DESC LIMIT %s"
)
# Of the newest thousands only: the table grows with every checkpoint for ever.
_WITNESSES: Final[LiteralString] = (
    "SELECT DISTINCT ON (n.witness) n.witness, n.size, n.line, c.note,"
    " (SELECT o.sealed_at FROM eventlog.checkpoint AS o"
    "  WHERE o.log_id = c.log_id AND o.size > n.size ORDER BY o.size LIMIT 1)"
    " FROM (SELECT * FROM eventlog.cosignature WHERE log_id = %s"
    "  ORDER BY size DESC LIMIT 5000) AS n"
    " JOIN eventlog.checkpoint AS c USING (log_id, size) ORDER BY n.witness, n.size DESC"
)


class PostgresSeals:
    """What proves one log."""

    def __init__(self, url: str, log_id: int) -> None:
        """Bind; nothing is opened before the first question."""
        self._log_id = log_id
        self._pool = open_pool(url, name="seals", size=_POOL)

    def close(self) -> None:
        """Give the connections back."""
        self._pool.close()

    def head(self) -> Head:
        """See ``SealStore.head``."""
        with lent(self._pool) as connection:
            row = connection.execute(_HEAD, (self._log_id,)).fetchone()
        position, sealed, since = (0, 0, None) if row is None else row
        return Head(position=position, sealed=sealed, open_since_us=since)

    def seals(self, below: int | None, limit: int) -> Sequence[StoredSeal]:
        """See ``SealStore.seals``."""
        under = _LAST if below is None else below
        with lent(self._pool) as connection:
            rows = connection.execute(_SEALS, (self._log_id, under, limit)).fetchall()
        return [
            StoredSeal(
                size=size, sealed_at_us=at, waited_us=max(0, waited or 0), note=note,
                lines=tuple(lines),
            )
            for size, at, waited, note, lines in rows
        ]  # fmt: skip

    def witnesses(self) -> Sequence[StoredWitness]:
        """See ``SealStore.witnesses``."""
        with lent(self._pool) as connection:
            rows = connection.execute(_WITNESSES, (self._log_id,)).fetchall()
        return [
            StoredWitness(name=name, size=size, line=line, note=note, open_since_us=since)
            for name, size, line, note, since in rows
        ]

    def rounds(self, limit: int) -> Sequence[Round]:
        """See ``SealStore.rounds``."""
        with lent(self._pool) as connection:
            rows = connection.execute(
                "SELECT began_at, ended_at, size, found FROM eventlog.patrol_round"
                " WHERE log_id = %s ORDER BY ended_at DESC LIMIT %s",
                (self._log_id, limit),
            ).fetchall()
        return [Round(began_us=b, ended_us=e, size=s, found=found) for b, e, s, found in rows]

    def proof(self, position: int) -> TlogProof | None:
        """See ``SealStore.proof``."""
        with lent(self._pool) as connection:
            row = connection.execute(
                "SELECT size, note FROM eventlog.checkpoint WHERE log_id = %s"
                " ORDER BY size DESC LIMIT 1",
                (self._log_id,),
            ).fetchone()
            if row is None or row[0] < position:
                return None
            return make_proof(position, str(row[1]), SqlTree(connection, self._log_id).read)
