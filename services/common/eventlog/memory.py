# SPDX-License-Identifier: Apache-2.0
"""The in-memory twin of the log: same answers as PostgreSQL, for tests and simulations."""

import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final, cast
from uuid import UUID

from services.common.clock import Clock, SystemClock, to_micros
from services.common.errors import Conflict, MotCuaError, Refused
from services.common.eventlog.checks import check
from services.common.eventlog.ownership import (
    ERASER,
    foreign_category,
    key_reused,
    may_write,
    not_eraser,
)
from services.common.eventlog.record import (
    Appended,
    AppendRequest,
    RecordedEvent,
    StreamAppend,
    category_of,
    content_bytes,
    content_hash,
    leaf_hash,
)
from services.common.personal import Sealed

_POLL_S: Final = 1.0


@dataclass(slots=True)
class _Inbox:
    done_through: int = 0
    handled: set[int] = field(default_factory=set)


class MemoryLog:
    """An event log that lives and dies with its process; safe for many threads."""

    def __init__(
        self, log_id: int = 93, clock: Clock | None = None, role: str | None = None
    ) -> None:
        """Open an empty log; with ``role`` (``motcua_intake``) categories have owners."""
        self.log_id = log_id
        self.role = role
        self._clock = clock or SystemClock()
        self._events: list[RecordedEvent] = []
        self._streams: dict[str, list[RecordedEvent]] = {}
        self._keys: dict[tuple[str, str], tuple[bytes, Appended]] = {}
        self._personal: dict[UUID, dict[str, Sealed]] = {}
        self._inboxes: dict[str, _Inbox] = {}
        self._changed = threading.Condition(threading.RLock())

    def for_role(self, role: str | None) -> "MemoryLog":
        """Return another login to the same log."""
        login = MemoryLog.__new__(MemoryLog)
        login.__dict__.update(self.__dict__)
        login.role = role
        return login

    def append(self, request: AppendRequest, *, timeout_s: float = 30.0) -> Appended:
        """See ``EventLog.append``; ``timeout_s`` is not needed here."""
        del timeout_s
        check(request)
        with self._changed:
            known = self.answer_of(request.source, request.key, request.digest)
            if known is not None:
                return known
            for append in request.appends:
                self._expect(append)
            answer = self._commit(request)
            self._changed.notify_all()
            return answer

    def append_all(
        self, requests: Sequence[AppendRequest], *, timeout_s: float = 30.0
    ) -> Sequence[Appended | MotCuaError]:
        """See ``EventLog.append_all``."""
        answers: list[Appended | MotCuaError] = []
        with self._changed:
            for request in requests:
                try:
                    answers.append(self.append(request, timeout_s=timeout_s))
                except MotCuaError as error:
                    answers.append(error)
        return answers

    def answer_of(self, source: str, key: str, digest: bytes) -> Appended | None:
        """See ``EventLog.answer_of``."""
        with self._changed:
            known = self._keys.get((source, key))
        if known is None:
            return None
        if known[0] != digest:
            raise key_reused(source, key)
        return replace(known[1], duplicate=True)

    def head(self) -> int:
        """See ``EventLog.head``."""
        with self._changed:
            return len(self._events)

    def stream_version(self, stream: str) -> int:
        """See ``EventLog.stream_version``."""
        with self._changed:
            return len(self._streams.get(stream, []))

    def read_stream(
        self, stream: str, *, after_version: int = 0, limit: int = 10_000
    ) -> Sequence[RecordedEvent]:
        """See ``EventLog.read_stream``."""
        with self._changed:
            return self._streams.get(stream, [])[after_version : after_version + limit]

    def read_streams(self, streams: Sequence[str]) -> Mapping[str, Sequence[RecordedEvent]]:
        """See ``EventLog.read_streams``."""
        return {stream: self.read_stream(stream) for stream in streams}

    def read_subject(
        self, subject: str, *, until_position: int | None = None, until: datetime | None = None
    ) -> Sequence[RecordedEvent]:
        """See ``EventLog.read_subject``."""
        last = self.head() if until_position is None else until_position
        latest = None if until is None else to_micros(until)
        with self._changed:
            return [
                event
                for event in self._events[:last]
                if event.subject == subject and (latest is None or event.recorded_at_us <= latest)
            ]

    def category_versions(self, category: str) -> Mapping[str, int]:
        """See ``EventLog.category_versions``."""
        with self._changed:
            return {
                stream: len(events)
                for stream, events in self._streams.items()
                if category_of(stream) == category
            }

    def read_all(
        self,
        after: int,
        *,
        limit: int = 1000,
        types: Sequence[str] | None = None,
        through: int | None = None,
        present_only: bool = False,
    ) -> Sequence[RecordedEvent]:
        """See ``EventLog.read_all``; nothing ever leaves this one."""
        del present_only
        with self._changed:
            rest = self._events[max(after, 0) : through]
        return [event for event in rest if types is None or event.type in types][:limit]

    def read_ids(
        self, after: int, *, through: int, types: Sequence[str], limit: int
    ) -> Sequence[tuple[int, UUID]]:
        """See ``EventLog.read_ids``."""
        found = self.read_all(after, through=through, types=types, limit=limit)
        return [(event.position, event.event_id) for event in found]

    def read_positions(self, positions: Sequence[int]) -> Sequence[RecordedEvent]:
        """See ``EventLog.read_positions``."""
        with self._changed:
            last = len(self._events)
            return [self._events[at - 1] for at in sorted(set(positions)) if 1 <= at <= last]

    def subscribe(
        self,
        after: int,
        *,
        types: Sequence[str] | None = None,
        stop_after_idle_s: float | None = None,
    ) -> Iterator[RecordedEvent]:
        """See ``EventLog.subscribe``."""
        position = after
        idle_since = self._clock.monotonic_s()
        while True:
            events = self.read_all(position)
            for event in events:
                position = event.position
                if types is None or event.type in types:
                    idle_since = self._clock.monotonic_s()
                    yield event
            if events:
                continue
            idle = self._clock.monotonic_s() - idle_since
            if stop_after_idle_s is not None and idle >= stop_after_idle_s:
                return
            wait_s = (
                _POLL_S if stop_after_idle_s is None else min(_POLL_S, stop_after_idle_s - idle)
            )
            with self._changed:
                if len(self._events) == position:
                    self._changed.wait(wait_s)

    def read_personal(self, event_id: UUID) -> Mapping[str, Sealed]:
        """See ``EventLog.read_personal``."""
        with self._changed:
            return dict(self._personal.get(event_id, {}))

    def forget(self, position: int) -> int:
        """See ``EventLog.forget``."""
        if self.role not in {None, ERASER}:
            raise not_eraser()
        with self._changed:
            named = {
                key
                for event in self.read_positions([position])
                if event.type == "subject.erased"
                for key in cast("list[str]", event.data["keys"])
            }
            places = [
                (fields, name)
                for fields in self._personal.values()
                for name, sealed in fields.items()
                if str(sealed.key_id) in named
            ]
            for fields, name in places:
                del fields[name]
            return len(places)

    def read_with_marks(
        self, reactor: str, positions: Sequence[int]
    ) -> Sequence[tuple[RecordedEvent, bool]]:
        """See ``EventLog.read_with_marks``."""
        with self._changed:
            inbox = self._inboxes.get(reactor, _Inbox())
            return [
                (event, event.position <= inbox.done_through or event.position in inbox.handled)
                for event in self.read_positions(positions)
            ]

    def done_through(self, reactor: str) -> int:
        """See ``EventLog.done_through``."""
        with self._changed:
            return self._inboxes.get(reactor, _Inbox()).done_through

    def unhandled(
        self, reactor: str, types: Sequence[str], *, recorded_before: datetime, limit: int = 500
    ) -> Sequence[RecordedEvent]:
        """See ``EventLog.unhandled``."""
        with self._changed:
            inbox = self._inboxes.get(reactor, _Inbox())
            before = to_micros(recorded_before)
            return [
                event
                for event in self._events[inbox.done_through :]
                if event.type in types
                and event.recorded_at_us < before
                and event.position not in inbox.handled
            ][:limit]

    def advance_done_through(
        self, reactor: str, types: Sequence[str], *, recorded_before: datetime
    ) -> int:
        """See ``EventLog.advance_done_through``."""
        with self._changed:
            inbox = self._inboxes.setdefault(reactor, _Inbox())
            before = to_micros(recorded_before)
            for event in self._events[inbox.done_through :]:
                open_ = event.type in types and event.position not in inbox.handled
                if open_ or event.recorded_at_us >= before:
                    break
                inbox.done_through = event.position
                inbox.handled.discard(event.position)
            return inbox.done_through

    def _expect(self, append: StreamAppend) -> None:
        if self.role is not None and not may_write(self.role, append.stream):
            raise foreign_category(append.stream)
        actual = len(self._streams.get(append.stream, []))
        if actual != append.expected_version:
            raise Conflict(append.stream, append.expected_version, actual)

    def _commit(self, request: AppendRequest) -> Appended:
        last_us = self._events[-1].recorded_at_us if self._events else 0
        recorded_at_us = max(to_micros(self._clock.now()), last_us)
        first = len(self._events) + 1
        count = 0
        for append in request.appends:
            stream = self._streams.setdefault(append.stream, [])
            for event in append.events:
                identifier = event.event_id or request.event_id(count)
                version = len(stream) + 1
                digest = content_hash(
                    content_bytes(
                        log_id=self.log_id,
                        event_id=identifier,
                        stream=append.stream,
                        version=version,
                        event=event,
                    )
                )
                recorded = RecordedEvent(
                    log_id=self.log_id,
                    position=first + count,
                    event_id=identifier,
                    stream=append.stream,
                    version=version,
                    type=event.type,
                    schema=event.schema,
                    subject=event.subject,
                    occurred_at_us=event.occurred_at_us,
                    recorded_at_us=recorded_at_us,
                    raw_data=event.data,
                    raw_meta=event.meta,
                    content_hash=digest,
                    leaf_hash=leaf_hash(digest, recorded_at_us),
                )
                stream.append(recorded)
                self._events.append(recorded)
                if event.personal:
                    self._personal[identifier] = dict(event.personal)
                count += 1
        if request.handled is not None:
            inbox = self._inboxes.setdefault(request.handled.reactor, _Inbox())
            inbox.handled.add(request.handled.position)
        answer = Appended(first_position=first if count else 0, count=count, duplicate=False)
        if count:
            self._keys[request.source, request.key] = (request.digest, answer)
        return answer


