# SPDX-License-Identifier: Apache-2.0
"""Field kinds that contracts share: ids, money, codes, instants.

Everything is a JSON string, integer, boolean or null (see ``canonical``); money is whole đồng.
"""

import re
from collections.abc import Mapping
from datetime import date, datetime
from typing import Any, Final
from uuid import UUID

from marshmallow import fields, validate

from services.common.canonical import Json
from services.common.lookup import NO_LOOKUP

AMOUNT_MAX_VND = 10_000_000_000
_INSTANT: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?(Z|[+-][0-9]{2}:[0-9]{2})"
)


class Id(fields.UUID):
    """A UUID in its one spelling: lower case with dashes."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **more: Any) -> UUID:
        found = super()._deserialize(value, attr, data, **more)
        if found is None or str(found) != value:
            raise self.make_error("invalid_uuid")
        return found


class Flag(fields.Boolean):
    """True or false, not a word or number that could stand for it."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **more: Any) -> bool:
        if not isinstance(value, bool):
            raise self.make_error("invalid", input=value)
        return bool(super()._deserialize(value, attr, data, **more))


class Day(fields.Date):
    """A day as ``2026-11-24``, no other spelling of ISO 8601."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **more: Any) -> date:
        found: date = super()._deserialize(value, attr, data, **more)
        if found.isoformat() != value:
            raise self.make_error("invalid", input=value, obj_type="date")
        return found


class Instant(fields.AwareDateTime):
    """An instant as RFC 3339 writes it, no other spelling of ISO 8601."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **more: Any) -> datetime:
        if not isinstance(value, str) or not _INSTANT.fullmatch(value):
            raise self.make_error("invalid", input=value, obj_type="datetime")
        found: datetime = super()._deserialize(value, attr, data, **more)
        return found


def matching(pattern: str) -> validate.Regexp:
    r"""The whole value has this form; ``\Z``, because Python's ``$`` lets a line's end follow."""
    return validate.Regexp(rf"^{pattern}\Z")


def dossier_id(**more: Any) -> Id:
    """The dossier's final id, made where it was handed in (UUIDv7)."""
    return Id(required=True, **more)


def uuid(*, required: bool = True, nullable: bool = False) -> Id:
    """Any other id."""
    return Id(required=required, allow_none=nullable)


def flag() -> Flag:
    """Yes or no."""
    return Flag(required=True)


def vnd(*, low: int = 0, nullable: bool = False) -> fields.Integer:
    """Whole đồng."""
    return fields.Integer(
        required=True, strict=True, allow_none=nullable,
        validate=validate.Range(low, AMOUNT_MAX_VND),
    )  # fmt: skip


def count(low: int = 0, high: int = 1_000_000, *, nullable: bool = False) -> fields.Integer:
    """A whole number of things."""
    return fields.Integer(
        required=True, strict=True, allow_none=nullable, validate=validate.Range(low, high)
    )


def day() -> Day:
    """A calendar day in Vietnam: ``2026-11-24``."""
    return Day(required=True, format="iso")


def word(
    high: int = 64, *, low: int = 1, required: bool = True, nullable: bool = False
) -> fields.String:
    """A code or identifier: printable ASCII without spaces."""
    return fields.String(
        required=required,
        allow_none=nullable,
        validate=[validate.Length(low, high), matching("[!-~]+")],
    )


def text(high: int = 200, *, required: bool = True) -> fields.String:
    """A short text for people, any language."""
    return fields.String(required=required, validate=validate.Length(1, high))


def instant(*, nullable: bool = False) -> Instant:
    """An instant with its offset, RFC 3339: ``2026-11-23T16:00:00+07:00``."""
    return Instant(required=True, allow_none=nullable, format="iso")


def serial(*, nullable: bool = False) -> fields.String:
    """A machine's serial: ``VT01``."""
    return fields.String(required=True, allow_none=nullable, validate=matching("[A-Z]{2}[0-9]{2}"))


def some(high: int) -> validate.Length:
    """At least one thing of a list, at most ``high``."""
    return validate.Length(1, high)


def procedure_code() -> fields.String:
    """A national procedure code: ``2.000635``."""
    return fields.String(required=True, validate=matching(r"[1-9]\.[0-9]{6}"))


def one_of(*choices: str, open_list: bool = False) -> fields.String:
    """One word of a list. An open list may grow; subscribers must take words they do not know."""
    return fields.String(
        required=True, validate=validate.OneOf(choices), metadata={"open": open_list}
    )


def hex32() -> fields.String:
    """Thirty-two bytes as hex: a SHA-256 digest, a key, a fingerprint."""
    return fields.String(required=True, validate=matching("[0-9a-f]{64}"))


def before_pages(data: Mapping[str, Json]) -> dict[str, Json]:
    """Lift a deposit of the time when a page was a copy and slips had no secret."""
    return {**data, "pages": data["copies"], "exemption": None, "lookup": NO_LOOKUP}
