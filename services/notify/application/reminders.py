# SPDX-License-Identifier: Apache-2.0
"""A timer that reminds of results still lying in their cells, once before the right runs out.

Runs in every replica: each reminder is one keyed request on the stream of its own message, so the
second replica changes nothing. Nobody is reminded at night; codes are sent at any hour.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from services.common.canonical import Json
from services.common.clock import VIETNAM, Clock
from services.common.errors import Conflict, Refused
from services.common.eventlog.record import RecordedEvent
from services.common.eventlog.recording import Cause, Recorder, facts_of
from services.common.telemetry.logs import get_logger
from services.notify.application.reactions import Reactions

SOURCE: Final = "timer:notify.reminders"
_STORED: Final = "kiosk.grant_stored"
_GONE: Final = ("kiosk.result_released", "kiosk.result_recalled")
_PAGE: Final = 1_000
_LOG = get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Quiet:
    """Hours of the day in Vietnam in which nobody is disturbed; equal hours mean none."""

    from_hour: int = 21
    to_hour: int = 7

    def at(self, instant: datetime) -> bool:
        """Say whether ``instant`` is a quiet one."""
        hour = instant.astimezone(VIETNAM).hour
        if self.from_hour <= self.to_hour:
            return self.from_hour <= hour < self.to_hour
        return hour >= self.from_hour or hour < self.to_hour


class Reminders:
    """Knows which results lie in cells, from the log."""

    def __init__(
        self, recorder: Recorder, reactions: Reactions, clock: Clock, *, before: timedelta,
        quiet: Quiet,
    ) -> None:  # fmt: skip
        """Remind ``before`` the right to collect runs out, outside the ``quiet`` hours."""
        self._recorder = recorder
        self._reactions = reactions
        self._clock = clock
        self._before = before
        self._quiet = quiet
        self._waiting: dict[str, tuple[RecordedEvent, datetime]] = {}
        self._through = 0

    def once(self) -> int:
        """Request every reminder that is due; returns how many.

        Raises:
            Unavailable: the log is down; the next look makes up for it.
        """
        self._learn()
        now, asked = self._clock.now(), 0
        if self._quiet.at(now):
            return 0
        for dossier, (stored, not_after) in list(self._waiting.items()):
            if now < not_after - self._before:
                continue
            del self._waiting[dossier]
            asked += now < not_after and self._remind(stored)
        return asked

    def _remind(self, stored: RecordedEvent) -> bool:
        changes = self._reactions.remind(stored)
        if not changes:
            return False
        try:
            self._recorder.record(
                changes, source=SOURCE, key=str(stored.event_id),
                cause=Cause.of(stored, "service:notify"), asked=["remind", str(stored.event_id)],
            )  # fmt: skip
        except Conflict:
            return False  # another replica was faster
        return True

    def _learn(self) -> None:
        types = [_STORED, *_GONE]
        while events := self._recorder.log.read_all(self._through, limit=_PAGE, types=types):
            for event in events:
                data = dict(facts_of([event]))[event.type]
                self._waiting.pop(str(data["dossier"]), None)
                if event.type == _STORED:
                    self._wait_for(event, data)
            self._through = events[-1].position

    def _wait_for(self, stored: RecordedEvent, data: Mapping[str, Json]) -> None:
        try:
            params = self._reactions.collection(stored, "reminder").params
        except Refused as refused:
            _LOG.warning("reminder_left_out", reason=refused.code)
            return
        not_after = datetime.fromisoformat(params["not_after"])
        self._waiting[str(data["dossier"])] = (stored, not_after)
