# SPDX-License-Identifier: Apache-2.0
"""An accepted dossier whose citizen is to be told, and a provider that answers as it is told."""

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from services.common.eventlog.memory import MemoryKeys, MemoryLog
from services.common.eventlog.record import RecordedEvent
from services.common.eventlog.recording import Cause
from services.common.messaging.reaction import Reactor
from services.common.messaging.reactor_runner import Outcome, ReactorRunner
from services.intake.adapters.calendar import LogCalendar
from services.intake.application.commands import Commands, Perform
from services.intake.application.reactions import event_handlers
from services.notify.application.ports import NotTaken, SMSGateway, Taken
from services.notify.application.reactions import Reactions
from services.notify.application.sending import Sending
from tests.support.offices import HandClock, Office

DOSSIER_CAUSE = Cause(correlation_id=str(uuid.UUID(int=1)), actor="official:cb001")


@dataclass
class Phone:
    """The provider's side: what went out, and what it answers."""

    name: str = "smsc"
    standing: bool = True
    sent: list[tuple[str, str]] = field(default_factory=list)
    answers: list[Callable[[], Taken | NotTaken]] = field(default_factory=list)

    def ready(self) -> bool:
        """See ``SMSGateway.ready``."""
        return self.standing

    def send(self, phone: str, text: str) -> Taken | NotTaken:
        """See ``SMSGateway.send``."""
        self.sent.append((phone, text))
        if self.answers:
            return self.answers.pop(0)()
        return Taken(provider_message=f"M{len(self.sent)}")


class World:
    """An accepted dossier whose citizen is to be told."""

    def __init__(self, gateway: SMSGateway | None = None) -> None:
        self.clock, self.phone = HandClock(), Phone()
        self._gateway = gateway or self.phone
        log, keys = MemoryLog(clock=self.clock), MemoryKeys()
        self.office = Office(log.for_role, keys, self.clock)
        dossier = self.office.deposit()
        intake = self.office.recorder("motcua_intake")
        reactor = Reactor(
            name="intake.reactions", handlers=event_handlers(intake.log, LogCalendar(intake.log))
        )
        ReactorRunner(reactor, intake, self.clock).handle(
            self.office.newest("kiosk.dossier_deposited")
        )
        self.office.settle(dossier)
        Commands(intake, self.clock, LogCalendar(intake.log)).perform(
            Perform(verb="accept", dossier=dossier, official="cb001", office="VT"),
            source="test", key=str(uuid.uuid4()), cause=DOSSIER_CAUSE,
        )  # fmt: skip
        self.recorder = self.office.recorder("motcua_notify")
        reactions = ReactorRunner(
            Reactions(self.recorder.log, self.clock).reactor(), self.recorder, self.clock
        )
        assert reactions.handle(self.office.newest("dossier.accepted")) is Outcome.HANDLED
        self.restart()

    def restart(self) -> None:
        """A new process that knows nothing but the log."""
        sending = Sending(self.recorder, self._gateway, self.clock)
        self.runner = ReactorRunner(sending.reactor(), self.recorder, self.clock)

    def requested(self) -> RecordedEvent:
        """Return the message that is to go out."""
        return self.office.newest("notification.requested")

    def send(self) -> Outcome:
        """Deliver the request to the sender; raises Unavailable where that pauses it."""
        return self.runner.handle(self.requested())

    def story(self) -> Sequence[str]:
        """Return what became of the message, in order."""
        events = self.recorder.log.read_stream(self.requested().stream)
        return [event.type.partition(".")[2] for event in events]
