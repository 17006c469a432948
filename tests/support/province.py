# SPDX-License-Identifier: Apache-2.0
"""Every reaction of intake, payment and the fleet on one in-memory log, run until all is quiet."""

import uuid
from typing import Any

from services.common.eventlog.memory import MemoryKeys, MemoryLog
from services.common.eventlog.recording import Cause
from services.common.messaging.reaction import Reactor
from services.common.messaging.reactor_runner import ReactorRunner
from services.intake.adapters.calendar import LogCalendar
from services.intake.application import reactions as intake
from services.intake.application.commands import Commands, Perform
from services.intake.application.facts import dossier_of
from services.intake.domain.dossier import Dossier
from services.kiosk_sync.application import reactions as fleet
from services.payment.application import reactions as payment
from services.payment.application import receipts
from services.payment.application.commands import RecordBankCredit, record_bank_credit
from services.payment.application.reactions import payment_of
from services.payment.domain.payment import Payment
from tests.support.offices import OFFICE, HandClock, Office

BANK = payment.Bank(bin="970418", account="1234567890", token_key=bytes(range(32)))


class Province:
    """Office, machine and payment; ``run`` lets every reactor handle what is new."""

    def __init__(self) -> None:
        self.clock = HandClock()
        log = MemoryLog(clock=self.clock)
        self.office = Office(log.for_role, MemoryKeys(), self.clock)
        self.log = self.office.log
        recorder = self.office.recorder
        self.commands = Commands(recorder("motcua_intake"), self.clock, LogCalendar(self.log))
        reactors = {
            "motcua_intake": [
                Reactor(
                    name="intake.reactions",
                    handlers=intake.event_handlers(self.log, LogCalendar(self.log)),
                ),
            ],
            "motcua_payment": [
                Reactor(name="payment.reactions", handlers=payment.event_handlers(self.log, BANK)),
                Reactor(name=receipts.REACTOR, handlers=receipts.event_handlers(self.log, "BL")),
            ],
            "motcua_kiosk_sync": [
                Reactor(
                    name="kiosk_sync.reactions",
                    handlers=fleet.event_handlers(self.log, self.clock),
                ),
            ],
        }
        self.runners = [
            ReactorRunner(reactor, recorder(role), self.clock)
            for role, wired in reactors.items()
            for reactor in wired
        ]
        self._through = 0

    def run(self) -> None:
        """Handle everything new, and what that causes, until nothing is left."""
        while events := self.log.read_all(self._through):
            for event in events:
                for runner in self.runners:
                    if event.type in runner.reactor.handlers:
                        runner.handle(event)
            self._through = events[-1].position

    def deposit(self, **other: Any) -> str:
        """A citizen hands in; returns the dossier's id once all services know."""
        dossier = self.office.deposit(**other)
        self.run()
        return dossier

    def pays(self, dossier: str, amount: int, reference: str = "") -> None:
        """The bank reports a transfer with the dossier's token."""
        record_bank_credit(
            self.office.recorder("motcua_payment"),
            RecordBankCredit(
                provider="payos", reference=reference or uuid.uuid4().hex[:12],
                amount_vnd=amount, token=self.payment(dossier).token, account="1234567890",
                body_digest="ab" * 32,
            ),
            correlation_id=str(uuid.uuid4()),
        )  # fmt: skip
        self.run()

    def does(self, dossier: str, verb: str, **words: Any) -> Dossier:
        """An official does something; returns the dossier once all services know."""
        self.commands.perform(
            Perform(verb=verb, dossier=dossier, official="cb001", office=OFFICE, words=words),
            source="http:cb001", key=str(uuid.uuid4()),
            cause=Cause(correlation_id=str(uuid.uuid4()), actor="official:cb001"),
        )  # fmt: skip
        self.run()
        return self.dossier(dossier)

    def dossier(self, dossier: str) -> Dossier:
        """Return the dossier as the log has it."""
        return dossier_of(self.log, dossier)

    def payment(self, dossier: str) -> Payment:
        """Return the payment as the log has it."""
        return payment_of(self.log, dossier)

    def types(self, stream: str) -> list[str]:
        """Return the types on a stream."""
        return [event.type for event in self.log.read_stream(stream)]
