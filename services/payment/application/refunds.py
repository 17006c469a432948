# SPDX-License-Identifier: Apache-2.0
"""Money back to citizens: asked by one officer, approved by another, paid under a reference."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from services.common.canonical import Json
from services.common.errors import Refused
from services.common.eventlog.record import Appended
from services.common.eventlog.recording import Cause, Change, Fact, Recorder, facts_of
from services.common.money import Vnd
from services.payment.application.reactions import change_of
from services.payment.domain.acts import (
    ApproveRefund,
    Command,
    MatchBankCredit,
    PayRefund,
    RequestRefund,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """Who wants what, under which idempotency key.

    Attributes:
        source: ``http:<officer>``.
        key: UUID.
        cause: goes into the events' meta.
        dossier: whose payment.
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


def place_credit(recorder: Recorder, ask: Ask, *, provider: str, reference: str) -> Appended:
    """Place a bank credit that no token placed; both streams in one request.

    Raises:
        Refused: ``credit_unknown``, ``credit_placed``, ``no_payment``.
    """
    stream = f"payment-bank.{provider}.{reference}"

    def changes() -> list[Change]:
        events = facts_of(recorder.log.read_stream(stream))
        if not events:
            raise Refused(
                "credit_unknown", "no such bank credit", "không có khoản báo có này",
                field="reference",
            )  # fmt: skip
        if any(name == "payment.bank_credit_assigned" for name, _ in events):
            raise Refused("credit_placed", "it is placed already", "khoản này đã được gán")
        if not recorder.log.stream_version(f"payment-{ask.dossier}"):
            raise Refused("no_payment", "no such payment", "không có khoản này", field="dossier")
        amount = events[0][1]["amount_vnd"]
        matched = MatchBankCredit(
            provider=provider, reference=reference, amount=Vnd(int(str(amount)))
        )
        assigned = Fact(
            type="payment.bank_credit_assigned", data={"dossier": ask.dossier}, subject=ask.dossier
        )
        return [
            change_of(recorder.log, ask.dossier, matched),
            Change(stream=stream, expected_version=len(events), facts=(assigned,)),
        ]

    return _record(recorder, ask, changes, [provider, reference, ask.dossier])


def _decide(recorder: Recorder, ask: Ask, command: Command) -> Appended:
    asked: Json = [type(command).__name__, repr(command), ask.dossier]
    return _record(recorder, ask, lambda: [change_of(recorder.log, ask.dossier, command)], asked)


def _record(
    recorder: Recorder, ask: Ask, changes: Callable[[], Sequence[Change]], asked: Json
) -> Appended:
    done = recorder.decide(changes, source=ask.source, key=ask.key, cause=ask.cause, asked=asked)
    assert done is not None, "every decision here records something"
    return done


COMMAND_HANDLERS: Final = {
    RequestRefund: request_refund,
    ApproveRefund: approve_refund,
    PayRefund: pay_refund,
    MatchBankCredit: place_credit,
}
