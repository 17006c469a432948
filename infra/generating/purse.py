# SPDX-License-Identifier: Apache-2.0
"""The money of one dossier in a generated log: asked, paid in notes or by QR, paid back."""

from collections.abc import Mapping
from typing import Final

from infra.generating.town import Machine, Town
from infra.generating.world import Process, Told
from services.common.eventlog.recording import Cause
from services.common.fees import Fee
from services.common.money import Vnd
from services.payment.application.receipts import REACTOR as RECEIPTS
from services.payment.domain.acts import (
    ApproveRefund,
    ClosePayment,
    Command,
    CreditCash,
    MatchBankCredit,
    PayRefund,
    RequestDuty,
    RequestPayment,
    RequestRefund,
)
from services.payment.domain.payment import Payment, decide, evolve
from services.payment.domain.token import make_token, transfer_text
from services.payment.domain.vietqr import dynamic_payload
from services.payment.domain.words_vi import amount_in_words

NOTES: Final = (500_000, 200_000, 100_000, 50_000, 20_000, 10_000)
"""What people have; no machine takes smaller ones."""
_ACCOUNT: Final = "1020304050"
_BIN: Final = "970415"
_PROVIDERS: Final = ("payos", "casso", "sepay")
_CASH_PER_MILLE: Final = 550
_REFUNDED_PER_MILLE: Final = 700
_REACTIONS: Final = "payment.reactions"