class MemoryKeys:
    """Data keys in memory; with ``readable`` only those purposes may be read."""

    def __init__(self, readable: frozenset[str] | None = None) -> None:
        """Open an empty store."""
        self._keys: dict[UUID, tuple[str, bytes]] = {}
        self._destroyed: set[UUID] = set()
        self._readable = readable

    def put(self, key_id: UUID, purpose: str, secret: bytes) -> None:
        """See ``KeyStore.put``."""
        if key_id in self._destroyed:
            return
        known = self._keys.setdefault(key_id, (purpose, secret))
        if known != (purpose, secret):
            raise Refused(
                "key_id_reused", "the data key's id is taken", "mã khóa dữ liệu đã được dùng"
            )

    def get(self, key_id: UUID) -> tuple[str, bytes] | None:
        """See ``KeyStore.get``."""
        known = self._keys.get(key_id)
        if known is not None and self._readable is not None and known[0] not in self._readable:
            raise Refused(
                "purpose_not_granted",
                "this login may not use keys of that purpose",
                "không có quyền dùng khóa cho mục đích này",
            )
        return known

    def destroy(self, key_ids: Sequence[UUID]) -> int:
        """See ``KeyStore.destroy``."""
        self._destroyed |= set(key_ids)
        return sum(self._keys.pop(key, None) is not None for key in key_ids)
