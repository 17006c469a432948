# SPDX-License-Identifier: Apache-2.0
"""Field kinds that contracts share: ids, money, codes, instants.

Everything is a JSON string, integer, boolean or null (see ``canonical``); money is whole đồng.
"""

from collections.abc import Mapping
from typing import Any

from marshmallow import fields, validate

from services.common.canonical import Json
from services.common.lookup import NO_LOOKUP

AMOUNT_MAX_VND = 10_000_000_000


def dossier_id(**more: Any) -> fields.UUID:
    """The dossier's final id, made where it was handed in (UUIDv7)."""
    return fields.UUID(required=True, **more)


def uuid(*, required: bool = True, nullable: bool = False) -> fields.UUID:
    """Any other id."""
    return fields.UUID(required=required, allow_none=nullable)


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


def day() -> fields.Date:
    """A calendar day in Vietnam: ``2026-11-24``."""
    return fields.Date(required=True, format="iso")


def word(
    high: int = 64, *, low: int = 1, required: bool = True, nullable: bool = False
) -> fields.String:
    """A code or identifier: printable ASCII without spaces."""
    pattern = validate.Regexp(r"^[!-~]+$")
    return fields.String(
        required=required, allow_none=nullable, validate=[validate.Length(low, high), pattern]
    )


def text(high: int = 200, *, required: bool = True) -> fields.String:
    """A short text for people, any language."""
    return fields.String(required=required, validate=validate.Length(1, high))


def instant(*, nullable: bool = False) -> fields.AwareDateTime:
    """An instant with its offset, RFC 3339: ``2026-11-23T16:00:00+07:00``."""
    return fields.AwareDateTime(required=True, allow_none=nullable, format="iso")


def serial(*, nullable: bool = False) -> fields.String:
    """A machine's serial: ``VT01``."""
    return fields.String(
        required=True, allow_none=nullable, validate=validate.Regexp(r"^[A-Z]{2}[0-9]{2}$")
    )


def some(high: int) -> validate.Length:
    """At least one thing of a list, at most ``high``."""
    return validate.Length(1, high)


def procedure_code() -> fields.String:
    """A national procedure code: ``2.000635``."""
    return fields.String(required=True, validate=validate.Regexp(r"^[1-9]\.\d{6}$"))


def one_of(*choices: str) -> fields.String:
    """One word of a closed list."""
    return fields.String(required=True, validate=validate.OneOf(choices))


def hex32() -> fields.String:
    """Thirty-two bytes as hex: a SHA-256 digest, a key, a fingerprint."""
    return fields.String(required=True, validate=validate.Regexp(r"^[0-9a-f]{64}$"))


def before_pages(data: Mapping[str, Json]) -> dict[str, Json]:
    """Lift a deposit of the time when a page was a copy and slips had no secret."""
    return {**data, "pages": data["copies"], "exemption": None, "lookup": NO_LOOKUP}
