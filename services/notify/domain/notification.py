# SPDX-License-Identifier: Apache-2.0
"""One message to one person: requested, attempted, and what became of it.

::

    requested ─► attempted ─► accepted ─► delivered
        ▲            ├──────► failed (final, or retryable: back to the start with a new number)
        └────────────┤
                     └──────► outcome_unknown ─► (late truth) accepted or delivered

``attempted`` stands in the log before the provider is called. An attempt without an outcome is
therefore an attempt that *may* have gone out; it is never repeated by itself. Only a refusal for
the moment (``RETRYABLE``), of which the provider itself says that it took nothing, is followed by
another attempt under a new number.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import ClassVar, Final, assert_never

from services.common.canonical import Json
from services.common.errors import Refused

ATTEMPTS_MAX: Final = 100
RETRYABLE: Final = frozenset({"throttled", "not_sent"})
"""Errors that say that nothing went out and that another attempt may."""


class Phase(Enum):
    """Where a notification is."""

    ABSENT = "absent"
    REQUESTED = "requested"
    ATTEMPTED = "attempted"
    ACCEPTED = "accepted"
    DELIVERED = "delivered"
    FAILED = "failed"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Notification:
    """State folded from ``notification-<id>``.

    Attributes:
        phase: where it is.
        attempts: how many attempts were begun.
        version: how many events the stream has.
        provider_message: the provider's name for it, once accepted.
        receipt: the delivery state, once a receipt came.
    """

    phase: Phase = Phase.ABSENT
    attempts: int = 0
    version: int = 0
    provider_message: str | None = None
    receipt: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestNotification:
    """Ask for a message; repeating it changes nothing."""

    dossier: str
    template: str
    params: Mapping[str, str]
    contact_event: str
    code_event: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BeginAttempt:
    """About to call the provider."""

    provider: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordAccepted:
    """The provider took it under this name."""

    provider_message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordFailed:
    """Nothing went out, for this reason."""

    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordUnknown:
    """Nobody knows whether it went out; ``owner`` finds out until ``due_at`` (RFC 3339)."""

    reason: str
    owner: str
    due_at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordDelivery:
    """A delivery receipt came."""

    provider_message: str
    state: str


Command = (
    RequestNotification
    | BeginAttempt
    | RecordAccepted
    | RecordFailed
    | RecordUnknown
    | RecordDelivery
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """A business fact about a notification, named and shaped as its contract says."""

    type: str
    data: Mapping[str, Json] = field(default_factory=dict)

    PREFIX: ClassVar[str] = "notification."


def decide(command: Command, state: Notification) -> list[Event]:
    """Return the events ``command`` causes in ``state``; an empty list repeats nothing.

    Raises:
        Refused: ``notification_not_requested``, ``notification_not_sendable`` (an attempt is open
            or its fate is known), ``notification_not_attempted`` or ``notification_not_accepted``.
    """
    match command:
        case RequestNotification():
            return [] if state.phase is not Phase.ABSENT else [_requested(command)]
        case BeginAttempt():
            return [_attempted(command, state)]
        case RecordAccepted():
            return _accepted(command, state)
        case RecordFailed():
            return _failed(command, state)
        case RecordUnknown():
            _require_attempted(state)
            return [_unknown(command, state)]
        case RecordDelivery():
            return _delivered(command, state)
        case _:
            assert_never(command)


def evolve(state: Notification, event_type: str, data: Mapping[str, Json]) -> Notification:
    """Return ``state`` after one event of its stream; never refuses, unknown types only count."""
    state = replace(state, version=state.version + 1)
    match event_type:
        case "notification.requested":
            return replace(state, phase=Phase.REQUESTED)
        case "notification.attempted":
            return replace(state, phase=Phase.ATTEMPTED, attempts=int(str(data["attempt"])))
        case "notification.accepted":
            name = str(data["provider_message"])
            return replace(state, phase=Phase.ACCEPTED, provider_message=name)
        case "notification.failed":
            again = data["error"] in RETRYABLE and state.attempts < ATTEMPTS_MAX
            return replace(state, phase=Phase.REQUESTED if again else Phase.FAILED)
        case "notification.outcome_unknown":
            return replace(state, phase=Phase.UNKNOWN)
        case "notification.delivered":
            return replace(state, phase=Phase.DELIVERED, receipt=str(data["state"]))
        case _:
            return state


def fold(facts: Iterable[tuple[str, Mapping[str, Json]]]) -> Notification:
    """Return the state after ``facts`` of one stream in version order."""
    state = Notification()
    for event_type, data in facts:
        state = evolve(state, event_type, data)
    return state


def _requested(command: RequestNotification) -> Event:
    return _event(
        "requested",
        dossier=command.dossier,
        template=command.template,
        channel="sms",
        params=dict(command.params),
        contact_event=command.contact_event,
        code_event=command.code_event,
    )


def _attempted(command: BeginAttempt, state: Notification) -> Event:
    if state.phase is Phase.ABSENT:
        raise _refused("not_requested", "the message was never requested", "chưa yêu cầu gửi tin")
    if state.phase is not Phase.REQUESTED:
        raise _refused(
            "not_sendable", "an attempt is open or its fate is known", "tin đang gửi hoặc đã xong"
        )
    return _event("attempted", attempt=state.attempts + 1, provider=command.provider)


def _accepted(command: RecordAccepted, state: Notification) -> list[Event]:
    if state.phase in {Phase.ACCEPTED, Phase.DELIVERED}:
        return []
    if state.phase is not Phase.UNKNOWN:
        _require_attempted(state)
    name = command.provider_message
    return [_event("accepted", attempt=state.attempts, provider_message=name)]


def _unknown(command: RecordUnknown, state: Notification) -> Event:
    return _event(
        "outcome_unknown", attempt=state.attempts, reason=command.reason, owner=command.owner,
        due_at=command.due_at,
    )  # fmt: skip


def _failed(command: RecordFailed, state: Notification) -> list[Event]:
    if state.phase is Phase.FAILED:
        return []
    if state.phase is Phase.REQUESTED and command.error not in RETRYABLE:
        # Refused by ourselves before any attempt (erased data, expired code): counts as the next.
        return [_event("failed", attempt=state.attempts + 1, error=command.error)]
    _require_attempted(state)
    return [_event("failed", attempt=state.attempts, error=command.error)]


def _delivered(command: RecordDelivery, state: Notification) -> list[Event]:
    if state.phase is Phase.DELIVERED:
        return []
    if state.phase is not Phase.ACCEPTED or state.provider_message != command.provider_message:
        raise _refused(
            "not_accepted", "no accepted message has that name", "không có tin nào mang mã này"
        )
    return [_event("delivered", provider_message=command.provider_message, state=command.state)]


def _require_attempted(state: Notification) -> None:
    if state.phase is not Phase.ATTEMPTED:
        raise _refused("not_attempted", "no attempt is open", "không có lần gửi nào đang mở")


def _event(name: str, **data: Json) -> Event:
    return Event(type=Event.PREFIX + name, data=data)


def _refused(code: str, en: str, vi: str) -> Refused:
    return Refused(f"notification_{code}", en, vi)
