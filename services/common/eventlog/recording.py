# SPDX-License-Identifier: Apache-2.0
"""From facts to an append request: contracts checked, personal fields sealed, ids derived.

Services speak in ``Change`` (facts for one stream); ``Recorder`` turns them into the bytes of an
``AppendRequest`` and hands it to the log. Nothing else in the platform builds append requests,
except the upload of machine journals, whose bytes were made at the machine.
"""

import hmac
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from uuid import UUID

from services.common import contracts
from services.common.canonical import Json, JsonObject, canonical_json
from services.common.clock import Clock, to_micros, to_millis
from services.common.errors import Conflict
from services.common.eventlog.port import EventLog, KeyStore
from services.common.eventlog.record import (
    Appended,
    AppendRequest,
    Handled,
    NewEvent,
    RecordedEvent,
    StreamAppend,
)
from services.common.ids import cause_ms_of, event_id
from services.common.personal import (
    CannotOpenError,
    DataKey,
    Sealed,
    new_data_key,
    open_sealed,
    seal,
)

DECISIONS_MAX: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One business fact, not yet an event.

    Attributes:
        type: ``dossier.accepted``; its newest contract is used.
        data: fields of the contract without the personal ones.
        personal: plaintext of personal fields by name; sealed before anything is hashed.
        subject: the dossier's id where there is one.
        occurred_at: when it happened; the recorder's clock when None.
    """

    type: str
    data: JsonObject
    personal: JsonObject = field(default_factory=dict)
    subject: str | None = None
    occurred_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """Facts for one stream that must be at exactly ``expected_version``."""

    stream: str
    expected_version: int
    facts: tuple[Fact, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """Why something is recorded: goes into ``meta`` of every event.

    Attributes:
        correlation_id: shared by everything that one visit or request set off.
        actor: ``official:<id>``, ``service:intake``, ``machine:VT01``, ``bank:payos``.
        causation_id: the event that caused this one, where there is one.
        reason: why, where a person gave one.
        traceparent: W3C trace context, where there is one.
    """

    correlation_id: str
    actor: str
    causation_id: str | None = None
    reason: str | None = None
    traceparent: str | None = None

    @classmethod
    def of(cls, event: RecordedEvent, actor: str) -> "Cause":
        """Return the cause of whatever ``actor`` does because of ``event``."""
        traceparent = event.meta.get("traceparent")
        return cls(
            correlation_id=event.correlation_id,
            actor=actor,
            causation_id=str(event.event_id),
            traceparent=None if traceparent is None else str(traceparent),
        )

    def meta(self) -> bytes:
        """Return the canonical bytes of ``meta``; absent values are left out."""
        return canonical_json(self.known())

    def known(self) -> dict[str, Json]:
        """Return what is known of the cause, by name."""
        facts: dict[str, Json] = {
            "actor": self.actor,
            "causation_id": self.causation_id,
            "correlation_id": self.correlation_id,
            "reason": self.reason,
            "traceparent": self.traceparent,
        }
        return {name: value for name, value in facts.items() if value is not None}


class Recorder:
    """Records changes for one service."""

    def __init__(self, log: EventLog, keys: KeyStore, clock: Clock, service_key: bytes) -> None:
        """Bind the log, the key store, the clock and the 32-byte key of request digests."""
        self.log = log
        self._keys = keys
        self._clock = clock
        self._service_key = service_key

    def record(
        self,
        changes: Sequence[Change],
        *,
        source: str,
        key: str,
        cause: Cause,
        asked: Json,
        cause_ms: int | None = None,
        handled: Handled | None = None,
    ) -> Appended:
        """Append ``changes`` as one all-or-nothing request; idempotent by ``(source, key)``.

        Args:
            changes: at most 8 streams; may be empty when ``handled`` is given.
            source: who asks (see ``AppendRequest``).
            key: idempotency key; a UUIDv7 or v8 gives the event ids their time.
            cause: goes into every event's meta.
            asked: the command in JSON, fingerprinted; the same key with another ``asked`` is
                refused. Personal values may be in it: only a keyed hash leaves this method.
            cause_ms: milliseconds of the cause; taken from ``key`` or the clock when None.
            handled: inbox mark of a reactor.

        Raises:
            Malformed, Conflict, Refused, Unavailable: as ``EventLog.append``; data keys of sealed
            fields are stored before the append, so a failed append leaves at most unused keys.
        """
        return self.log.append(
            self.prepare(
                changes, source=source, key=key, cause=cause, asked=asked, cause_ms=cause_ms,
                handled=handled,
            )
        )  # fmt: skip

    def prepare(
        self,
        changes: Sequence[Change],
        *,
        source: str,
        key: str,
        cause: Cause,
        asked: Json,
        cause_ms: int | None = None,
        handled: Handled | None = None,
    ) -> AppendRequest:
        """Return the request that ``record`` appends, for callers that append several together.

        Stores the data keys of sealed fields; raises as ``record`` but for the append itself.
        """
        now = self._clock.now()
        millis = cause_ms if cause_ms is not None else _millis_of(key, to_millis(now))
        meta = cause.meta()
        index = 0
        appends = []
        for change in changes:
            events = []
            for fact in change.facts:
                identifier = event_id(millis, source, key, index)
                events.append(self._event(fact, identifier, meta, now))
                index += 1
            appends.append(
                StreamAppend(
                    stream=change.stream,
                    expected_version=change.expected_version,
                    events=tuple(events),
                )
            )
        return AppendRequest(
            source=source,
            key=key,
            digest=self.digest(source, key, asked),
            cause_ms=millis,
            appends=tuple(appends),
            handled=handled,
        )

    def decide(
        self,
        changes: Callable[[], Sequence[Change]],
        *,
        source: str,
        key: str,
        cause: Cause,
        asked: Json,
    ) -> Appended | None:
        """Fold, decide and record; again when a stream moved on meanwhile, at most eight times.

        Args:
            changes: folds what it needs from the log and decides; empty where it is so already.
            source: as ``record``.
            key: as ``record``.
            cause: as ``record``.
            asked: as ``record``.

        Raises:
            Refused: the decision's, or ``idempotency_key_reused``.
            Conflict: others were faster eight times in a row.
        """
        first = self.answered(source=source, key=key, asked=asked)
        if first is not None:
            return first
        last: Conflict | None = None
        for _ in range(DECISIONS_MAX):
            decided = changes()
            if not decided:
                return None
            try:
                return self.record(decided, source=source, key=key, cause=cause, asked=asked)
            except Conflict as conflict:
                last = conflict
        assert last is not None, "the loop ends only after a conflict"
        raise last

    def answered(self, *, source: str, key: str, asked: Json) -> Appended | None:
        """Return the first answer to ``(source, key)``, or None when the request is new.

        Raises:
            Refused: ``idempotency_key_reused``.
            Unavailable: the log is down.
        """
        return self.log.answer_of(source, key, self.digest(source, key, asked))

    def digest(self, source: str, key: str, asked: Json) -> bytes:
        """Return the keyed fingerprint of what was asked (HMAC-SHA256, 32 bytes)."""
        return hmac.digest(self._service_key, canonical_json([source, key, asked]), "sha256")

    def read_personal(self, event: UUID, schema: int, field_name: str) -> Json:
        """Return one personal value in the clear, or None once it has been erased.

        Raises:
            Refused: ``purpose_not_granted``.
            Unavailable: log or key database down.
        """
        sealed = self.log.read_personal(event).get(field_name)
        if sealed is None:
            return None
        stored = self._keys.get(sealed.key_id)
        if stored is None:
            return None
        purpose, secret = stored
        key = DataKey(sealed.key_id, purpose, secret)
        return open_sealed(sealed, key, event_id=event, field=field_name, schema=schema)

    def _event(self, fact: Fact, identifier: UUID, meta: bytes, now: datetime) -> NewEvent:
        contract = contracts.newest(fact.type)
        sealed = {
            name: self._seal(value, contract.personal[name], identifier, name, contract.schema)
            for name, value in fact.personal.items()
        }
        data = {**fact.data, **{name: value.stub() for name, value in sealed.items()}}
        return NewEvent(
            type=fact.type,
            schema=contract.schema,
            data=contract.encode(data),
            meta=meta,
            occurred_at_us=to_micros(fact.occurred_at or now),
            subject=fact.subject,
            personal=sealed,
        )

    def _seal(self, value: Json, purpose: str, event: UUID, name: str, schema: int) -> Sealed:
        key = new_data_key(purpose)
        self._keys.put(key.key_id, purpose, key.secret)
        return seal(value, key, event_id=event, field=name, schema=schema)


def facts_of(events: Sequence[RecordedEvent]) -> list[tuple[str, Mapping[str, Json]]]:
    """Return (type, data lifted to the newest schema) of each event, for a fold."""
    return [(e.type, contracts.current(e.type, e.schema, e.data)) for e in events]


def _millis_of(key: str, now_ms: int) -> int:
    try:
        return cause_ms_of(UUID(key), now_ms)
    except ValueError:
        return now_ms


__all__ = ["CannotOpenError", "Cause", "Change", "Fact", "Recorder", "facts_of"]
