# SPDX-License-Identifier: Apache-2.0
"""What payment does about dossiers, machines' notes and banks' credits."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from services.common import contracts
from services.common.canonical import Json
from services.common.errors import Refused
from services.common.eventlog.port import EventLog
from services.common.eventlog.record import RecordedEvent
from services.common.eventlog.recording import Change, Fact, facts_of
from services.common.fees import Fee, fee_of
from services.common.messaging.reaction import Handler
from services.common.money import Vnd
from services.payment.domain import credit as credit_domain
from services.payment.domain.acts import (
    CASH,
    ClosePayment,
    Command,
    CreditCash,
    MatchBankCredit,
    RequestDuty,
    RequestPayment,
)
from services.payment.domain.payment import Payment, decide, fold
from services.payment.domain.token import make_token, transfer_text
from services.payment.domain.vietqr import dynamic_payload

_TOKEN_TRIES: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Bank:
    """The collecting body's account, and the key that tokens are derived with."""

    bin: str
    account: str
    token_key: bytes


def payment_of(log: EventLog, dossier: str) -> Payment:
    """Return the payment of a dossier as the log has it."""
    return fold(facts_of(log.read_stream(f"payment-{dossier}")))


def token_stream(token: str) -> str:
    """Return the stream that says whose token it is."""
    return f"payment-token.{token}"


def credit_stream(provider: str, reference: str) -> str:
    """Return the stream of a bank credit, or of a note under the provider ``cash``."""
    return f"payment-bank.{provider}.{reference}"


def event_handlers(log: EventLog, bank: Bank) -> Mapping[str, Handler]:
    """Return the handlers of ``payment.reactions``."""

    def ask(event: RecordedEvent) -> Sequence[Change]:
        dossier, data = _subject(event), _data(event)
        fee = _fee(log, data)
        token = _free_token(log, bank, dossier)
        command = RequestPayment(
            procedure=str(data["procedure"]),
            procedure_version=int(str(data["procedure_version"])),
            le_phi=fee.le_phi,
            phi=fee.phi,
            token=token,
            qr=_qr(bank, fee.total, token),
            machine=str(data["machine"]),
        )
        return [change_of(log, dossier, command), _token_issued(token, dossier)]

    def ask_duty(event: RecordedEvent) -> Sequence[Change]:
        dossier, data = _subject(event), _data(event)
        known = payment_of(log, dossier)
        token = known.token or _free_token(log, bank, dossier)
        le_phi, phi = Vnd(int(str(data["le_phi_vnd"]))), Vnd(int(str(data["phi_vnd"])))
        command = RequestDuty(
            duty_event=str(event.event_id),
            le_phi=le_phi,
            phi=phi,
            token=token,
            qr=_qr(bank, Vnd(le_phi + phi), token),
            machine=known.machine or None,
        )
        asked = change_of(log, dossier, command)
        return [asked] if known.token else [asked, _token_issued(token, dossier)]

    def credit_note(event: RecordedEvent) -> Sequence[Change]:
        data = _data(event)
        command = CreditCash(
            machine=event.stream.split("-")[1],
            denomination=Vnd(int(str(data["denomination_vnd"]))),
            note_event=str(event.event_id),
        )
        return [change_of(log, str(data["dossier"]), command)]

    def close(event: RecordedEvent) -> Sequence[Change]:
        because = event.type.partition(".")[2]
        command = ClosePayment(because=because, cause_event=str(event.event_id))
        return [change_of(log, _subject(event), command)]

    return {
        "dossier.registered": ask,
        "dossier.fee_due": ask_duty,
        "dossier.refused": close,
        "dossier.withdrawn": close,
        "dossier.stopped": close,
        "kiosk.cash_note_credited": credit_note,
        "kiosk.cash_note_unplaced": _book_loose_note,
        "kiosk.cash_closed": _nothing,
        "payment.bank_credit_received": partial(_place_credit, log),
    }


def payments_read(event: RecordedEvent) -> Sequence[str]:
    """Return the streams that the handler of ``event`` reads whole."""
    return () if event.subject is None else (f"payment-{event.subject}",)


