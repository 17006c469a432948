# SPDX-License-Identifier: Apache-2.0
"""Sending again: what a time or a dossier comes to, then the order, with who and why."""

import re
import uuid
from typing import Any, Final

from flask import Blueprint, Response, request, url_for

from services.common.errors import Malformed, Problem, Refused
from services.common.telemetry.logs import get_logger
from services.common.web.asking import asked, asked_time
from services.common.web.pages import current_person
from services.common.web.rendering import render
from services.notify.application.replays import (
    SPANS_MAX,
    Plan,
    Span,
    of_dossier,
    of_time,
    order_replay,
    webhook_of,
)
from services.notify.application.subscribers import FRESH_S
from services.notify.consoling import Consoling
from services.notify.web.console.area import seen

REFERENCE_MAX: Final = 64
_SPAN: Final = re.compile(r"([1-9][0-9]{0,15})-([1-9][0-9]{0,15})")
_LOG = get_logger(__name__)


def replay_pages(blueprint: Blueprint, consoling: Consoling) -> None:
    """Add the pages."""

    def replay(name: str) -> Response:
        """Show what a time or a dossier comes to, with the form that orders it."""
        seen(consoling, name)
        words = {field: asked(field) for field in ("since", "until", "dossier")}
        try:
            plan = _plan(consoling, name, words)
        except Refused as refusal:
            return _form(consoling, name, words, refusal=refusal, status=422)
        return _form(consoling, name, words, plan=plan)

    def order(name: str) -> Response:
        """Order it; the same form sent twice orders once."""
        seen(consoling, name)
        spans, key = _spans(request.form.get("spans", "")), request.form.get("key", "")
        reference, by = request.form.get("reference", "").strip(), current_person().id
        try:
            _check(reference, key)
            order_replay(consoling.recorder, name, spans, reference=reference, by=by, key=key)
        except Refused as refusal:
            plan = Plan(spans=spans, events=0)
            return _form(consoling, name, {"reference": reference}, plan=plan, refusal=refusal,
                         status=409, key=key)  # fmt: skip
        _LOG.info("replay_ordered", person=by, subscriber=name, orders=len(spans),
                  first=spans[0][0], last=spans[-1][1])  # fmt: skip
        # What is known of subscribers may be so old; the next page has to show the order.
        consoling.clock.sleep(FRESH_S)
        way = url_for("subscribers.one", name=name, ordered=len(spans))
        return Response(status=303, headers={"Location": f"{way}#redrives"})

    blueprint.add_url_rule("/one/<name>/replay", "replay", replay)
    blueprint.add_url_rule("/one/<name>/replay", "order", order, methods=["POST"])


def _plan(consoling: Consoling, name: str, words: dict[str, str]) -> Plan | None:
    """Return what is asked for; None where nothing is."""
    since, until = asked_time("since"), asked_time("until")
    if not words["dossier"] and since is None:
        return None
    one = webhook_of(consoling.log, name)
    if words["dossier"]:
        return of_dossier(consoling.log, one, _dossier(words["dossier"]))
    assert since is not None, "asked above"
    return of_time(consoling.log, one, since, until)


def _form(
    consoling: Consoling, name: str, words: dict[str, str], *, plan: Plan | None = None,
    refusal: Refused | None = None, status: int = 200, key: str = "",
) -> Response:  # fmt: skip
    values: dict[str, Any] = {"since": "", "until": "", "dossier": "", "reference": "", **words}
    page = render(
        "subscribers/replay.html", one=seen(consoling, name), words=values, plan=plan,
        refusal=refusal, key=key or str(uuid.uuid4()), reference_max=REFERENCE_MAX,
    )  # fmt: skip
    page.status_code = status
    return page


def _dossier(text: str) -> str:
    try:
        return str(uuid.UUID(text))
    except ValueError as error:
        raise Refused("not_an_id", "the id of a dossier is a UUID: the field subject of its events",
                      "định danh hồ sơ là một UUID: trường subject của các sự kiện",
                      field="dossier") from error  # fmt: skip


def _spans(text: str) -> tuple[Span, ...]:
    words = text.split(",")
    found = [_SPAN.fullmatch(word) for word in words]
    if len(words) > SPANS_MAX or not all(found):
        problem = Problem("spans", "not_spans", "this form is not one of ours",
                          "biểu mẫu không hợp lệ")  # fmt: skip
        raise Malformed("form", (problem,))
    return tuple((int(one[1]), int(one[2])) for one in found if one is not None)


def _check(reference: str, key: str) -> None:
    if not re.fullmatch(rf"[!-~]{{1,{REFERENCE_MAX}}}", reference):
        raise Refused(
            "reference_missing",
            f"say which letter or ticket asks for it: 1 to {REFERENCE_MAX} signs without blanks or"
            " accents, for example CV-12",
            f"cần số văn bản hoặc mã yêu cầu: 1 đến {REFERENCE_MAX} ký tự không dấu, không cách,"
            " ví dụ CV-12", field="reference",
        )  # fmt: skip
    try:
        uuid.UUID(key)
    except ValueError as error:
        found = Problem("key", "not_uuid", "this form is not one of ours", "biểu mẫu không hợp lệ")
        raise Malformed("form", (found,)) from error
