# SPDX-License-Identifier: Apache-2.0
"""Sending: at most one SMS for each notification, and the truth about it (``notify.sending``).

Order of acts, and what a kill after each leaves behind:

1. nothing is begun while no session to the SMS centre stands (Unavailable: the consumer pauses);
2. contact and code are decrypted; erased data ends the message here (``failed: erased``);
3. ``notification.attempted`` is appended at the exact version, so one replica wins;
4. the message is handed over; a kill between 3 and 5 leaves an attempt without an outcome, which
   the next delivery of the event records as ``outcome_unknown`` instead of sending again;
5. the outcome is appended.

A throttled or unsent attempt is recorded as failed with a retryable error, because the provider
itself says that it took nothing; the consumer then pauses and attempts again under a new number,
after "throttled" not before ``Pace`` allows it.
"""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from services.common import ids
from services.common.canonical import Json
from services.common.clock import Clock, to_millis
from services.common.errors import Conflict, Unavailable, UnknownOutcome
from services.common.eventlog.record import RecordedEvent
from services.common.eventlog.recording import (
    CannotOpenError,
    Cause,
    Change,
    Fact,
    Recorder,
    facts_of,
)
from services.common.messaging.reaction import Reactor
from services.common.phone import international
from services.notify.application.pace import Pace
from services.notify.application.ports import NotTaken, SMSGateway, Taken
from services.notify.application.reactions import origin_of
from services.notify.application.receipts import expectation
from services.notify.domain.notification import (
    RETRYABLE,
    BeginAttempt,
    Command,
    Notification,
    Phase,
    RecordAccepted,
    RecordFailed,
    RecordUnknown,
    decide,
    fold,
)
from services.notify.domain.templates import TEMPLATES, TemplateError

REACTOR: Final = "notify.sending"
SMSC: Final = "smsc"
ACTOR: Final = "service:notify"
FIND_OUT_WITHIN: Final = timedelta(hours=4)
"""Until then the office that owns an unknown outcome has asked the citizen."""


@dataclass(slots=True)
class _Ours:
    """What this process knows about an attempt of its own."""

    key: UUID
    submitted: bool = False
    outcome: Command | None = None


@dataclass(frozen=True, slots=True)
class _Message:
    phone: str
    text: str

    def __repr__(self) -> str:
        """Show nothing: number and text are personal."""
        return "_Message(…)"


