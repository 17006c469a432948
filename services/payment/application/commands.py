# SPDX-License-Identifier: Apache-2.0
"""Money that a bank reports: recorded first, whatever it is for; placed by a reaction."""

from dataclasses import dataclass
from typing import Final

from services.common.canonical import Json
from services.common.errors import Refused
from services.common.eventlog.record import Appended
from services.common.eventlog.recording import Cause, Change, Fact, Recorder


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordBankCredit:
    """A bank's verified notification of money in.

    Attributes:
        provider: ``payos``.
        reference: the provider's own reference; the same reference is the same money.
        amount_vnd: what came in.
        token: the token found in the transfer's text, or None.
        account: the credited account.
        body_digest: SHA-256 of the notification as it came, hex; the body itself is not kept.
    """

    provider: str
    reference: str
    amount_vnd: int
    token: str | None
    account: str
    body_digest: str


def record_bank_credit(
    recorder: Recorder, command: RecordBankCredit, *, correlation_id: str
) -> Appended:
    """Record the credit durably; idempotent by (provider, reference).

    Raises:
        Refused: ``idempotency_key_reused`` when the same reference comes with another amount,
            account or token.
        Unavailable: the log is down; the bank sends again.
    """
    asked: Json = [command.amount_vnd, command.account, command.token]
    data: dict[str, Json] = {
        "provider": command.provider,
        "reference": command.reference,
        "amount_vnd": command.amount_vnd,
        "token": command.token,
        "account": command.account,
        "body_digest": command.body_digest,
    }
    cause = Cause(correlation_id=correlation_id, actor=f"bank:{command.provider}")
    change = Change(
        stream=f"payment-bank.{command.provider}.{command.reference}",
        expected_version=0,
        facts=(Fact(type="payment.bank_credit_received", data=data),),
    )
    try:
        return recorder.record(
            [change],
            source=f"bank:{command.provider}",
            key=command.reference,
            cause=cause,
            asked=asked,
        )
    except Refused:
        _note_conflict(recorder, command, cause)
        raise


def _note_conflict(recorder: Recorder, command: RecordBankCredit, cause: Cause) -> None:
    """Keep for people that the same reference came with other facts; once for each of them."""
    data: dict[str, Json] = {
        "provider": command.provider,
        "reference": command.reference,
        "amount_vnd": command.amount_vnd,
        "body_digest": command.body_digest,
    }
    stream = f"payment-bank.{command.provider}.{command.reference}"

    def changes() -> list[Change]:
        fact = Fact(type="payment.bank_callback_conflict", data=data)
        version = recorder.log.stream_version(stream)
        return [Change(stream=stream, expected_version=version, facts=(fact,))]

    recorder.decide(
        changes,
        source=f"bank:{command.provider}.conflict",
        key=f"{command.reference}/{command.body_digest[:16]}",
        cause=cause,
        asked=data,
    )


COMMAND_HANDLERS: Final = {RecordBankCredit: record_bank_credit}