EVENT_HANDLERS: Final = {"payment.reactions": event_handlers}


def _place_credit(log: EventLog, event: RecordedEvent) -> Sequence[Change]:
    # A contradicting callback may stand behind the event already, so the stream is folded.
    credit = credit_domain.fold(facts_of(log.read_stream(event.stream)))
    if credit.state != credit_domain.RECEIVED:
        return ()
    token = _data(event)["token"]
    owner = None if token is None else _owner(log, str(token))
    if owner is None:
        reason = "no_token" if token is None else "unknown_token"
        unplaced = Fact(type="payment.bank_credit_unmatched", data={"reason": reason})
        return [Change(stream=event.stream, expected_version=credit.version, facts=(unplaced,))]
    command = MatchBankCredit(
        provider=credit.provider, reference=credit.reference, amount=credit.amount
    )
    assigned = Fact(type="payment.bank_credit_assigned", data={"dossier": owner}, subject=owner)
    return [
        change_of(log, owner, command),
        Change(stream=event.stream, expected_version=credit.version, facts=(assigned,)),
    ]


def _book_loose_note(event: RecordedEvent) -> Sequence[Change]:
    """Book a note that no session explains as money of nobody, in its machine, when it fell."""
    note = str(event.event_id)
    data: dict[str, Json] = {
        "machine": event.stream.split("-")[1],
        "denomination_vnd": _data(event)["denomination_vnd"],
        "note_event": note,
    }
    fact = Fact(type="payment.cash_unplaced", data=data, occurred_at=event.occurred_at)
    return [Change(stream=credit_stream(CASH, note), expected_version=0, facts=(fact,))]


def _nothing(_event: RecordedEvent) -> Sequence[Change]:
    return ()


def change_of(log: EventLog, dossier: str, command: Command) -> Change:
    """Fold the dossier's payment, decide, and return what to append."""
    known = payment_of(log, dossier)
    decided = decide(command, known)
    facts = tuple(
        Fact(type=name, data=data, subject=dossier)  # type: ignore[arg-type]  # JSON by contract
        for name, data in decided
    )
    return Change(stream=f"payment-{dossier}", expected_version=known.version, facts=facts)


def _qr(bank: Bank, amount: Vnd, token: str) -> str:
    if not amount:
        return ""
    return dynamic_payload(
        bank_bin=bank.bin, account=bank.account, amount=amount, purpose=transfer_text(token)
    )


def _token_issued(token: str, dossier: str) -> Change:
    issued: dict[str, Json] = {"token": token, "dossier": dossier}
    fact = Fact(type="payment.token_issued", data=issued, subject=dossier)
    return Change(stream=token_stream(token), expected_version=0, facts=(fact,))


def _fee(log: EventLog, data: Mapping[str, Json]) -> Fee:
    code, version = str(data["procedure"]), int(str(data["procedure_version"]))
    for published in log.read_stream(f"procedure-{code}", after_version=version - 1, limit=1):
        exemption = data["exemption"]
        return fee_of(
            _data(published),
            copies=int(str(data["copies"])),
            pages=int(str(data["pages"])),
            exemption=None if exemption is None else str(exemption),
        )
    raise Refused(
        "unknown_procedure", f"procedure {code} has no version {version}",
        f"thủ tục {code} không có phiên bản {version}", field="procedure",
    )  # fmt: skip


def _free_token(log: EventLog, bank: Bank, dossier: str) -> str:
    for attempt in range(_TOKEN_TRIES):
        token = make_token(bank.token_key, dossier, attempt)
        if not log.stream_version(token_stream(token)):
            return token
    raise Refused("no_free_token", "no payment token is free", "không còn mã thanh toán")


def _owner(log: EventLog, token: str) -> str | None:
    for issued in log.read_stream(token_stream(token), limit=1):
        return str(_data(issued)["dossier"])
    return None


def _subject(event: RecordedEvent) -> str:
    if event.subject is None:
        raise Refused("no_subject", "the event is about no dossier", "sự kiện không gắn với hồ sơ")
    return event.subject


def _data(event: RecordedEvent) -> Mapping[str, Json]:
    return contracts.current(event.type, event.schema, event.data)
