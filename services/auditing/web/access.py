# SPDX-License-Identifier: Apache-2.0
"""The page about who read personal data."""

from typing import Final

from flask import Blueprint, Response

from services.auditing.application.access import Asked
from services.auditing.application.moments import read_moment
from services.auditing.bootstrap import Auditing
from services.common.errors import Malformed, Problem, Refused
from services.common.web.asking import asked, asked_whole
from services.common.web.rendering import render

PAGE: Final = 50


def access_pages(blueprint: Blueprint, auditing: Auditing) -> None:
    """Add the page."""

    def access() -> Response:
        """Show readings, newest first, those that the form asks for."""
        words = {name: asked(name) for name in ("reader", "dossier", "since", "until")}
        below = asked_whole("below")
        found = auditing.access.readings(_question(auditing, words, below), PAGE + 1)
        return render("audit/access.html", words=words, below=below, rows=found[:PAGE],
                      more=len(found) > PAGE)  # fmt: skip

    blueprint.add_url_rule("/access", "access", access)


def _question(auditing: Auditing, words: dict[str, str], below: int | None) -> Asked:
    try:
        dossier = auditing.dossiers.named(words["dossier"]) if words["dossier"] else ""
    except Refused as refusal:
        found = Problem("dossier", refusal.code, refusal.en, refusal.vi)
        raise Malformed("query", (found,)) from refusal
    return Asked(
        reader=words["reader"], dossier=dossier, below=below,
        since_us=_time(words["since"], "since"), until_us=_time(words["until"], "until"),
    )  # fmt: skip


def _time(text: str, field: str) -> int | None:
    moment = read_moment(text, field=field)
    if moment.position is not None:
        found = Problem(
            field, "not_a_time", "a time like 2026-11-23T16:00 is needed",
            "cần một thời điểm, ví dụ 2026-11-23T16:00",
        )  # fmt: skip
        raise Malformed("query", (found,))
    return moment.until_us
