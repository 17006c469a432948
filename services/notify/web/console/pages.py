# SPDX-License-Identifier: Apache-2.0
"""Pages about subscribers: all of them, one, its deliveries, one of its days; and help."""

from datetime import date
from typing import Final

from flask import Blueprint, Response

from services.common.errors import Malformed, Problem, Refused
from services.common.web.asking import asked, asked_whole
from services.common.web.rendering import render
from services.notify.application.certificates import Certificate
from services.notify.application.standing import Standing
from services.notify.consoling import Consoling
from services.notify.web.console.area import seen, visible

DELIVERIES_PAGE: Final = 50
MISSING_SHOWN: Final = 20
REDRIVES_SHOWN: Final = 10


def subscriber_pages(blueprint: Blueprint, consoling: Consoling) -> None:
    """Add the pages."""

    def home() -> Response:
        """Show whom the person may see, and how each stands."""
        rows = consoling.standings.of(visible(consoling))
        return render("subscribers/home.html", rows=rows, head=consoling.log.head())

    def one(name: str) -> Response:
        """Show how one stands, what is missing, what it is granted, what was sent again."""
        found = standing_of(consoling, name)
        at = asked_whole("at")
        gaps = consoling.standings.gaps(found)
        return render(
            "subscribers/one.html", standing=found, gaps=gaps, missing=gaps.missing[:MISSING_SHOWN],
            redrives=found.one.redrives[: -REDRIVES_SHOWN - 1 : -1], at=at,
            head=consoling.log.head(), ordered=asked_whole("ordered"),
            feed=None if at is None else consoling.standings.behind(found.one, at),
        )  # fmt: skip

    def deliveries(name: str) -> Response:
        """Show the delivery log, newest first."""
        found = seen(consoling, name)
        failed, below = asked("failed") == "1", asked_whole("below")
        rows = consoling.deliveries.newest(
            found.name, DELIVERIES_PAGE + 1, failed=failed, below_us=below
        )
        return render(
            "subscribers/deliveries.html", one=found, rows=rows[:DELIVERIES_PAGE], failed=failed,
            below=below, more=len(rows) > DELIVERIES_PAGE,
        )  # fmt: skip

    def day(name: str) -> Response:
        """Show what the certificate of a day says."""
        found = seen(consoling, name)
        wanted = _day()
        told: Certificate | None = None
        refusal: Refused | None = None
        try:
            told = None if wanted is None else consoling.days.told(found, wanted)
        except Refused as error:
            refusal = error
        return render("subscribers/day.html", one=found, wanted=wanted, told=told, refusal=refusal)

    def help_page() -> Response:
        """Explain what the pages tell, and their limits."""
        return render("subscribers/help.html")

    blueprint.add_url_rule("", "home", home)
    blueprint.add_url_rule("/one/<name>", "one", one)
    blueprint.add_url_rule("/one/<name>/deliveries", "deliveries", deliveries)
    blueprint.add_url_rule("/one/<name>/day", "day", day)
    blueprint.add_url_rule("/help", "help", help_page)


def standing_of(consoling: Consoling, name: str) -> Standing:
    """Return how one stands whom the person may see; NotFound otherwise."""
    (found,) = consoling.standings.of([seen(consoling, name).name])
    return found


def _day() -> date | None:
    text = asked("day")
    if not text:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        found = Problem("day", "not_a_day", "a day like 2026-11-23 is needed",
                        "cần một ngày, ví dụ 2026-11-23")  # fmt: skip
        raise Malformed("query", (found,)) from error
