# SPDX-License-Identifier: Apache-2.0
"""Finding a dossier and its whole story."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from services.auditing.application.past import state_of
from services.common.canonical import Json
from services.common.errors import EventsArchived, Refused
from services.common.eventlog.port import EventLog
from services.common.eventlog.record import RecordedEvent
from services.intake.application.codes import Codes
from services.intake.domain.dossier_code import read_code

RECENT_MAX: Final = 8
_LOOKED_BACK: Final = 400
"""Events from the log's end in which the dossiers of late are sought."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Brief:
    """A dossier of late: what it is now, and the last thing that happened to it."""

    dossier: str
    state: dict[str, Json]
    last: RecordedEvent


class Dossiers:
    """Dossiers of one log; safe for many threads."""

    def __init__(self, log: EventLog) -> None:
        """Bind the log; offices are learnt when they are first needed."""
        self._log = log
        self._codes = Codes(log)
        self._learning = threading.Lock()

    def named(self, words: str) -> str:
        """Return the id of the dossier that ``words`` name: an id, or a code as people write it.

        Raises:
            Refused: ``not_a_dossier_code``, ``no_such_code``; an id is not looked up here.
        """
        try:
            return str(UUID(words))
        except ValueError:
            code = read_code(words)
        with self._learning:
            self._codes.learn()
            found = self._codes.find(code)
        if found is None:
            raise Refused("no_such_code", f"no dossier has {code}", f"không có hồ sơ {code}")
        return found

    def story(self, dossier: str) -> Sequence[RecordedEvent]:
        """Return everything about a dossier, over all streams, in log order.

        Raises:
            Refused: ``no_such_subject``.
            EventsArchived: it has left the database; names positions and file.
        """
        story = self._log.read_subject(dossier)
        if not story:
            raise nothing_known()
        return story

    def recent(self) -> list[Brief]:
        """Return the dossiers to which something happened last, newest first; some, not all."""
        newest: dict[str, RecordedEvent] = {}
        after = max(0, self._log.head() - _LOOKED_BACK)
        for event in reversed(self._log.read_all(after, limit=_LOOKED_BACK, present_only=True)):
            if event.subject is not None:
                newest.setdefault(event.subject, event)
        some = list(newest.items())[:RECENT_MAX]
        return [one for one in (self._brief(*named) for named in some) if one is not None]

    def _brief(self, dossier: str, last: RecordedEvent) -> Brief | None:
        try:
            story = self._log.read_subject(dossier)
        except EventsArchived:
            return None
        return Brief(dossier=dossier, state=state_of(story), last=last)


def nothing_known() -> Refused:
    """Return the refusal for a dossier that no event is about at the asked moment."""
    return Refused(
        "no_such_subject", "nothing was known of this dossier then",
        "khi đó chưa có hồ sơ này", field="dossier",
    )  # fmt: skip
