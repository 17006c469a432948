# SPDX-License-Identifier: Apache-2.0
"""Who seals a log, in which epoch it is, and its newest checkpoint.

A log begins in epoch 1. Another one is begun by a decision that stands in ``eventlog.epoch``: the
new epoch's first checkpoint, signed under both names, which says what was lost and why (ADR-0022).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import psycopg

from services.common.integrity.checker import opening
from services.common.integrity.notes import (
    NEXT_KEY,
    Checkpoint,
    NoteError,
    Signer,
    VerifierKey,
    open_checkpoint,
)

LOCK_CLASS: Final = 0x4D435345  # "MCSE": whoever holds it seals
_EPOCHS: Final = "SELECT epoch, base, note FROM eventlog.epoch WHERE log_id = %s ORDER BY epoch"
_NEWEST: Final = (
    "SELECT size, note FROM eventlog.checkpoint WHERE log_id = %s ORDER BY size DESC LIMIT 1"
)


class TamperedError(Exception):
    """What stands in the log is not what was written; nothing is signed any more."""


class ClosedError(Exception):
    """The log may have lost its end; nothing is appended or signed until somebody decides."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seals:
    """Who seals which log.

    Attributes:
        log_id: the log.
        origin: its name in checkpoints, ``motcua247/93/1``: log and epoch.
        signer: key that signs.
        following: the key that will follow it; ours vouches for it and both sign.
        base: the epoch begins behind this position.
        past: origins of the epochs before, oldest first.
    """

    log_id: int
    origin: str
    signer: Signer
    following: Signer | None = None
    base: int = 0
    past: tuple[str, ...] = ()

    @property
    def signers(self) -> list[Signer]:
        """Everybody who signs now."""
        return [self.signer] if self.following is None else [self.signer, self.following]

    @property
    def extensions(self) -> tuple[str, ...]:
        """Lines that a checkpoint carries."""
        if self.following is None:
            return ()
        return (f"{NEXT_KEY}{self.following.verifier}",)

    @property
    def keys(self) -> list[VerifierKey]:
        """Our keys under every name that the log had."""
        return [
            signer.named(origin).verifier
            for origin in (self.origin, *self.past)
            for signer in self.signers
        ]

    def renamed(self, origin: str, base: int) -> "Seals":
        """Return the same keys for the epoch ``origin``, which begins behind ``base``."""
        following = None if self.following is None else self.following.named(origin)
        return replace(
            self, origin=origin, signer=self.signer.named(origin), following=following, base=base,
            past=(*self.past, self.origin),
        )  # fmt: skip


def origin_of(log_id: int, epoch: int) -> str:
    """Return a log's name in checkpoints; a restore that lost events begins a new epoch."""
    return f"motcua247/{log_id}/{epoch}"


def in_force(connection: psycopg.Connection[Any], seals: Seals) -> Seals:
    """Return the seals of the epoch that the log is in.

    Raises:
        TamperedError: an epoch was opened by somebody else, or stands where none begins.
        psycopg.Error: the database is down.
    """
    rows = connection.execute(_EPOCHS, (seals.log_id,)).fetchall()
    for number, base, note in rows:
        origin, before = origin_of(seals.log_id, int(number)), seals.origin
        seals = seals.renamed(origin, int(base))
        try:
            opened = opening(Checkpoint.parse(str(note).partition("\n\n")[0] + "\n"))
        except NoteError as error:
            raise TamperedError(f"epoch {number}: {error}") from error
        if opened is None or (opened.origin, opened.after, opened.base) != (origin, before, base):
            raise TamperedError(f"the note of epoch {number} does not open it")
    if rows:
        size = (connection.execute(_NEWEST, (seals.log_id,)).fetchone() or (0,))[0]
        # Once something was sealed in it, that seal vouches for it, and its key may have changed.
        if size <= seals.base:
            _ours(seals, f"epoch {rows[-1][0]}", str(rows[-1][2]))
    return seals


def newest_checkpoint(connection: psycopg.Connection[Any], seals: Seals) -> Checkpoint | None:
    """Return the newest checkpoint; ``seals`` are those in force.

    Raises:
        TamperedError: it is not one that we signed, or not of the epoch that it has to be of.
        psycopg.Error: the database is down.
    """
    row = connection.execute(_NEWEST, (seals.log_id,)).fetchone()
    if row is None:
        return None
    checkpoint = _ours(seals, f"checkpoint {row[0]}", str(row[1]))
    before = () if int(row[0]) > seals.base else seals.past
    if checkpoint.size != row[0] or checkpoint.origin not in {seals.origin, *before}:
        raise TamperedError(f"checkpoint {row[0]} is that of {checkpoint.origin}")
    return checkpoint


def require_open(connection: psycopg.Connection[Any], log_id: int) -> None:
    """Raise ClosedError while the log is closed."""
    row = connection.execute(
        "SELECT closed FROM eventlog.log_head WHERE log_id = %s", (log_id,)
    ).fetchone()
    if row is not None and row[0] is not None:
        raise ClosedError(str(row[0]))


def _ours(seals: Seals, where: str, note: str) -> Checkpoint:
    keys: Sequence[VerifierKey] = seals.keys
    try:
        return open_checkpoint(note, keys)[0]
    except NoteError as error:
        raise TamperedError(f"{where}: {error}") from error
