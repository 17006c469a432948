# SPDX-License-Identifier: Apache-2.0
"""Pages about one dossier: its story, its state at a moment, what became different."""

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

from flask import Blueprint, Response, request, url_for
from werkzeug.exceptions import NotFound

from services.auditing.application.moments import Moment, read_moment
from services.auditing.application.past import state_of
from services.auditing.application.telling import Step, changes_between, told
from services.auditing.bootstrap import Auditing
from services.auditing.web.proofs import now_us
from services.common.errors import EventsArchived, Refused
from services.common.eventlog.record import RecordedEvent
from services.common.telemetry.logs import get_logger
from services.common.web.asking import asked, asked_whole
from services.common.web.pages import current_person
from services.common.web.rendering import render

PAGE: Final = 100
"""Events of a story on one page."""
Story = Sequence[RecordedEvent]
_STATUS: Final = {"not_a_dossier_code": 422, "events_archived": 410}
_LOG = get_logger(__name__)


def dossier_pages(blueprint: Blueprint, auditing: Auditing) -> None:
    """Add the pages."""

    def home() -> Response:
        """Search; what was audited last lies one click away."""
        words = asked("q")
        if not words:
            return _home(auditing, "", None)
        try:
            dossier = auditing.dossiers.named(words)
            auditing.dossiers.story(dossier)
        except Refused as refusal:
            return _home(auditing, words, refusal)
        return Response(status=303, headers={"Location": url_for("audit.story", dossier=dossier)})

    def story(dossier: UUID) -> Response:
        """Tell everything that happened."""
        events = _story(auditing, dossier)
        steps = told(events)
        last = max(1, -(-len(steps) // PAGE))
        page = min(max(1, asked_whole("page") or 1), last)
        shown = steps[(page - 1) * PAGE : page * PAGE]
        sealed = auditing.proofs.store.head().sealed
        return render("audit/story.html", steps=shown, page=page, pages_in_all=last, sealed=sealed,
                      **_common(dossier, events, steps))  # fmt: skip

    def state(dossier: UUID) -> Response:
        """Show what the dossier was at a moment."""
        events = _story(auditing, dossier)
        steps = told(events)
        number = _number(events)
        shown = steps[number - 1] if number else None
        return render(
            "audit/state.html", current=number, step=shown, then=state_of(events[:number]),
            **_common(dossier, events, steps),
        )  # fmt: skip

    def difference(dossier: UUID) -> Response:
        """Show what became different between two moments."""
        events = _story(auditing, dossier)
        first, last = asked("from"), asked("to")
        since = read_moment(first, field="from") if first else Moment(position=0)
        until = read_moment(last, field="to")
        before, after = ([e for e in events if one.covers(e)] for one in (since, until))
        rows = changes_between(state_of(before), state_of(after))
        return render(
            "audit/difference.html", rows=rows, before=before, after=after,
            turned=len(before) > len(after), **_common(dossier, events, told(events)),
        )  # fmt: skip

    blueprint.add_url_rule("", "home", home)
    blueprint.add_url_rule("/dossiers/<uuid:dossier>", "story", story)
    blueprint.add_url_rule("/dossiers/<uuid:dossier>/state", "state", state)
    blueprint.add_url_rule("/dossiers/<uuid:dossier>/difference", "difference", difference)


def _home(auditing: Auditing, words: str, refusal: Refused | None) -> Response:
    rounds = auditing.proofs.store.rounds(1)
    page = render(
        "audit/home.html", words=words, refusal=refusal, recent=auditing.dossiers.recent(),
        head=auditing.proofs.store.head(), round=rounds[0] if rounds else None,
        now_us=now_us(auditing),
    )  # fmt: skip
    if refusal is not None:
        page.status_code = _STATUS.get(refusal.code, 404)
    return page


def _story(auditing: Auditing, dossier: UUID) -> Story:
    try:
        events = auditing.dossiers.story(str(dossier))
    except EventsArchived:
        raise  # the page of this error says which positions and which file
    except Refused as refusal:
        raise NotFound(refusal.en) from refusal
    _LOG.info("dossier_viewed", person=current_person().id, dossier=str(dossier),
              page=request.endpoint)  # fmt: skip
    return events


def _number(events: Story) -> int:
    """Return how many events of a story had happened at the asked moment."""
    at, step = asked("at"), asked_whole("step")
    if at:
        moment = read_moment(at)
        return sum(1 for one in events if moment.covers(one))
    return len(events) if step is None else min(max(1, step), len(events))


def _common(dossier: UUID, events: Story, steps: Sequence[Step]) -> dict[str, Any]:
    """Return what the head of each of a dossier's pages shows."""
    there, gone = (sum(step.personal[place] for step in steps) for place in (0, 1))
    return {
        "dossier": str(dossier), "now": state_of(events), "all_steps": steps,
        "personal": {"there": there, "gone": gone},
    }  # fmt: skip
