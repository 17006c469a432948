# SPDX-License-Identifier: Apache-2.0
"""What finance officers do with bank credits: place them, send them back, settle conflicts."""

from typing import Final

from services.common.canonical import Json
from services.common.errors import Refused
from services.common.eventlog.port import EventLog
from services.common.eventlog.record import Appended
from services.common.eventlog.recording import Change, Fact, Recorder, facts_of
from services.payment.application.reactions import change_of, credit_stream
from services.payment.application.refunds import Ask, record
from services.payment.domain.acts import MatchBankCredit
from services.payment.domain.credit import (
    ApproveReturn,
    AskReturn,
    CloseConflict,
    Command,
    Credit,
    PayReturn,
    PlaceCredit,
    decide,
    fold,
)


def credit_of(log: EventLog, provider: str, reference: str) -> Credit:
    """Return a bank credit as the log has it."""
    return fold(facts_of(log.read_stream(credit_stream(provider, reference))))


def place_credit(
    recorder: Recorder, ask: Ask, command: PlaceCredit, *, provider: str, reference: str
) -> Appended:
    """Place a bank credit that no token placed; payment and credit in one request.

    Raises:
        Refused: ``credit_unknown``, ``credit_not_waiting``, ``no_payment``.
    """

    def changes() -> list[Change]:
        credit = credit_of(recorder.log, provider, reference)
        assigned = _change(credit, command, provider=provider, reference=reference)
        if not recorder.log.stream_version(f"payment-{command.dossier}"):
            raise Refused("no_payment", "no such payment", "không có khoản này", field="dossier")
        matched = MatchBankCredit(provider=provider, reference=reference, amount=credit.amount)
        return [change_of(recorder.log, command.dossier, matched), assigned]

    return record(recorder, ask, changes, [provider, reference, command.dossier])


def handle_credit(
    recorder: Recorder,
    ask: Ask,
    command: AskReturn | ApproveReturn | PayReturn | CloseConflict,
    *,
    provider: str,
    reference: str,
) -> Appended:
    """Send a credit back in three steps, or settle its conflict.

    Raises:
        Refused: ``credit_unknown``, ``credit_not_waiting``, ``same_person``, ``no_conflict``.
    """

    def changes() -> list[Change]:
        credit = credit_of(recorder.log, provider, reference)
        return [_change(credit, command, provider=provider, reference=reference)]

    asked: Json = [type(command).__name__, repr(command), provider, reference]
    return record(recorder, ask, changes, asked)


def _change(credit: Credit, command: Command, *, provider: str, reference: str) -> Change:
    name, data = decide(command, credit)
    subject = command.dossier if isinstance(command, PlaceCredit) else None
    fact = Fact(type=name, data=data, subject=subject)  # type: ignore[arg-type]  # JSON by contract
    return Change(
        stream=credit_stream(provider, reference), expected_version=credit.version, facts=(fact,)
    )


COMMAND_HANDLERS: Final = {
    PlaceCredit: place_credit,
    AskReturn: handle_credit,
    ApproveReturn: handle_credit,
    PayReturn: handle_credit,
    CloseConflict: handle_credit,
}
