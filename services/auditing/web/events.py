# SPDX-License-Identifier: Apache-2.0
"""Pages about one event: as the log has it, and what proves it."""

from typing import Final

from flask import Blueprint, Response
from werkzeug.exceptions import NotFound

from services.auditing.application.telling import masked, told
from services.auditing.bootstrap import Auditing
from services.common.eventlog.record import RecordedEvent
from services.common.web.rendering import render, say

_POSITION_MAX: Final = 2**63 - 1


def event_pages(blueprint: Blueprint, auditing: Auditing) -> None:
    """Add the pages."""

    def event(position: int) -> Response:
        """Show one event as the log has it, and what proves it."""
        one = _event(auditing, position)
        events = auditing.log.read_subject(one.subject) if one.subject else [one]
        step = next(step for step in told(events) if step.event.position == position)
        data = masked(one, events, hidden=say("personal.hidden"), erased=say("personal.erased"))
        return render("audit/event.html", event=one, step=step, data=data,
                      evidence=auditing.proofs.evidence(one))  # fmt: skip

    def proof(position: int) -> Response:
        """Give the proof of one event as a file that needs neither us nor our log."""
        text = auditing.proofs.evidence(_event(auditing, position)).proof
        if not text:
            raise NotFound("there is no proof of this event yet")
        answer = Response(text, content_type="text/plain; charset=utf-8")
        answer.headers["Content-Disposition"] = f'attachment; filename="{position}.tlog-proof"'
        return answer

    blueprint.add_url_rule("/events/<int:position>", "event", event)
    blueprint.add_url_rule("/events/<int:position>/proof", "proof", proof)


def _event(auditing: Auditing, position: int) -> RecordedEvent:
    found = auditing.log.read_positions([position]) if position <= _POSITION_MAX else ()
    if not found:
        raise NotFound("there is no event at this position")
    return found[0]
