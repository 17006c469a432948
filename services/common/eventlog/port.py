# SPDX-License-Identifier: Apache-2.0
"""The event log as its users see it; PostgreSQL and the in-memory twin both satisfy it.

One conformance suite (``tests/contract/eventlog``) runs on every implementation.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Protocol
from uuid import UUID

from services.common.errors import MotCuaError
from services.common.eventlog.record import Appended, AppendRequest, RecordedEvent
from services.common.personal import Sealed


class EventLog(Protocol):
    """Append, read, follow, and keep the inbox of reactors."""

    log_id: int

    def append(self, request: AppendRequest, *, timeout_s: float = 30.0) -> Appended:
        """Commit ``request`` durably and return its answer.

        Blocks until the batch it travelled in is committed. Safe to call from many threads; safe
        to call again with the same request after any error.

        Raises:
            Conflict: a stream is not at its expected version; nothing was appended.
            Refused: ``idempotency_key_reused`` (same key, other digest) or ``foreign_category``
                (this login does not write that category).
            Malformed: a limit exceeded, a stream twice in a request, a name that is empty, too long
                or not printable, a number out of range; nothing was sent.
            Unavailable: no answer within ``timeout_s``; the request may or may not be in the log,
                and asking again tells.
        """
        ...

    def append_all(
        self, requests: Sequence[AppendRequest], *, timeout_s: float = 30.0
    ) -> Sequence[Appended | MotCuaError]:
        """Commit ``requests`` together and return each one's answer, in their order.

        Each is all or nothing by itself: one that fails has the error that ``append`` would raise
        as its answer and takes nothing of the others with it. Requests for the same stream are
        appended in the order given. At most ``BATCH_REQUESTS_MAX`` become one commit.
        """
        ...

    def answer_of(self, source: str, key: str, digest: bytes) -> Appended | None:
        """Return the first answer given to ``(source, key)``, or None when it is new.

        Ask before deciding: a repeated command must get its first answer, not a fresh decision on
        a state that the first one changed.

        Raises:
            Refused: ``idempotency_key_reused`` when the digest differs.
        """
        ...

    def head(self) -> int:
        """Return the highest position; 0 for an empty log."""
        ...

    def stream_version(self, stream: str) -> int:
        """Return the version ``stream`` is at; 0 when it does not exist."""
        ...

    def read_stream(
        self, stream: str, *, after_version: int = 0, limit: int = 10_000
    ) -> Sequence[RecordedEvent]:
        """Return events of ``stream`` after ``after_version`` in version order.

        Raises:
            EventsArchived: the stream has left the database; so do all reads that touch what left.
        """
        ...

    def read_streams(self, streams: Sequence[str]) -> Mapping[str, Sequence[RecordedEvent]]:
        """Return whole streams in one round trip; an absent stream maps to an empty sequence."""
        ...

    def read_subject(
        self, subject: str, *, until_position: int | None = None, until: datetime | None = None
    ) -> Sequence[RecordedEvent]:
        """Return one dossier's whole story over all streams, in position order."""
        ...

    def category_versions(self, category: str) -> Mapping[str, int]:
        """Return every stream of ``category`` with the version it is at."""
        ...

    def read_all(
        self,
        after: int,
        *,
        limit: int = 1000,
        types: Sequence[str] | None = None,
        through: int | None = None,
        present_only: bool = False,
    ) -> Sequence[RecordedEvent]:
        """Return up to ``limit`` events after position ``after``, optionally of some types.

        With ``through`` no position above it is looked at, however few events there are. Only who
        knows that it needs nothing of dossiers that are over leaves them out by ``present_only``.

        Raises:
            EventsArchived: of ``types`` some have left the database there.
        """
        ...

    def read_ids(
        self, after: int, *, through: int, types: Sequence[str], limit: int
    ) -> Sequence[tuple[int, UUID]]:
        """Return position and id of the events of ``types`` in (after, through], in order."""
        ...

    def read_positions(self, positions: Sequence[int]) -> Sequence[RecordedEvent]:
        """Return the events at ``positions`` that exist, in position order."""
        ...

    def subscribe(
        self,
        after: int,
        *,
        types: Sequence[str] | None = None,
        stop_after_idle_s: float | None = None,
    ) -> Iterator[RecordedEvent]:
        """Yield events after ``after`` for ever, waking on commit and polling each second.

        Ends by itself only after ``stop_after_idle_s`` seconds without an event, where given.
        """
        ...

    def read_personal(self, event_id: UUID) -> Mapping[str, Sealed]:
        """Return the ciphertexts that belong to one event, by field; empty after erasure."""
        ...

    def forget(self, position: int) -> int:
        """Delete the ciphertexts whose keys the ``subject.erased`` at ``position`` names.

        Returns how many were deleted now; 0 when they are gone already or another event is there.

        Raises:
            Refused: ``not_eraser``: the login may not.
            Unavailable: the log is down.
        """
        ...

    def read_with_marks(
        self, reactor: str, positions: Sequence[int]
    ) -> Sequence[tuple[RecordedEvent, bool]]:
        """See ``read_positions``; each with whether ``reactor`` has handled it already."""
        ...

    def done_through(self, reactor: str) -> int:
        """Return the position up to which ``reactor`` has handled everything; 0 at first."""
        ...

    def unhandled(
        self, reactor: str, types: Sequence[str], *, recorded_before: datetime, limit: int = 500
    ) -> Sequence[RecordedEvent]:
        """Return events of ``types`` above done_through that have no handled row, oldest first."""
        ...

    def advance_done_through(
        self, reactor: str, types: Sequence[str], *, recorded_before: datetime
    ) -> int:
        """Move done_through up to just below the first event without a handled row.

        Removes the handled rows at and below it. Never moves down. Returns the new value.
        """
        ...


class KeyStore(Protocol):
    """Wrapped data keys; its own database, its own backups."""

    def put(self, key_id: UUID, purpose: str, secret: bytes) -> None:
        """Store a data key; storing the same key again changes nothing.

        Raises:
            Refused: ``key_id_reused`` when the id exists with another key or purpose.
            Unavailable: the key database is down.
        """
        ...

    def get(self, key_id: UUID) -> tuple[str, bytes] | None:
        """Return (purpose, secret), or None when it was destroyed or never existed.

        Raises:
            Refused: ``purpose_not_granted`` when this login may not use the key's purpose.
            Unavailable: the key database is down.
        """
        ...

    def destroy(self, key_ids: Sequence[UUID]) -> int:
        """Destroy data keys for good; returns how many were there.

        A destroyed id takes no key any more: storing it again succeeds and stores nothing.

        Raises:
            Refused: ``not_eraser``: the login may not.
            Unavailable: the key database is down.
        """
        ...