class Purse:
    """A dossier's payment.

    Attributes:
        state: as its own rules fold it.
        settled_event: the newest settlement.
    """

    def __init__(self, town: Town, machine: Machine | None, dossier: str, session: str) -> None:
        """Bind; ``machine`` is where the citizen stands, None at a counter."""
        self._town, self._world, self._machine = town, town.world, machine
        self._dossier, self._session = dossier, session
        self._stream = f"payment-{dossier}"
        self._token = make_token(b"generated", dossier, 0)
        self._last: Mapping[str, object] = {}
        self._lines: list[dict[str, object]] = []
        self.state = Payment()
        self.settled_event = ""

    def ask(self, fee: Fee, procedure: tuple[str, int], event: str) -> Process:
        """Ask the fee of a registered dossier, and have it paid."""
        assert self._machine is not None, "only machines register"
        yield self._world.between(0.05, 0.3)
        command = RequestPayment(
            procedure=procedure[0], procedure_version=procedure[1], le_phi=fee.le_phi, phi=fee.phi,
            token=self._token, qr=self._qr(fee.total), machine=self._machine.serial,
        )  # fmt: skip
        issued = {"token": self._token, "dossier": self._dossier}
        token = f"payment-token.{self._token}"
        told = (token, Told("payment.token_issued", issued, self._dossier))
        asked = self._say(command, told, key=event, because=event)
        self._world.close(token)
        yield from self._paid(fee.total, asked[0], settled=asked[1:])

    def ask_further(self, fee: Fee, event: str) -> Process:
        """Ask a further fee, and have it paid by QR some days later."""
        yield self._world.between(0.05, 0.3)
        command = RequestDuty(
            duty_event=event, le_phi=fee.le_phi, phi=fee.phi, token=self._token,
            qr=self._qr(fee.total), machine=None if self._machine is None else self._machine.serial,
        )  # fmt: skip
        asked = self._say(command, key=event, because=event)[0]
        yield self._world.between(0.05, 0.3)
        self._offer(fee.total, asked)
        yield self._world.between(3_600, 3 * 86_400)
        yield from self._transfer(fee.total)

    def close(self, because: str, event: str) -> tuple[str, Mapping[str, object]]:
        """End it with its dossier; returns the event and its data."""
        command = ClosePayment(because=because, cause_event=event)
        ((_, data),) = decide(command, self.state)
        return self._say(command, key=event, because=event)[0], data

    def pay_back(self, closed: str) -> Process:
        """Most of what is owed goes back by two officers."""
        world = self._world
        if (self.state.owed or self.state.overpaid) and world.chance(_REFUNDED_PER_MILLE):
            refund = world.uuid()
            for command in (
                RequestRefund(refund=refund, by="tc001"),
                ApproveRefund(refund=refund, by="tc002"),
                PayRefund(refund=refund, by="tc001", reference=f"UNC-{world.dice.getrandbits(40)}"),
            ):
                yield world.to_opening()
                self._say(command, key=world.uuid(), because=closed, actor=command.by)

    def _paid(self, amount: int, asked: str, settled: list[str]) -> Process:
        """Pay at the machine: notes, or the code on the screen; some pay at home the day after."""
        world, machine = self._world, self._machine
        assert machine is not None, "only machines register"
        if self.state.settled:
            yield from self._confirmed(settled[0])
            return
        yield world.between(0.05, 0.3)
        self._offer(amount, asked)
        yield world.between(5, 40)
        if amount <= 10 * NOTES[0] and world.chance(_CASH_PER_MILLE):
            yield from self._cash(machine, amount)
        else:
            shown = {"dossier": self._dossier, "token": self._token}
            self._town.journal(machine, [("kiosk.qr_shown", shown, self._dossier)], self._session)
            yield world.between(8, 60) if world.chance(950) else world.between(3_600, 86_400)
            yield from self._transfer(amount)

    def _cash(self, machine: Machine, amount: int) -> Process:
        world, notes, left = self._world, list[int](), amount
        while left > 0:
            notes.append(next((one for one in NOTES if one <= left), NOTES[-1]))
            left -= notes[-1]
        settled, events = "", []
        for number, note in enumerate(notes, start=1):
            machine.stacked += 1
            credited = {
                "dossier": self._dossier, "denomination_vnd": note, "stacked_count": machine.stacked
            }  # fmt: skip
            record = ("kiosk.cash_note_credited", credited, self._dossier)
            events = self._town.journal(machine, [record], self._session)
            yield world.between(1.5, 6)
            command = CreditCash(
                machine=machine.serial, denomination=Vnd(note), note_event=events[0]
            )  # fmt: skip
            made = self._say(command, key=events[0], because=events[0])
            settled = made[1] if number == len(notes) else ""
        closed = {
            "dossier": self._dossier, "notes": len(notes), "total_vnd": sum(notes),
            "reason": "done",
        }  # fmt: skip
        self._town.journal(machine, [("kiosk.cash_closed", closed, self._dossier)], self._session)
        yield from self._confirmed(settled)

    def _transfer(self, amount: int) -> Process:
        """A bank tells of a transfer that names the token."""
        world = self._world
        provider = world.dice.choice(_PROVIDERS)
        reference = f"FT{world.dice.getrandbits(44):011X}"
        stream = f"payment-bank.{provider}.{reference}"
        received = {
            "provider": provider, "reference": reference, "amount_vnd": amount,
            "token": self._token, "account": _ACCOUNT, "body_digest": world.hex32(),
        }  # fmt: skip
        cause = Cause(correlation_id=world.uuid(), actor=f"bank:{provider}")
        told = [Told("payment.bank_credit_received", received)]
        (event,) = world.say(
            [(stream, told)], source=f"bank:{provider}", key=reference, cause=cause
        )
        yield world.between(0.05, 0.3)
        assigned = Told("payment.bank_credit_assigned", {"dossier": self._dossier}, self._dossier)
        command = MatchBankCredit(provider=provider, reference=reference, amount=Vnd(amount))
        made = self._say(command, (stream, assigned), key=event, because=event)
        world.close(stream)
        yield from self._confirmed(made[1])

    def _confirmed(self, settled: str) -> Process:
        """A receipt is issued, and the machine may tell the citizen."""
        world, amount = self._world, self._last["amount_vnd"]
        yield world.between(0.05, 0.3)
        if amount:
            year = world.today().year
            stream = f"receipt-BL-VT-{year}"
            data = {
                "symbol": "BL-VT", "year": year, "number": world.version(stream) + 1,
                "dossier": self._dossier, "lines": self._lines, "amount_vnd": amount,
                "amount_words_vi": amount_in_words(int(str(amount))), "settled_event": settled,
                "collected_at": world.now().isoformat(timespec="seconds"),
            }  # fmt: skip
            cause = self._cause(settled, "service:payment")
            told = [Told("receipt.issued", data, self._dossier)]
            world.say([(stream, told)], source=RECEIPTS, key=settled, cause=cause)
        if self._machine is not None:
            said = {name: self._last[name] for name in ("method", "paid_vnd", "overpaid_vnd")}
            self._order("grant.payment_confirmed", said, settled)
        self.settled_event = settled

    def _offer(self, amount: int, asked: str) -> None:
        if self._machine is not None:
            offer = {"token": self._token, "amount_vnd": amount, "qr": self._qr(amount)}
            self._order("grant.payment_offered", offer, asked)

    def _order(self, kind: str, data: dict[str, object], because: str) -> None:
        assert self._machine is not None, "orders go to machines"
        told = Told(kind, {"dossier": self._dossier, **data}, self._dossier)
        self._world.say(
            [(f"grant-{self._machine.serial}", [told])], source="kiosk_sync.reactions",
            key=because, cause=self._cause(because, "service:kiosk_sync"),
        )  # fmt: skip

    def _say(
        self, command: Command, *more: tuple[str, Told], key: str, because: str, actor: str = ""
    ) -> list[str]:
        """Record what the payment's own rules decide; returns its events, then the others."""
        told = []
        for kind, data in decide(command, self.state):
            if kind == "payment.settled":
                due = {"le_phi": self.state.le_phi_due, "phi": self.state.phi_due}
                self._lines = [{"kind": k, "amount_vnd": int(v)} for k, v in due.items() if v]
                self._last = data
            self.state = evolve(self.state, kind, data)
            told.append(Told(kind, data, self._dossier))
        source = f"http:{actor}" if actor else _REACTIONS
        cause = self._cause(because, f"official:{actor}" if actor else "service:payment")
        changes = [(self._stream, told), *((stream, [one]) for stream, one in more)]
        return self._world.say(changes, source=source, key=key, cause=cause)

    def _cause(self, because: str, actor: str) -> Cause:
        return Cause(correlation_id=self._session, actor=actor, causation_id=because)

    def _qr(self, amount: int) -> str:
        if not amount:
            return ""
        return dynamic_payload(
            bank_bin=_BIN, account=_ACCOUNT, amount=Vnd(amount), purpose=transfer_text(self._token)
        )
