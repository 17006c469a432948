# SPDX-License-Identifier: Apache-2.0
"""Times, numbers and money as people of each language write them; time is Vietnam's."""

from collections.abc import Callable
from datetime import datetime
from typing import Final

from services.common.clock import VIETNAM, from_micros

_MONTHS: Final = (
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
)  # fmt: skip
_UNITS: Final = ((86_400, "span.days"), (3_600, "span.hours"), (60, "span.minutes"))


def number(language: str, value: int) -> str:
    """Return ``1.234.567`` or ``1,234,567``."""
    text = f"{value:,}"
    return text.replace(",", ".") if language == "vi" else text


def money(language: str, vnd: int) -> str:
    """Return ``85.000 đ``."""
    return f"{number(language, vnd)} đ"


def local(micros: int) -> datetime:
    """Return an instant in Vietnam."""
    return from_micros(micros).astimezone(VIETNAM)


def day(language: str, micros: int) -> str:
    """Return ``23/11/2026`` or ``23 Nov 2026``."""
    at = local(micros)
    if language == "vi":
        return f"{at:%d/%m/%Y}"
    return f"{at.day} {_MONTHS[at.month - 1]} {at.year}"


def when(language: str, micros: int) -> str:
    """Return day and time to the second."""
    return f"{day(language, micros)} {local(micros):%H:%M:%S}"


def span(say: Callable[..., str], seconds: float) -> str:
    """Return how long something takes or took, in the largest unit that says enough."""
    whole = max(0, round(seconds))
    for unit_s, key in _UNITS:
        if whole >= 2 * unit_s:
            return say(key, n=whole // unit_s)
    return say("span.seconds", n=whole)
