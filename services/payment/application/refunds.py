# SPDX-License-Identifier: Apache-2.0
"""Money back to citizens: asked by one officer, approved by another, paid under a reference."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from services.common.canonical import Json
from services.common.eventlog.record import Appended
from services.common.eventlog.recording import Cause, Change, Recorder
from services.payment.application.reactions import change_of
from services.payment.domain.acts import (
    ApproveRefund,
    Command,
    PayRefund,
    ReleaseAdvance,
    RequestRefund,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """Who wants what, under which idempotency key.

    Attributes:
        source: ``http:<officer>``.
        key: UUID.
        cause: goes into the events' meta.
        dossier: whose payment; empty for a bank credit of nobody.
    """

    source: str
    key: str
    cause: Cause
    dossier: str


def request_refund(recorder: Recorder, ask: Ask, *, by: str) -> Appended:
    """Ask that everything owed be paid back; the refund's id is the request's key.

    Raises:
        Refused: ``nothing_owed``.
    """
    return _decide(recorder, ask, RequestRefund(refund=ask.key, by=by))


def approve_refund(recorder: Recorder, ask: Ask, *, refund: str, by: str) -> Appended:
    """Agree as a second officer.

    Raises:
        Refused: ``refund_unknown``, ``refund_not_open``, ``same_person``.
    """
    return _decide(recorder, ask, ApproveRefund(refund=refund, by=by))


def pay_refund(recorder: Recorder, ask: Ask, *, refund: str, by: str, reference: str) -> Appended:
    """Note that the money went out.

    Raises:
        Refused: ``refund_unknown``, ``refund_not_open``.
    """
    return _decide(recorder, ask, PayRefund(refund=refund, by=by, reference=reference))


def release_advance(recorder: Recorder, ask: Ask, *, by: str, reason: str) -> Appended:
    """Give up money short of the fee, so that it can be paid back.

    Raises:
        Refused: ``nothing_short``.
    """
    return _decide(recorder, ask, ReleaseAdvance(by=by, reason=reason))


def _decide(recorder: Recorder, ask: Ask, command: Command) -> Appended:
    asked: Json = [type(command).__name__, repr(command), ask.dossier]
    return record(recorder, ask, lambda: [change_of(recorder.log, ask.dossier, command)], asked)


def record(
    recorder: Recorder, ask: Ask, changes: Callable[[], Sequence[Change]], asked: Json
) -> Appended:
    """Fold, decide and record under the officer's idempotency key."""
    done = recorder.decide(changes, source=ask.source, key=ask.key, cause=ask.cause, asked=asked)
    assert done is not None, "every decision here records something"
    return done


COMMAND_HANDLERS: Final = {
    RequestRefund: request_refund,
    ApproveRefund: approve_refund,
    PayRefund: pay_refund,
    ReleaseAdvance: release_advance,
}
