# SPDX-License-Identifier: Apache-2.0
"""Which events of other services call for a message (reactor ``notify.reactions``)."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from uuid import UUID

from services.common import ids
from services.common.canonical import Json
from services.common.clock import VIETNAM, Clock, to_millis
from services.common.errors import Refused
from services.common.eventlog.port import EventLog
from services.common.eventlog.record import RecordedEvent
from services.common.eventlog.recording import Change, Fact, facts_of
from services.common.messaging.reaction import Handler, Reactor
from services.notify.application.words import SAID, Origin, Say, day
from services.notify.domain.notification import RequestNotification, decide, fold

REACTOR = "notify.reactions"
_GIVES_CODE = ("dossier.imported", "dossier.accepted", "dossier.supplement_received")


def notification_id(cause: RecordedEvent, purpose: str = "notification") -> UUID:
    """Derive the notification's id from the event that calls for it: one event, one message."""
    millis = ids.cause_ms_of(cause.event_id, to_millis(cause.occurred_at))
    return ids.event_id(millis, f"notify.{purpose}", str(cause.event_id), 0)


def stream_of(notification: UUID | str) -> str:
    """Return the stream of one notification."""
    return f"notification-{notification}"


class Reactions:
    """Handlers of ``notify.reactions``; they read the log and change nothing themselves."""

    def __init__(self, log: EventLog, clock: Clock) -> None:
        """Bind the log and the clock."""
        self._log = log
        self._clock = clock

    def reactor(self) -> Reactor:
        """Return the reactor with its handlers."""
        clock = self._clock
        return Reactor.batched(
            REACTOR, self._log, lambda log: Reactions(log, clock).handlers(), _streams_read
        )

    def handlers(self) -> Mapping[str, Handler]:
        """Return the handler of each event type."""
        return {
            **{name: partial(self._say, say) for name, say in SAID.items()},
            "dossier.notice_repeated": self.repeat,
            "kiosk.grant_stored": self.grant_stored,
        }

    def _say(self, say: Say, event: RecordedEvent) -> Sequence[Change]:
        words = say(dict(facts_of([event]))[event.type])
        if words is None:
            return ()
        template, params = words
        dossier = _subject(event)
        return self._request(event, self._message(dossier, template, params))

    def grant_stored(self, event: RecordedEvent) -> Sequence[Change]:
        """Announce the result once the machine itself can release it."""
        return self._request(event, self.collection(event, "result_ready"))

    def remind(self, stored: RecordedEvent) -> Sequence[Change]:
        """Remind of a result that still lies in its cell; once for each right to collect it."""
        command = replace(self.collection(stored, "reminder"), code_event=None)
        return self._request(stored, command, purpose="reminder")

    def repeat(self, event: RecordedEvent) -> Sequence[Change]:
        """Say the dossier's last message again, because an official asked for it.

        A reminder is no such message: it speaks of the code that may be just what is missing.
        """
        said = [
            told
            for told in self._log.read_subject(_subject(event))
            if told.type == "notification.requested"
            and told.position < event.position
            and told.data["template"] != "reminder"
        ]
        if not said:
            raise _missing("notification.requested")
        last = dict(facts_of(said[-1:]))["notification.requested"]
        params = last["params"]
        assert isinstance(params, Mapping), "the contract says so"
        command = RequestNotification(
            dossier=_subject(event),
            template=str(last["template"]),
            params={name: str(value) for name, value in params.items()},
            contact_event=str(last["contact_event"]),
            code_event=None if last["code_event"] is None else str(last["code_event"]),
        )
        return self._request(event, command)

    def collection(self, stored: RecordedEvent, template: str) -> RequestNotification:
        """Return a message about the right to collect that ``stored`` put into a machine."""
        data = dict(facts_of([stored]))[stored.type]
        serial = stored.stream.split("-")[1]
        issued, grant = self._grant(serial, str(data["grant"]))
        params = {"machine": serial, "until": day(grant["not_after"])}
        command = self._message(str(data["dossier"]), template, params)
        return replace(
            command,
            params={**command.params, "not_after": str(grant["not_after"])},
            code_event=str(issued.event_id),
        )

    def _message(
        self, dossier: str, template: str, params: Mapping[str, str]
    ) -> RequestNotification:
        origin = origin_of(self._log, dossier)
        return RequestNotification(
            dossier=dossier,
            template=template,
            params={"office": self._office_name(origin.office), "code": origin.code, **params},
            contact_event=origin.contact_event,
        )

    def _request(
        self, event: RecordedEvent, command: RequestNotification, purpose: str = "notification"
    ) -> list[Change]:
        stream = stream_of(notification_id(event, purpose))
        state = fold(facts_of(self._log.read_stream(stream)))
        facts = tuple(
            Fact(type=made.type, data=made.data, subject=command.dossier)
            for made in decide(command, state)
        )
        if not facts:
            return []
        return [Change(stream=stream, expected_version=state.version, facts=facts)]

    def _office_name(self, office: str) -> str:
        today, name = self._clock.now().astimezone(VIETNAM).date().isoformat(), ""
        for event_type, data in facts_of(self._log.read_stream(f"office-{office}")):
            if event_type == "office.opened" or str(data["valid_from"]) <= today:
                name = str(data["name_sms"])
        if not name:
            raise _missing("office.opened")
        return name

    def _grant(self, serial: str, grant: str) -> tuple[RecordedEvent, Mapping[str, Json]]:
        for event in self._log.read_stream(f"grant-{serial}"):
            if event.type == "grant.release_issued":
                data = dict(facts_of([event]))[event.type]
                if data["grant"] == grant:
                    return event, data
        raise _missing("grant.release_issued")


def _streams_read(event: RecordedEvent) -> Sequence[str]:
    own = stream_of(notification_id(event))
    return (own,) if event.subject is None else (own, f"dossier-{event.subject}")


def origin_of(log: EventLog, dossier: str) -> Origin:
    """Return where a dossier came from, a machine or a counter; raises ``nothing_to_announce``."""
    office = contact = code = handed_in = ""
    for event in log.read_stream(f"dossier-{dossier}"):
        data = dict(facts_of([event]))[event.type]
        if event.type == "dossier.registered":
            office, contact = str(data["office"]), str(data["contact_event"])
            at = event.occurred_at.astimezone(VIETNAM)
            handed_in = f"may {data['machine']} ngay {at:%d/%m}"
        elif event.type == "dossier.imported":
            office, contact = str(data["office"]), str(event.event_id)
        code = str(data["code"]) if event.type in _GIVES_CODE else code
    if not contact:
        raise _missing("dossier.registered")
    return Origin(office=office, contact_event=contact, code=code or handed_in)


def _subject(event: RecordedEvent) -> str:
    return str(event.subject or event.stream.partition("-")[2])


def _missing(event_type: str) -> Refused:
    return Refused(
        "nothing_to_announce",
        f"there is no {event_type} to announce",
        f"không có sự kiện {event_type} để thông báo",
    )
