# SPDX-License-Identifier: Apache-2.0
"""An event on the wire: CloudEvents 1.0, structured JSON.

The whole envelope is the AMQP body; id and type stand in the AMQP properties as well. Personal
values never travel: ``data`` holds their stubs only. A consumer takes nothing but id and position
from a message and reads the event itself from the log.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, cast
from uuid import UUID

from services.common.canonical import Json, NotCanonicalError, canonical_json, parse_json
from services.common.errors import Malformed, Problem
from services.common.eventlog.record import RecordedEvent

CONTENT_TYPE: Final = "application/cloudevents+json"
TYPE_PREFIX: Final = "vn.motcua247."
BODY_BYTES_MAX: Final = 262_144
_SEQUENCE: Final = re.compile(r"[0-9]{20}")
_TYPE: Final = re.compile(r"vn\.motcua247\.([a-z_]+\.[a-z_]+)\.v([1-9][0-9]{0,3})")
_SOURCE: Final = re.compile(r"/motcua/([1-9][0-9]{0,9})")
_TEXTS: Final = ("specversion", "id", "source", "type", "time", "datacontenttype", "sequence",
                 "correlationid")  # fmt: skip
_OPTIONAL_TEXTS: Final = ("subject", "causationid", "traceparent")


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """What a consumer may rely on after ``parse``.

    Attributes:
        event_id: id of the event.
        log_id: whose log.
        position: place in that log.
        type: ``dossier.accepted``.
        schema: contract version.
        correlation_id: shared by everything one visit set off.
        data: business facts with stubs in the place of personal values.
    """

    event_id: UUID
    log_id: int
    position: int
    type: str
    schema: int
    correlation_id: str
    data: Mapping[str, Json]


def wire_name(event: RecordedEvent) -> str:
    """Return the routing key: ``dossier.accepted.v1``."""
    return f"{event.type}.v{event.schema}"


def encode(event: RecordedEvent) -> bytes:
    """Return the message body of ``event``."""
    head: dict[str, Json] = {
        "specversion": "1.0",
        "id": str(event.event_id),
        "source": f"/motcua/{event.log_id}",
        "type": TYPE_PREFIX + wire_name(event),
        "time": event.occurred_at.isoformat(),
        "datacontenttype": "application/json",
        "sequence": f"{event.position:020d}",
        "correlationid": event.correlation_id,
    }
    optional = {
        "subject": event.subject,
        "causationid": event.meta.get("causation_id"),
        "traceparent": event.meta.get("traceparent"),
    }
    head.update({name: value for name, value in optional.items() if value is not None})
    # ``data`` is canonical already; splicing spares a decode and an encode for each event.
    return canonical_json(head)[:-1] + b',"data":' + event.raw_data + b"}"


def parse(body: bytes, content_type: str | None = CONTENT_TYPE) -> Envelope:
    """Return the envelope in ``body``.

    Raises:
        Malformed: with every problem found; the bytes themselves are in no message.
    """
    if content_type != CONTENT_TYPE:
        raise Malformed("message", (_problem("content_type", f"must be {CONTENT_TYPE}"),))
    message = _object(body)
    problems = [
        _problem(name, "must be a text")
        for name in _TEXTS
        if not isinstance(message.get(name), str)
    ]
    problems += [
        _problem(name, "must be a text where present")
        for name in _OPTIONAL_TEXTS
        if name in message and not isinstance(message[name], str)
    ]
    unknown = set(message) - {*_TEXTS, *_OPTIONAL_TEXTS, "data"}
    problems += [_problem(name[:64], "is not part of the envelope") for name in sorted(unknown)]
    if not isinstance(message.get("data"), Mapping):
        problems.append(_problem("data", "must be an object"))
    if problems:
        raise Malformed("message", tuple(problems))
    return _typed(message)


def _object(body: bytes) -> Mapping[str, Json]:
    if len(body) > BODY_BYTES_MAX:
        raise Malformed("message", (_problem("$", f"is longer than {BODY_BYTES_MAX} bytes"),))
    try:
        message = parse_json(body)
    except NotCanonicalError as error:
        raise Malformed("message", (_problem("$", "is not JSON"),)) from error
    if not isinstance(message, Mapping):
        raise Malformed("message", (_problem("$", "must be an object"),))
    return message


def _typed(message: Mapping[str, Json]) -> Envelope:
    problems = []
    kind = _TYPE.fullmatch(str(message["type"]))
    source = _SOURCE.fullmatch(str(message["source"]))
    sequence = _SEQUENCE.fullmatch(str(message["sequence"]))
    identifier: UUID | None = None
    try:
        identifier = UUID(str(message["id"]))
    except ValueError:
        problems.append(_problem("id", "must be a UUID"))
    if message["specversion"] != "1.0":
        problems.append(_problem("specversion", "must be 1.0"))
    if kind is None:
        problems.append(_problem("type", f"must be {TYPE_PREFIX}<category>.<fact>.v<schema>"))
    if source is None:
        problems.append(_problem("source", "must be /motcua/<log id>"))
    if sequence is None or int(sequence[0]) >= 2**63 or int(sequence[0]) == 0:
        problems.append(_problem("sequence", "must be a position of 20 digits"))
    if problems or identifier is None or kind is None or source is None or sequence is None:
        raise Malformed("message", tuple(problems))
    return Envelope(
        event_id=identifier,
        log_id=int(source[1]),
        position=int(sequence[0]),
        type=kind[1],
        schema=int(kind[2]),
        correlation_id=str(message["correlationid"]),
        data=cast("Mapping[str, Json]", message["data"]),
    )


def _problem(field: str, en: str) -> Problem:
    return Problem(field, "invalid", en, f"trường {field} không hợp lệ")
