# SPDX-License-Identifier: Apache-2.0
"""What a contract is: schema, example, personal fields, meaning; and how old data is lifted.

Producers are strict (unknown fields refused); a contract that was ever written to the log is never
changed again. An incompatible change is a new schema number and an upcaster from the old one,
tested against the stored example of every version ever written (``examples/``).
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Final, cast

from marshmallow import RAISE, Schema, ValidationError, fields

from services.common.canonical import Json, canonical_json
from services.common.contracts import values as v
from services.common.errors import Malformed, Problem

SchemaClass = type[Schema]
Upcaster = Callable[[Mapping[str, Json]], dict[str, Json]]


class EventSchema(Schema):
    """Base of every event's contract: unknown fields are refused."""

    class Meta:
        """Refuse what the contract does not name."""

        unknown = RAISE


class StubSchema(EventSchema):
    """What stands in an event in the place of a personal value (ADR-0007)."""

    key = v.uuid()
    digest = v.hex32()
    commitment = fields.String(required=True, validate=v.matching("[0-9a-f]{32}"))


@dataclass(frozen=True, kw_only=True)
class EventContract:
    """One version of one event type.

    Attributes:
        type: ``dossier.accepted``.
        schema: 1, 2, 3 …
        fields: marshmallow schema class of ``data``.
        personal: purpose of each personal field; the field then holds a ``StubSchema``.
        en: one sentence that says what happened.
        vi: the same in Vietnamese.
        upcast: lifts data of this version to version + 1; None for the newest.
    """

    type: str
    schema: int
    fields: SchemaClass
    en: str
    vi: str
    personal: Mapping[str, str] = field(default_factory=dict)
    upcast: Upcaster | None = None

    def encode(self, data: Mapping[str, Json]) -> bytes:
        """Check ``data`` and return its canonical bytes.

        Raises:
            Malformed: every field that is wrong, by dotted path.
        """
        self.check(data)
        return canonical_json(dict(data))

    def check(self, data: Mapping[str, Json]) -> None:
        """Raise Malformed naming every field that does not satisfy the contract."""
        try:
            _loader(self.fields).load(dict(data))
        except ValidationError as error:
            raise Malformed(f"{self.type} v{self.schema}", problems_of(error)) from error

    @property
    def wire_name(self) -> str:
        """``dossier.accepted.v1``: routing key, and CloudEvents type behind ``vn.motcua247.``."""
        return f"{self.type}.v{self.schema}"

    def example(self) -> dict[str, Json]:
        """Return the stored example of this version (never edited once released)."""
        name = f"{self.wire_name}.json"
        text = resources.files("services.common.contracts").joinpath("examples", name)
        return cast("dict[str, Json]", json.loads(text.read_text(encoding="utf-8")))


_CONTRACTS: Final[dict[tuple[str, int], EventContract]] = {}
_NEWEST: Final[dict[str, EventContract]] = {}


def register(*contracts: EventContract) -> None:
    """Add contracts at import time; the same (type, schema) twice is a programmer's error."""
    for contract in contracts:
        place = (contract.type, contract.schema)
        assert place not in _CONTRACTS, f"{contract.wire_name} is registered twice"
        _CONTRACTS[place] = contract
        newest = _NEWEST.get(contract.type)
        if newest is None or newest.schema < contract.schema:
            _NEWEST[contract.type] = contract


def newest(event_type: str) -> EventContract:
    """Return the newest contract of ``event_type``; raises Malformed for an unknown type."""
    try:
        return _NEWEST[event_type]
    except KeyError:
        raise _unknown(event_type, None) from None


def lookup(event_type: str, schema: int) -> EventContract:
    """Return one exact contract; raises Malformed for an unknown type or version."""
    try:
        return _CONTRACTS[event_type, schema]
    except KeyError:
        raise _unknown(event_type, schema) from None


def current(event_type: str, schema: int, data: Mapping[str, Json]) -> Mapping[str, Json]:
    """Return ``data`` lifted through the upcasters to the newest schema of its type."""
    contract = lookup(event_type, schema)
    while contract.upcast is not None:
        data = contract.upcast(data)
        contract = lookup(event_type, contract.schema + 1)
    return data


def all_contracts() -> tuple[EventContract, ...]:
    """Return every contract, sorted by wire name."""
    return tuple(sorted(_CONTRACTS.values(), key=lambda contract: contract.wire_name))


def problems_of(error: ValidationError) -> tuple[Problem, ...]:
    """Flatten marshmallow's messages to problems with dotted paths."""
    return tuple(_flatten(error.messages, ""))


def _flatten(messages: object, path: str) -> list[Problem]:
    if isinstance(messages, Mapping):
        return [
            problem
            for name, inner in messages.items()
            for problem in _flatten(inner, f"{path}.{name}" if path else str(name))
        ]
    texts = messages if isinstance(messages, list) else [messages]
    return [
        Problem(path or "_", "invalid", str(text), f"giá trị không hợp lệ: {text}")
        for text in texts
    ]


@cache
def _loader(fields_of: SchemaClass) -> Schema:
    """Return the one instance that checks; loading keeps nothing in it, making it copies fields."""
    return fields_of()


def _unknown(event_type: str, schema: int | None) -> Malformed:
    name = event_type if schema is None else f"{event_type} v{schema}"
    problem = Problem("type", "unknown", f"no contract for {name}", f"không có hợp đồng cho {name}")
    return Malformed("event", (problem,))
