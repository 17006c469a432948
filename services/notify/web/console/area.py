# SPDX-License-Identifier: Apache-2.0
"""What the subscribers' pages are called, who enters, and who may see which subscriber."""

from typing import Final

from werkzeug.exceptions import NotFound

from services.common.web.pages import Area, current_person
from services.common.web.people import OPERATOR, SUBSCRIBER_ADMIN
from services.notify.consoling import Consoling
from services.notify.domain.subscriber import Subscriber

AREA: Final = Area(
    name="subscribers", roles=(OPERATOR, SUBSCRIBER_ADMIN), package="services.notify.web.console",
    pages=(
        ("subscribers.home", "nav.subscribers"), ("subscribers.types", "nav.types"),
        ("subscribers.help", "nav.help"),
    ),
)  # fmt: skip


def visible(consoling: Consoling) -> list[str]:
    """Return the names of those whom the person may see: operators all, technicians theirs."""
    person = current_person()
    known = sorted(consoling.subscribers.all())
    if OPERATOR in person.roles:
        return known
    return [name for name in known if name in person.subscribers]


def seen(consoling: Consoling, name: str) -> Subscriber:
    """Return one whom the person may see; NotFound alike for others' and for none."""
    if name not in visible(consoling):
        raise NotFound("there is no such subscriber, or it is not yours")
    return consoling.subscribers.all()[name]
