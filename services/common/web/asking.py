# SPDX-License-Identifier: Apache-2.0
"""What the query of a page may ask: short texts, whole numbers, times in Vietnam."""

from datetime import datetime
from typing import Final

from flask import request

from services.common.clock import VIETNAM, to_micros
from services.common.errors import Malformed, Problem

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


def asked_time(name: str) -> int | None:
    """Return an instant of the query in microseconds; without a zone it is Vietnam's.

    Raises:
        Malformed: something else stands there.
    """
    text = asked(name)
    if not text:
        return None
    try:
        at = datetime.fromisoformat(text)
        return to_micros(at if at.tzinfo else at.replace(tzinfo=VIETNAM))
    except (ValueError, OverflowError) as error:
        found = Problem(
            name, "not_a_time", "a time like 2026-11-23T16:00 is needed",
            "cần một thời điểm, ví dụ 2026-11-23T16:00",
        )  # fmt: skip
        raise Malformed("query", (found,)) from error
