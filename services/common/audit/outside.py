# SPDX-License-Identifier: Apache-2.0
"""What is known of the log elsewhere: checkpoints that were kept, and witnesses' newest ones.

A restore from an older backup takes the log's end away together with its seals, so that what is
left looks whole. Only who kept a checkpoint outside can tell. A witness is not believed on its
word: what it shows has to bear the log's own signature (ADR-0022).
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import psycopg
import requests
from urllib3.exceptions import HTTPError

from services.common.audit.cosigning import CONNECT_S, READ_S, WitnessPlace
from services.common.audit.sealing import SqlTree
from services.common.audit.seals import Seals, TamperedError, origin_of
from services.common.integrity.checker import opening
from services.common.integrity.merkle import Frontier, frontier_of
from services.common.integrity.notes import Checkpoint, NoteError, VerifierKey, open_checkpoint
from services.common.integrity.witnessing import BODY_MAX
from services.common.telemetry.logs import get_logger

_PAGE: Final = 1_000
_OK: Final = 200
_LOG = get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """The log is not what was signed before.

    Attributes:
        head: highest position that it has.
        known: the checkpoint that it does not lead to.
    """

    head: int
    known: Checkpoint

    @property
    def through(self) -> int:
        """Highest position that was known of it."""
        return self.known.size

    def __str__(self) -> str:
        """One line."""
        size, origin = self.known.size, self.known.origin
        if size > self.head:
            count = size - self.head
            return f"tail of {count} events lost: positions {self.head + 1}–{size} of {origin}"
        return f"other events stand in the first {size} positions of {origin} than were signed"


def lost(
    connection: psycopg.Connection[Any], log_id: int, known: Iterable[Checkpoint]
) -> list[Lost]:
    """Return what of ``known`` the log does not contain, and no epoch declares lost.

    Args:
        connection: a login that reads log, tree and epochs; autocommit.
        log_id: which log.
        known: checkpoints, their signatures already checked.

    Raises:
        TamperedError: rows of the tree are missing.
        psycopg.Error: the database is down.
    """
    declared = _declared(connection, log_id)
    found = []
    row = connection.execute(
        "SELECT pos FROM eventlog.log_head WHERE log_id = %s", (log_id,)
    ).fetchone()
    head = 0 if row is None else int(row[0])
    for checkpoint in known:
        base, through = declared.get(checkpoint.origin, (head, 0))
        if base < checkpoint.size <= through:
            continue
        whole = checkpoint.size <= base
        if not whole or _root_at(connection, log_id, checkpoint.size) != checkpoint.root:
            found.append(Lost(head=head, known=checkpoint))
    return sorted(found, key=lambda one: one.through, reverse=True)


def seen_by(
    place: WitnessPlace, origins: Sequence[str], keys: Sequence[VerifierKey]
) -> list[tuple[Checkpoint, str]]:
    """Return the newest checkpoints that a witness has of these origins, and their notes.

    What bears no trusted signature is left out, and logged.

    Raises:
        OSError: the witness does not answer.
    """
    found = []
    for origin in origins:
        digest = hashlib.sha256(origin.encode()).hexdigest()
        status, text = _get(f"{place.url}/{digest}/checkpoint")
        if status != _OK:
            continue
        try:
            checkpoint, _ = open_checkpoint(text, keys)
        except NoteError as error:
            _LOG.warning("witness_not_believed", witness=place.key.name, reason=str(error))
            continue
        if checkpoint.origin == origin:
            found.append((checkpoint, text))
    return found


def known_to(place: WitnessPlace, seals: Seals) -> list[Checkpoint]:
    """Return what a witness has of the epochs that ``seals`` are in force of, and of the next one.

    A backup may be older than an epoch that was opened since.

    Raises:
        OSError: the witness does not answer.
    """
    following = origin_of(seals.log_id, int(seals.origin.rpartition("/")[2]) + 1)
    keys = [*seals.keys, *(signer.named(following).verifier for signer in seals.signers)]
    origins = (*seals.past, seals.origin, following)
    return [checkpoint for checkpoint, _ in seen_by(place, origins, keys)]


def _declared(connection: psycopg.Connection[Any], log_id: int) -> dict[str, tuple[int, int]]:
    """Return, by origin of an epoch that is over, its last position here and its lost one."""
    rows = connection.execute(
        "SELECT note FROM eventlog.epoch WHERE log_id = %s ORDER BY epoch", (log_id,)
    )
    said = (opening(Checkpoint.parse(str(row[0]).partition("\n\n")[0] + "\n")) for row in rows)
    return {one.after: (one.base, one.lost_through) for one in said if one is not None}


def _get(url: str) -> tuple[int, str]:
    try:
        with requests.Session() as http:
            http.trust_env = False
            with http.get(
                url, timeout=(CONNECT_S, READ_S), allow_redirects=False, stream=True
            ) as answer:
                content = answer.raw.read(BODY_MAX, decode_content=True)
                return answer.status_code, content.decode("utf-8", "replace")
    except HTTPError as error:
        raise OSError(str(error)) from error


def _root_at(connection: psycopg.Connection[Any], log_id: int, size: int) -> bytes:
    """Return the root over the first ``size`` events; also of those that are not sealed yet."""
    tree = SqlTree(connection, log_id)
    row = connection.execute(
        "SELECT coalesce(max(size), 0) FROM eventlog.checkpoint WHERE log_id = %s AND size <= %s",
        (log_id, size),
    ).fetchone()
    sealed = 0 if row is None else int(row[0])
    frontier = frontier_of(sealed, tree.read) if sealed else Frontier()
    while frontier.size < size:
        for leaf in tree.row(0, frontier.size, min(_PAGE, size - frontier.size)):
            frontier.append(leaf)
    return frontier.root()


__all__ = ["Lost", "TamperedError", "known_to", "lost", "seen_by"]
