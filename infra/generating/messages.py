# SPDX-License-Identifier: Apache-2.0
"""The text messages of a generated log: what is said of an event, and what became of it."""

from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

from infra.generating.world import Process, Told, World
from services.common import ids
from services.common.eventlog.recording import Cause
from services.notify.application.receipts import SOURCE, reference_stream
from services.notify.application.sending import ACTOR
from services.notify.application.sending import REACTOR as SENDING
from services.notify.domain.notification import (
    BeginAttempt,
    Command,
    Notification,
    RecordAccepted,
    RecordDelivery,
    RecordFailed,
    RecordUnknown,
    RequestNotification,
    decide,
    evolve,
)

_PROVIDER: Final = "smpp"
_FAILED, _UNKNOWN, _SILENT, _UNDELIVERED = 10, 15, 45, 80
"""Per mille: refused; no answer; no receipt ever; a receipt that it did not arrive."""


class Message:
    """One message; ``send`` is its process."""

    def __init__(
        self, world: World, command: RequestNotification, cause: str, office: str, session: str
    ) -> None:
        """Bind; ``cause`` is the event that calls for it."""
        self._world, self._command, self._cause = world, command, cause
        self._office, self._session = office, session
        millis = ids.cause_ms_of(UUID(cause), world.now_us // 1000)
        self._id = str(ids.event_id(millis, "notify.notification", cause, 0))
        self._stream = f"notification-{self._id}"
        self._state = Notification()

    def send(self) -> Process:
        """Ask for it, send it, wait for its receipt."""
        world = self._world
        yield world.between(0.05, 0.3)
        asked = self._say(
            self._command, source="notify.reactions", key=self._cause, because=self._cause,
            actor="service:notify",
        )  # fmt: skip
        yield world.between(0.05, 0.2)
        self._sent(BeginAttempt(provider=_PROVIDER), asked)
        yield world.between(0.1, 0.6)
        luck = world.dice.randrange(1000)
        if luck < _FAILED:
            self._sent(RecordFailed(error="phone_invalid"), asked)
        elif luck < _UNKNOWN:
            due = world.now().isoformat(timespec="seconds")
            self._sent(RecordUnknown(reason="no_answer", owner=self._office, due_at=due), asked)
        else:
            name = f"{world.dice.getrandbits(48):012X}"
            yield from self._accepted(name, asked, luck)
        world.close(self._stream)

    def _accepted(self, name: str, asked: str, luck: int) -> Process:
        world = self._world
        back = {"notification": self._id, "provider_message": name}
        expected = Told("notification.receipt_expected", back)
        self._sent(RecordAccepted(provider_message=name), asked, (reference_stream(name), expected))
        world.close(reference_stream(name))
        if luck >= _SILENT:
            yield world.between(2, 90)
            state = "UNDELIV" if luck < _UNDELIVERED else "DELIVRD"
            self._say(
                RecordDelivery(provider_message=name, state=state), source=SOURCE,
                key=f"{self._id}/{state}", because=asked, actor="provider:sms",
            )  # fmt: skip

    def _sent(self, command: Command, asked: str, *more: tuple[str, Told]) -> None:
        (made,) = decide(command, self._state)
        key = f"{self._id}/{self._state.version + 1}/{made.type}"
        self._say(command, *more, source=SENDING, key=key, because=asked, actor=ACTOR)

    def _say(
        self, command: Command, *more: tuple[str, Told], source: str, key: str, because: str,
        actor: str,
    ) -> str:  # fmt: skip
        (made,) = decide(command, self._state)
        self._state = evolve(self._state, made.type, made.data)
        cause = Cause(correlation_id=self._session, actor=actor, causation_id=because)
        told = Told(made.type, made.data, self._command.dossier)
        changes = [(self._stream, [told]), *((stream, [one]) for stream, one in more)]
        return self._world.say(changes, source=source, key=key, cause=cause)[0]


def asked_for(
    dossier: str, template: str, params: Mapping[str, Any], contact: str, code: str | None
) -> RequestNotification:
    """Return what asks for a message."""
    return RequestNotification(
        dossier=dossier, template=template, params=params, contact_event=contact, code_event=code
    )
