# SPDX-License-Identifier: Apache-2.0
"""An event as a subscriber sees it."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

BODY_BYTES_MAX = 262_144
_TYPE = re.compile(r"vn\.motcua247\.([a-z_]+\.[a-z_]+)\.v([1-9][0-9]{0,3})")


class NotAnEventError(ValueError):
    """Bytes that are no event of the platform."""


@dataclass(frozen=True)
class Event:
    """One event.

    Attributes:
        id: the same whenever and however the event comes.
        position: place in the log; positions of what you are not granted are missing.
        type: ``dossier.accepted``.
        schema: version of its contract.
        source: whose log, ``/motcua/93``.
        time: when it happened.
        subject: the dossier's id where there is one.
        data: its facts; personal values are stubs.
    """

    id: UUID
    position: int
    type: str
    schema: int
    source: str
    time: datetime
    subject: str | None
    data: Mapping[str, Any]


def parse(body: bytes) -> Event:
    """Return the event in a message's body; raises NotAnEventError."""
    if len(body) > BODY_BYTES_MAX:
        raise NotAnEventError("too long")
    try:
        message = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise NotAnEventError("not JSON") from error
    return from_json(message)


def from_json(message: object) -> Event:
    """Return the event in decoded JSON; raises NotAnEventError."""
    try:
        assert isinstance(message, dict)
        kind = _TYPE.fullmatch(message["type"])
        assert kind is not None
        assert isinstance(message["data"], dict)
        return Event(
            id=UUID(message["id"]), position=int(message["sequence"]), type=kind[1],
            schema=int(kind[2]), source=str(message["source"]),
            time=datetime.fromisoformat(message["time"]), subject=message.get("subject"),
            data=message["data"],
        )  # fmt: skip
    except (AssertionError, KeyError, TypeError, ValueError) as error:
        raise NotAnEventError("not an event") from error
