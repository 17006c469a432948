# SPDX-License-Identifier: Apache-2.0
"""What officials give with each act on a dossier: one schema for each verb."""

from typing import Final

from marshmallow import RAISE, Schema, fields, validate

_REASON_MAX: Final = 500
_REASONS_MAX: Final = 20
_FEE_MAX: Final = 100_000_000


def _words(high: int = _REASON_MAX) -> fields.String:
    """A text for people that is not blank."""
    return fields.String(
        required=True, validate=[validate.Length(1, high), validate.Regexp(r"[^\x00-\x1f]*\S")]
    )


class _Strict(Schema):
    class Meta:
        unknown = RAISE


class NothingSchema(_Strict):
    """An act that needs no words: an empty JSON object."""


class OpenSchema(_Strict):
    """What differs from the citizen's list; nothing where all is there."""

    differences = fields.List(
        _words(200), load_default=[], validate=validate.Length(max=_REASONS_MAX)
    )


class ReasonSchema(_Strict):
    """Why."""

    reason = _words()


class SupplementSchema(_Strict):
    """Everything that is missing, at once; until when, or 20 working days."""

    reasons = fields.List(_words(), required=True, validate=validate.Length(1, _REASONS_MAX))
    respond_by = fields.Date(load_default=None, allow_none=True)


class StartSchema(_Strict):
    """Which agency resolves it."""

    agency = _words(100)


class FurtherFeeSchema(_Strict):
    """What else is due, phí and lệ phí apart, in đồng, and why."""

    le_phi_vnd = fields.Integer(load_default=0, strict=True, validate=validate.Range(0, _FEE_MAX))
    phi_vnd = fields.Integer(load_default=0, strict=True, validate=validate.Range(0, _FEE_MAX))
    reason = _words()


class RescheduleSchema(_Strict):
    """A later working day, and why."""

    due_on = fields.Date(required=True)
    reason = _words()


class CompleteSchema(_Strict):
    """The result's number and where the citizen gets it."""

    result_number = _words(64)
    return_channel = fields.String(
        required=True, validate=validate.OneOf(("machine", "counter", "post"))
    )
    return_machine = fields.String(
        load_default=None, allow_none=True, validate=validate.Regexp(r"^[A-Z]{2}[0-9]{2}\Z")
    )


class ReturnSchema(_Strict):
    """How the citizen got it, and what shows it: a signature, a way-bill."""

    channel = fields.String(required=True, validate=validate.OneOf(("counter", "post")))
    proof = _words(100)


class ResolveSchema(_Strict):
    """Which refused report, and how it was settled."""

    event = fields.UUID(required=True)
    reason = _words()


VERBS: Final[dict[str, type[Schema]]] = {
    "open": OpenSchema,
    "accept": NothingSchema,
    "refuse": ReasonSchema,
    "request-supplement": SupplementSchema,
    "receive-supplement": NothingSchema,
    "start": StartSchema,
    "ask-fee": FurtherFeeSchema,
    "withdraw": ReasonSchema,
    "stop": ReasonSchema,
    "reschedule": RescheduleSchema,
    "complete": CompleteSchema,
    "return": ReturnSchema,
    "reverse-return": ReasonSchema,
    "tell-again": ReasonSchema,
    "resolve-report": ResolveSchema,
}
"""Verb of ``/office/v1/dossiers/{id}/<verb>`` → what it takes."""
