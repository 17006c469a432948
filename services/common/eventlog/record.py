# SPDX-License-Identifier: Apache-2.0
"""What an event is, to the byte: the record, its content hash and its leaf hash.

The bytes are frozen (ADR-0001, golden vectors in ``tests/unit/common/eventlog``): every later
release reads and verifies what any earlier one wrote.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Final, cast
from uuid import UUID

from services.common import ids
from services.common.canonical import Json, canonical_text, parse_json
from services.common.clock import from_micros
from services.common.personal import Sealed

STREAMS_PER_REQUEST_MAX: Final = 8
EVENTS_PER_REQUEST_MAX: Final = 500
PAYLOAD_BYTES_MAX: Final = 65_000
_LEAF_PREFIX: Final = b"\x00"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewEvent:
    """One event that a caller wants in a stream.

    Attributes:
        type: past-tense fact, ``dossier.accepted``.
        schema: version of the type's contract, from 1.
        data: canonical JSON of the business facts, personal fields replaced by their stubs.
        meta: canonical JSON of correlation, causation, actor and reason.
        occurred_at_us: when it happened, microseconds since the epoch.
        subject: the dossier's id where there is one.
        personal: ciphertexts by field name; they stand beside the log, not in it.
        event_id: given where the event got its id outside (machine journals); derived when None.
    """

    type: str
    schema: int
    data: bytes
    meta: bytes
    occurred_at_us: int
    subject: str | None = None
    personal: Mapping[str, Sealed] = field(default_factory=dict)
    event_id: UUID | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamAppend:
    """Events for one stream, all or nothing.

    Attributes:
        stream: ``category-id``.
        expected_version: the exact version the stream is at; 0 = it must not exist yet.
        events: at least one.
    """

    stream: str
    expected_version: int
    events: tuple[NewEvent, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Handled:
    """Mark that ``reactor`` has dealt with the event at ``position`` (the inbox)."""

    reactor: str
    position: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AppendRequest:
    """One all-or-nothing request to the log.

    Idempotent for ever by ``(source, key)``: the same key and digest get the first answer again,
    the same key with another digest is refused (``idempotency_key_reused``).

    Attributes:
        source: who asks: reactor name, ``<serial>/<epoch>``, ``http:<client>``, ``timer:<name>``.
        key: the caller's idempotency key.
        digest: 32 bytes that fingerprint what was asked (keyed, see ``recording``).
        cause_ms: milliseconds of the cause; the first 48 bits of every event id.
        appends: up to 8 streams, each at most once; may be empty when ``handled`` is given.
        handled: inbox mark committed with the events.
    """

    source: str
    key: str
    digest: bytes
    cause_ms: int
    appends: tuple[StreamAppend, ...]
    handled: Handled | None = None

    def event_id(self, index: int) -> UUID:
        """Return the id of the request's event number ``index`` (over all its streams)."""
        return ids.event_id(self.cause_ms, self.source, self.key, index)


@dataclass(frozen=True, slots=True, kw_only=True)
class Appended:
    """The durable answer to an ``AppendRequest``.

    Attributes:
        first_position: position of the first event; 0 when there were none.
        count: how many events; they stand at ``first_position`` … + count − 1.
        duplicate: the key had been used before; this is the first answer again.
    """

    first_position: int
    count: int
    duplicate: bool


@dataclass(frozen=True, kw_only=True)
class RecordedEvent:
    """An event as it stands in the log.

    Attributes:
        log_id: which log (one a province).
        position: 1, 2, 3 … without gaps over the whole log; Merkle leaf index + 1.
        event_id: UUIDv8, derived from the request.
        stream: ``category-id``.
        version: 1, 2, 3 … without gaps within the stream.
        type: past-tense fact.
        schema: contract version of ``raw_data`` as it was written.
        subject: the dossier's id where there is one.
        occurred_at_us: when it happened, microseconds since the epoch.
        recorded_at_us: when its batch was committed; never falls with position.
        raw_data: canonical JSON as stored; ``data`` decodes it.
        raw_meta: canonical JSON as stored; ``meta`` decodes it.
        content_hash: SHA-256 of ``content_bytes``.
        leaf_hash: RFC 6962 leaf over content hash and recorded_at.
    """

    log_id: int
    position: int
    event_id: UUID
    stream: str
    version: int
    type: str
    schema: int
    subject: str | None
    occurred_at_us: int
    recorded_at_us: int
    raw_data: bytes
    raw_meta: bytes
    content_hash: bytes
    leaf_hash: bytes

    @cached_property
    def data(self) -> dict[str, Json]:
        """The facts, decoded but not upcast; ``contracts.current`` lifts old schemas."""
        return cast("dict[str, Json]", parse_json(self.raw_data))

    @cached_property
    def meta(self) -> dict[str, Json]:
        """Correlation, causation, actor, reason, trace context."""
        return cast("dict[str, Json]", parse_json(self.raw_meta))

    @property
    def occurred_at(self) -> datetime:
        """When it happened, aware, UTC."""
        return from_micros(self.occurred_at_us)

    @property
    def recorded_at(self) -> datetime:
        """When it was committed, aware, UTC."""
        return from_micros(self.recorded_at_us)

    @property
    def correlation_id(self) -> str:
        """The id shared by everything that one visit or request set off."""
        return str(self.meta["correlation_id"])


def category_of(stream: str) -> str:
    """Return the category of ``category-id``; raises ValueError when there is no id."""
    category, dash, identifier = stream.partition("-")
    if not (category and dash and identifier):
        msg = f"{stream!r} is not category-id"
        raise ValueError(msg)
    return category


def content_bytes(
    *, log_id: int, event_id: UUID, stream: str, version: int, event: NewEvent
) -> bytes:
    """Return the canonical bytes that the content hash covers.

    Everything but position and recorded_at. ``data`` and ``meta`` are canonical already, so the
    object is spliced from them in key order instead of being decoded and encoded again.
    """
    return b"".join(
        (
            b'{"data":', event.data,
            b',"event_id":"', str(event_id).encode(),
            b'","log_id":', str(log_id).encode(),
            b',"meta":', event.meta,
            b',"occurred_at":', str(event.occurred_at_us).encode(),
            b',"schema":', str(event.schema).encode(),
            b',"stream":', canonical_text(stream),
            b',"subject":', canonical_text(event.subject),
            b',"type":', canonical_text(event.type),
            b',"version":', str(version).encode(),
            b"}",
        )
    )  # fmt: skip


def content_hash(content: bytes) -> bytes:
    """Return SHA-256 of ``content_bytes``."""
    return hashlib.sha256(content).digest()


def leaf_hash(content_digest: bytes, recorded_at_us: int) -> bytes:
    """Return the RFC 6962 leaf: SHA-256(0x00 ‖ content hash ‖ recorded_at as int64 big endian).

    The append function in the database computes the same once the batch's time is known.
    """
    return hashlib.sha256(
        _LEAF_PREFIX + content_digest + recorded_at_us.to_bytes(8, signed=True)
    ).digest()
