# SPDX-License-Identifier: Apache-2.0
"""Which events of other services call for a message (reactor ``notify.reactions``)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from services.common import ids
from services.common.canonical import Json
from services.common.clock import VIETNAM, Clock, to_millis
from services.common.errors import Refused
from services.common.eventlog.port import EventLog
from services.common.eventlog.record import RecordedEvent
from services.common.eventlog.recording import Change, Fact, facts_of
from services.common.messaging.reaction import Reactor
from services.notify.domain.notification import RequestNotification, decide, fold

REACTOR = "notify.reactions"
_GIVES_CODE = ("dossier.imported", "dossier.accepted", "dossier.supplement_received")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Origin:
    """What every message needs to know of a dossier; ``code`` is empty before the acceptance."""

    office: str
    contact_event: str
    code: str


def notification_id(cause: RecordedEvent) -> UUID:
    """Derive the notification's id from the event that calls for it: one event, one message."""
    millis = ids.cause_ms_of(cause.event_id, to_millis(cause.occurred_at))
    return ids.event_id(millis, "notify.notification", str(cause.event_id), 0)


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
        handlers = {"dossier.accepted": self.accepted, "kiosk.grant_stored": self.grant_stored}
        return Reactor(name=REACTOR, handlers=handlers)

    def accepted(self, event: RecordedEvent) -> Sequence[Change]:
        """Announce the due date once an official has accepted the dossier."""
        dossier = _subject(event)
        story = self._dossier(dossier)
        accepted = _one(story, "dossier.accepted")
        origin = self._origin(dossier)
        params = {
            "office": self._office_name(origin.office),
            "code": str(accepted["code"]),
            "due": _day(accepted["due_at"]),
        }
        return self._request(
            event,
            RequestNotification(
                dossier=dossier,
                template="accepted",
                params=params,
                contact_event=origin.contact_event,
            ),
        )

    def grant_stored(self, event: RecordedEvent) -> Sequence[Change]:
        """Announce the result once the machine itself can release it."""
        stored = dict(facts_of([event]))[event.type]
        serial = event.stream.split("-")[1]
        issued, grant = self._grant(serial, str(stored["grant"]))
        dossier = str(stored["dossier"])
        origin = self._origin(dossier)
        params = {
            "office": self._office_name(origin.office),
            "code": origin.code,
            "machine": serial,
            "until": _day(grant["not_after"]),
            "not_after": str(grant["not_after"]),
        }
        return self._request(
            event,
            RequestNotification(
                dossier=dossier,
                template="result_ready",
                params=params,
                contact_event=origin.contact_event,
                code_event=str(issued.event_id),
            ),
        )

    def _request(self, event: RecordedEvent, command: RequestNotification) -> list[Change]:
        stream = stream_of(notification_id(event))
        state = fold(facts_of(self._log.read_stream(stream)))
        facts = tuple(
            Fact(type=made.type, data=made.data, subject=command.dossier)
            for made in decide(command, state)
        )
        if not facts:
            return []
        return [Change(stream=stream, expected_version=state.version, facts=facts)]

    def _dossier(self, dossier: str) -> Mapping[str, Mapping[str, Json]]:
        return dict(facts_of(self._log.read_stream(f"dossier-{dossier}")))

    def _origin(self, dossier: str) -> _Origin:
        """Return where a dossier came from, be it a machine or a counter."""
        office = contact = code = ""
        for event in self._log.read_stream(f"dossier-{dossier}"):
            data = dict(facts_of([event]))[event.type]
            if event.type == "dossier.registered":
                office, contact = str(data["office"]), str(data["contact_event"])
            elif event.type == "dossier.imported":
                office, contact = str(data["office"]), str(event.event_id)
            code = str(data["code"]) if event.type in _GIVES_CODE else code
        if not contact:
            raise _missing("dossier.registered")
        return _Origin(office=office, contact_event=contact, code=code)

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


def _subject(event: RecordedEvent) -> str:
    return event.stream.partition("-")[2]


def _one(story: Mapping[str, Mapping[str, Json]], event_type: str) -> Mapping[str, Json]:
    if event_type not in story:
        raise _missing(event_type)
    return story[event_type]


def _missing(event_type: str) -> Refused:
    return Refused(
        "nothing_to_announce",
        f"there is no {event_type} to announce",
        f"không có sự kiện {event_type} để thông báo",
    )


def _day(instant: Json) -> str:
    return datetime.fromisoformat(str(instant)).astimezone(VIETNAM).strftime("%d/%m/%Y")
