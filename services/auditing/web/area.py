# SPDX-License-Identifier: Apache-2.0
"""What the auditors' pages are called, who enters, and what a request may ask."""

from typing import Final

from flask import request

from services.common.errors import Malformed, Problem
from services.common.web.pages import Area
from services.common.web.people import AUDITOR

AREA: Final = Area(
    name="audit", role=AUDITOR, package="services.auditing.web",
    pages=(
        ("audit.home", "nav.dossiers"), ("audit.access", "nav.access"),
        ("audit.checks", "nav.checks"), ("audit.seals", "nav.seals"), ("audit.help", "nav.help"),
    ),
)  # fmt: skip
WORDS_MAX: Final = 64
"""Letters that a question may have."""
_WHOLE_MAX: Final = 2**53 - 1


def asked(name: str) -> str:
    """Return a text of the query without blanks around it.

    Raises:
        Malformed: too long, or with letters that nobody can see.
    """
    text = request.args.get(name, "").strip()
    if len(text) > WORDS_MAX or not text.isprintable():
        found = Problem(
            name, "too_long", f"at most {WORDS_MAX} printable letters",
            f"nhiều nhất {WORDS_MAX} ký tự đọc được",
        )  # fmt: skip
        raise Malformed("query", (found,))
    return text


def asked_whole(name: str) -> int | None:
    """Return a whole number of the query; None where there is none.

    Raises:
        Malformed: something else stands there.
    """
    text = asked(name)
    if not text:
        return None
    number = int(text) if text.isascii() and text.isdigit() else -1
    if not 0 <= number <= _WHOLE_MAX:
        found = Problem(name, "not_whole", "a whole number is needed", "cần một số nguyên")
        raise Malformed("query", (found,))
    return number
