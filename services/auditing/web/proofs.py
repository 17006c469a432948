# SPDX-License-Identifier: Apache-2.0
"""Pages about the whole log: what was checked and when, checkpoints, witnesses; and help."""

from typing import Final

from flask import Blueprint, Response

from services.auditing.bootstrap import Auditing
from services.common.clock import to_micros
from services.common.web.asking import asked_whole
from services.common.web.rendering import render

SEALS_PAGE: Final = 25
ROUNDS_SHOWN: Final = 25


def proof_pages(blueprint: Blueprint, auditing: Auditing) -> None:
    """Add the pages."""
    store = auditing.proofs.store

    def checks() -> Response:
        """Show the patrol's rounds and what a round checks."""
        return render("audit/checks.html", rounds=store.rounds(ROUNDS_SHOWN), head=store.head(),
                      now_us=now_us(auditing))  # fmt: skip

    def seals() -> Response:
        """Show how far sealing and witnesses are, and the checkpoints."""
        below = asked_whole("below")
        found = auditing.proofs.seals(below, SEALS_PAGE + 1)
        return render(
            "audit/seals.html", seals=found[:SEALS_PAGE], more=len(found) > SEALS_PAGE,
            below=below, head=store.head(), witnesses=auditing.proofs.witnesses(),
            now_us=now_us(auditing),
        )  # fmt: skip

    def help_page() -> Response:
        """Explain what the pages can tell and what they cannot."""
        return render("audit/help.html")

    blueprint.add_url_rule("/checks", "checks", checks)
    blueprint.add_url_rule("/seals", "seals", seals)
    blueprint.add_url_rule("/help", "help", help_page)


def now_us(auditing: Auditing) -> int:
    """Return the time by which ages are counted."""
    return to_micros(auditing.clock.now())