class Sending:
    """The handler of ``notify.sending``; safe to call from many threads and replicas."""

    def __init__(
        self, recorder: Recorder, gateway: SMSGateway, clock: Clock, *, patience_s: int = 20
    ) -> None:
        """Bind the parts.

        Args:
            recorder: reads and appends.
            gateway: sends.
            clock: tells when a code or an attempt has grown stale.
            patience_s: seconds after which an attempt that is not ours has no outcome coming; more
                than the gateway's own time-out.
        """
        self._recorder = recorder
        self._gateway = gateway
        self._clock = clock
        self._patience = timedelta(seconds=patience_s)
        self._pace = Pace(clock)
        self._attempts: dict[str, _Ours] = {}
        self._guard = threading.Lock()

    def reactor(self) -> Reactor:
        """Return the reactor with its handler."""
        return Reactor(name=REACTOR, handlers={"notification.requested": self.send})

    def send(self, event: RecordedEvent) -> Sequence[Change]:
        """Bring one requested message to an outcome; everything is recorded by itself.

        Raises:
            Unavailable: no session, throttled, or the attempt is in another replica's hands.
        """
        history = self._recorder.log.read_stream(event.stream)
        state = fold(facts_of(history))
        if state.phase is Phase.REQUESTED:
            self._attempt(event, state)
        elif state.phase is Phase.ATTEMPTED:
            self._settle(event, state, history[-1])
        else:
            with self._guard:
                self._attempts.pop(event.stream, None)
        return ()

    def _attempt(self, event: RecordedEvent, state: Notification) -> None:
        if not self._gateway.ready():
            raise Unavailable(SMSC, "no session")
        if self._pace.holds_back():
            raise Unavailable(SMSC, "throttled a moment ago")
        message = self._message(event)
        if isinstance(message, str):
            self._record(event, state, RecordFailed(error=message))
            return
        ours = _Ours(ids.new_id(to_millis(self._clock.now())))
        with self._guard:
            self._attempts[event.stream] = ours
        begin = BeginAttempt(provider=self._gateway.name)
        try:
            self._record(event, state, begin, key=str(ours.key))
        except Conflict as conflict:
            raise Unavailable(SMSC, "another replica began this attempt") from conflict
        self._submit(event, ours, message)

    def _settle(self, event: RecordedEvent, state: Notification, begun: RecordedEvent) -> None:
        """Deal with an open attempt: ours (go on where it stands) or somebody else's (wait)."""
        with self._guard:
            ours = self._attempts.get(event.stream)
        if ours is not None and begun.event_id == _event_id(ours.key):
            if ours.outcome is not None:
                self._finish(event, state, ours.outcome)
            elif ours.submitted:
                raise Unavailable(SMSC, "this attempt is under way in another thread")
            else:
                self._resume(event, state, ours)
            return
        if self._clock.now() - begun.recorded_at < self._patience:
            raise Unavailable(SMSC, "an attempt of another process may still be under way")
        self._finish(event, state, self._unknown(event, "attempt_without_outcome"))

    def _resume(self, event: RecordedEvent, state: Notification, ours: _Ours) -> None:
        """Submit what was begun but never handed over (the append's answer was lost)."""
        message = self._message(event)
        if isinstance(message, str):
            self._finish(event, state, RecordFailed(error=message))
        else:
            self._submit(event, ours, message)

    def _submit(self, event: RecordedEvent, ours: _Ours, message: _Message) -> None:
        with self._guard:
            if ours.submitted:
                raise Unavailable(SMSC, "this attempt is under way in another thread")
            ours.submitted = True
        try:
            answer = self._gateway.send(message.phone, message.text)
        except UnknownOutcome as unknown:
            reason = unknown.facts.get("reason", "no_answer")
            ours.outcome = self._unknown(event, reason)
        else:
            ours.outcome = _outcome(answer)
            self._keep_pace(answer)
        state = fold(facts_of(self._recorder.log.read_stream(event.stream)))
        self._finish(event, state, ours.outcome)

    def _keep_pace(self, answer: Taken | NotTaken) -> None:
        if answer == NotTaken(error="throttled"):
            self._pace.throttled()
        else:
            self._pace.answered()

    def _unknown(self, event: RecordedEvent, reason: str) -> RecordUnknown:
        """Return the outcome that nobody knows: the dossier's office has to find out."""
        owner = origin_of(self._recorder.log, str(event.subject)).office
        due = self._clock.now() + FIND_OUT_WITHIN
        return RecordUnknown(reason=reason, owner=owner, due_at=due.isoformat(timespec="seconds"))

    def _finish(self, event: RecordedEvent, state: Notification, outcome: Command) -> None:
        """Record an outcome; a retryable one pauses the consumer before the next attempt."""
        self._record(event, state, outcome)
        with self._guard:
            self._attempts.pop(event.stream, None)
        if isinstance(outcome, RecordFailed) and outcome.error in RETRYABLE:
            raise Unavailable(SMSC, outcome.error)

    def _record(
        self, event: RecordedEvent, state: Notification, command: Command, *, key: str | None = None
    ) -> None:
        facts = tuple(
            Fact(type=made.type, data=made.data, subject=event.subject)
            for made in decide(command, state)
        )
        if not facts:
            return
        changes = [Change(stream=event.stream, expected_version=state.version, facts=facts)]
        identifier = event.stream.partition("-")[2]
        if isinstance(command, RecordAccepted):
            changes.append(expectation(self._recorder.log, command.provider_message, identifier))
        asked: dict[str, Json] = {"notification": identifier, "type": facts[0].type}
        self._recorder.record(
            changes,
            source=REACTOR,
            key=key or f"{identifier}/{state.version + 1}/{facts[0].type}",
            cause=Cause.of(event, ACTOR),
            asked={**asked, "data": dict(facts[0].data)},
        )

    def _message(self, event: RecordedEvent) -> _Message | str:
        """Return number and text, or the word for why there is none to send."""
        data = dict(facts_of([event]))[event.type]
        params = _texts(data["params"])
        story = self._recorder.log.read_subject(str(data["dossier"]))
        schemas = {str(told.event_id): told.schema for told in story}
        until = params.get("not_after")
        if until is not None and self._clock.now() > datetime.fromisoformat(until):
            return "expired"
        if data["code_event"] is not None:
            code = self._personal(schemas, str(data["code_event"]), "code")
            if not isinstance(code, str):
                return "erased"
            params["otp"] = code
        contact = self._personal(schemas, str(data["contact_event"]), "contact")
        if not isinstance(contact, Mapping):
            return "erased"
        phone = international(str(contact.get("phone", "")))
        if phone is None:
            return "phone_invalid"
        try:
            return _Message(phone, TEMPLATES[str(data["template"])].render(params))
        except TemplateError:
            return "text_invalid"

    def _personal(self, schemas: Mapping[str, int], event: str, field: str) -> Json:
        if event not in schemas:
            return None
        try:
            return self._recorder.read_personal(UUID(event), schemas[event], field)
        except CannotOpenError:
            return None


def _outcome(answer: Taken | NotTaken) -> Command:
    if isinstance(answer, Taken):
        return RecordAccepted(provider_message=answer.provider_message)
    return RecordFailed(error=answer.error)


def _event_id(key: UUID) -> UUID:
    return ids.event_id(ids.cause_ms_of(key, 0), REACTOR, str(key), 0)


def _texts(params: Json) -> dict[str, str]:
    assert isinstance(params, Mapping)
    return {name: str(value) for name, value in params.items()}
