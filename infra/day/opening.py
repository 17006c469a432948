# SPDX-License-Identifier: Apache-2.0
"""The first visit of the day, told step by step: a permit collected early on a Monday."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from infra.day.crowd import Crowd, Outcome
from infra.day.desk import Desk
from infra.day.plan import IMPORTED, Visit
from services.common.clock import VIETNAM

UT: Final = Visit(
    number=0, name="Huỳnh Văn Út", phone="0939000117", machine="VT01", procedure="1.001612",
    way=IMPORTED, pays="cash", copies=1, pages=1, exemption=None, pouch="P0000000",
)  # fmt: skip
"""He keeps a boarding house and applied at the counter for his third one's registration."""


def monday_morning(crowd: Crowd, say: Callable[[str], None]) -> None:
    """Play and tell it; raises GaveUpError where it does not go as told."""
    desk = Desk(crowd.day, UT)
    accepted = datetime.now(VIETNAM) - timedelta(days=5)
    desk.code = f"H30.12-{accepted:%y%m%d}-5000"
    say(f"Mr {UT.name} applied at the counter of Vị Thanh: {desk.code}, procedure {UT.procedure}")
    desk.register_at_counter(accepted, due=accepted + timedelta(days=5))
    desk.finish(desk.code, UT.machine)
    desk.dossier = desk.await_known()
    say("the permit is ready; the one-stop software orders it to the machine on the street")
    cell = desk.lay_in()
    code = desk.await_code(UT.phone)
    say(f"an official lays it into cell {cell}; the machine confirms, and his phone rings:")
    say(f"   [italic]{desk.newest_message(UT.phone)}[/italic]")
    desk.take(cell, code)
    say("early on Monday, before the office opens, he types the code and takes his permit")
    desk.await_reported(desk.code)
    say("the one-stop software knows: 9 → 10. Nobody queued, nobody waited\n")
    crowd.outcomes.append(Outcome(UT, desk.dossier, desk.code))
