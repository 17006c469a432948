# SPDX-License-Identifier: Apache-2.0
"""payOS notifications: {code, desc, success, data, signature}.

The signature is HMAC-SHA256, hex, over ``key=value`` pairs of ``data`` joined by ``&``, keys
sorted, null as the empty text (payOS documentation).
"""

import hashlib
import hmac
from collections.abc import Mapping
from typing import Any

from marshmallow import EXCLUDE, Schema, ValidationError, fields, validate

from services.common.canonical import canonical_json
from services.payment.application.commands import RecordBankCredit
from services.payment.domain.token import find_token

Value = str | int | bool | None
PROVIDER = "payos"
_SUCCESS = "00"


class DataSchema(Schema):
    """What this service reads of a notification; the signature covers the other fields too."""

    amount = fields.Integer(required=True, strict=True, validate=validate.Range(1, 10**10))
    description = fields.String(required=True, validate=validate.Length(0, 500))
    accountNumber = fields.String(  # noqa: N815 - the bank's name
        required=True, validate=validate.Regexp(r"^[0-9A-Za-z]{1,19}\Z")
    )
    reference = fields.String(required=True, validate=validate.Regexp(r"^[!-~]{1,64}\Z"))


def sign(data: Mapping[str, Value], checksum_key: str) -> str:
    """Return the signature of ``data``, hex."""
    text = "&".join(f"{name}={_text(data[name])}" for name in sorted(data))
    return hmac.new(checksum_key.encode(), text.encode(), hashlib.sha256).hexdigest()


def is_signed(data: Mapping[str, Value], signature: str, checksum_key: str) -> bool:
    """Say whether ``signature`` is payOS's over ``data``; constant time."""
    expected = sign(data, checksum_key).encode()
    return hmac.compare_digest(expected, signature.encode("utf-8", "replace"))


def digest(data: Mapping[str, Value]) -> str:
    """Return SHA-256 over the notification's data in canonical form, hex: kept as evidence."""
    return hashlib.sha256(canonical_json(dict(data))).hexdigest()


def tells_of_money(data: Mapping[str, Value]) -> bool:
    """Say whether ``data`` tells of money that came; a ``code`` beside 00 tells of a failure.

    The code around ``data`` is not signed and says nothing.
    """
    return data.get("code", _SUCCESS) == _SUCCESS


def credit_in(data: Mapping[str, Value]) -> RecordBankCredit:
    """Return the money that verified ``data`` tells of; raises ValidationError."""
    credit = DataSchema(unknown=EXCLUDE).load(dict(data))
    return RecordBankCredit(
        provider=PROVIDER,
        reference=credit["reference"],
        amount_vnd=credit["amount"],
        token=find_token(credit["description"]),
        account=credit["accountNumber"],
        body_digest=digest(data),
    )


def flat(data: dict[str, Any]) -> dict[str, Value]:
    """Return ``data`` if it holds plain values only; payOS signs nothing else."""
    Schema.from_dict({name: fields.Raw(allow_none=True, validate=_plain) for name in data})().load(
        data
    )
    return data


def _plain(value: object) -> None:
    whole = isinstance(value, int) and abs(value) < 2**53
    if not (value is None or isinstance(value, str) or whole):
        raise ValidationError("must be a text, a whole number, a boolean or null")


def _text(value: Value) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
