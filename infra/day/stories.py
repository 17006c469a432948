# SPDX-License-Identifier: Apache-2.0
"""How dossiers go: one function for each way of ``infra.day.plan.WAYS``, and how it ends."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from infra.day.desk import Desk
from infra.hands import GaveUpError
from services.common.clock import VIETNAM

_COUNTER_AGENCY: Final = {"VT01": "H30.12", "CT01": "H30.33"}
_FIRST_AT_COUNTER: Final = 5001
"""Running numbers that this project's own offices do not reach on a day."""


def plain(desk: Desk) -> None:
    """Hand in, pay, accept, finish, collect."""
    desk.pay(desk.hand_in())
    desk.take_on()
    _through(desk)


def exempt(desk: Desk) -> None:
    """Nothing is to be paid, and the screen asks for nothing."""
    if desk.hand_in() is not None:
        raise GaveUpError(f"{desk.dossier}: asked to pay although exempt")
    desk.take_on()
    _through(desk)


def supplemented(desk: Desk) -> None:
    """A paper turns out to be missing while the agency works on it."""
    _to_the_agency(desk)
    desk.act("request-supplement", reasons=["Thiếu bản sao giấy tờ tùy thân"])
    desk.act("receive-supplement")
    _through(desk)


def guided(desk: Desk) -> None:
    """A paper is missing from the pouch: guided once, then accepted with its code."""
    desk.pay(desk.hand_in())
    desk.empty_bin(f"NP{desk.visit.number}")
    desk.act("open", differences=["Thiếu tờ khai"])
    desk.act("request-supplement", reasons=["Thiếu tờ khai"])
    desk.act("receive-supplement")
    desk.code = str(desk.file()["code"])
    desk.day.tell("accepted")
    _through(desk)


def refused(desk: Desk) -> None:
    """Paid, then refused: what was paid is owed and goes back."""
    desk.pay(desk.hand_in())
    desk.act("refuse", reason="Không thuộc thẩm quyền giải quyết")
    _paid_back(desk)


def withdrawn(desk: Desk) -> None:
    """The citizen takes the dossier back after it was accepted."""
    desk.pay(desk.hand_in())
    desk.take_on()
    desk.act("withdraw", reason="Người dân không còn nhu cầu")
    if desk.has_paid():
        desk.await_owed()


def stopped(desk: Desk) -> None:
    """The agency stops: the money is owed until somebody asks for it."""
    _to_the_agency(desk)
    desk.act("stop", reason="Đang có tranh chấp")


def extra_fee(desk: Desk) -> None:
    """A further fee comes up; the machine's screen asks for it and the clock stands still."""
    _to_the_agency(desk)
    desk.act("ask-fee", phi_vnd=20_000, reason="Phí thẩm định")
    desk.pay(desk.await_further(20_000))
    desk.await_status(4)
    _through(desk)


def late(desk: Desk) -> None:
    """The office apologises once and names another day."""
    _to_the_agency(desk)
    desk.put_off()
    _through(desk)


def counter(desk: Desk) -> None:
    """The result is given at the counter."""
    _to_the_agency(desk)
    desk.act("complete", result_number=f"KQ-{desk.visit.number}", return_channel="counter")
    desk.act("return", channel="counter", proof="Ký nhận")
    desk.day.tell("collected")


def post(desk: Desk) -> None:
    """The result goes by post."""
    _to_the_agency(desk)
    desk.act("complete", result_number=f"KQ-{desk.visit.number}", return_channel="post")
    desk.act("return", channel="post", proof=f"EMS{desk.visit.number:09d}VN")
    desk.day.tell("collected")


def uncollected(desk: Desk) -> None:
    """The citizen does not come today; the result stays in its cell."""
    desk.pay(desk.hand_in())
    desk.take_on()
    desk.finished()
    desk.lay_in()
    desk.await_code(desk.visit.phone)


def recalled(desk: Desk) -> None:
    """The citizen cannot come: staff take the result back, the counter gives it."""
    uncollected(desk)
    desk.take_back()
    desk.act("return", channel="counter", proof="Ký nhận")
    desk.day.tell("collected")
    desk.await_reported(desk.code)


def second_try(desk: Desk) -> None:
    """A wrong code first, then a result left lying in the open cell, then it is taken."""
    desk.pay(desk.hand_in())
    desk.take_on()
    desk.finished()
    cell = desk.lay_in()
    code = desk.await_code(desk.visit.phone)
    desk.mistype(code)
    desk.leave_lying(code)
    desk.take(cell, code)
    desk.await_reported(desk.code)


def abandoned(desk: Desk) -> None:
    """The citizen walks away without paying anything."""
    desk.hand_in()


def left_short(desk: Desk) -> None:
    """Too few notes, and the citizen is gone: the money is an advance until officers give up."""
    offer = desk.hand_in()
    short = 2_000
    if offer is None or int(offer["amount_vnd"]) <= short:
        raise GaveUpError(f"{desk.dossier}: nothing to leave short")
    desk.abandon_cash(desk.dossier, [short])
    desk.await_advance(short)
    desk.release_advance()
    desk.await_owed()


def twice(desk: Desk) -> None:
    """The same code is scanned a second time: the surplus is owed and goes back."""
    offer = desk.hand_in()
    if offer is None:
        raise GaveUpError(f"{desk.dossier}: nothing to pay twice")
    desk.pay(offer)
    desk.pay_by_qr(offer)
    desk.await_overpaid(int(offer["amount_vnd"]))
    desk.take_on()
    _through(desk)


def from_home(desk: Desk) -> None:
    """The code is photographed and paid later; an official tries to accept before."""
    offer = desk.hand_in()
    if offer is None:
        raise GaveUpError(f"{desk.dossier}: nothing to pay from home")
    desk.must_refuse("accept", "fee_unpaid")
    desk.pay(offer)
    desk.take_on()
    _through(desk)


def overpaid(desk: Desk) -> None:
    """A large note: a machine gives no change, the surplus is booked apart."""
    offer = desk.hand_in()
    if offer is None:
        raise GaveUpError(f"{desk.dossier}: nothing to overpay")
    amount = int(offer["amount_vnd"])
    notes = [500_000] * (1 + amount // 500_000)
    desk.pay_by_cash(desk.dossier, notes)
    desk.await_overpaid(sum(notes) - amount)
    desk.take_on()
    _through(desk)


def imported(desk: Desk) -> None:
    """Handed in at the counter days ago; its result leaves through the machine."""
    visit = desk.visit
    accepted = datetime.now(VIETNAM) - timedelta(days=6)
    agency = _COUNTER_AGENCY[visit.machine]
    desk.code = f"{agency}-{accepted:%y%m%d}-{_FIRST_AT_COUNTER + visit.number}"
    desk.register_at_counter(accepted, due=accepted + timedelta(days=5))
    desk.finish(desk.code, visit.machine)
    desk.dossier = desk.await_known()
    desk.day.tell("handed in")
    desk.day.tell("accepted")
    _collected(desk)


@dataclass(frozen=True, slots=True)
class Story:
    """How a way is played and in which portal status it ends."""

    play: Callable[[Desk], None]
    ends_in: int


STORIES: Final[dict[str, Story]] = {
    "plain": Story(plain, 10),
    "exempt": Story(exempt, 10),
    "supplemented": Story(supplemented, 10),
    "guided": Story(guided, 10),
    "refused": Story(refused, 3),
    "withdrawn": Story(withdrawn, 7),
    "stopped": Story(stopped, 8),
    "extra_fee": Story(extra_fee, 10),
    "late": Story(late, 10),
    "counter": Story(counter, 10),
    "post": Story(post, 10),
    "uncollected": Story(uncollected, 9),
    "recalled": Story(recalled, 10),
    "second_try": Story(second_try, 10),
    "abandoned": Story(abandoned, 1),
    "left_short": Story(left_short, 1),
    "twice": Story(twice, 10),
    "from_home": Story(from_home, 10),
    "overpaid": Story(overpaid, 10),
    "imported": Story(imported, 10),
}


def _to_the_agency(desk: Desk) -> None:
    desk.pay(desk.hand_in())
    desk.take_on()
    desk.act("start", agency="Phòng chuyên môn")


def _through(desk: Desk) -> None:
    desk.finished()
    _collected(desk)


def _collected(desk: Desk) -> None:
    cell = desk.lay_in()
    desk.take(cell, desk.await_code(desk.visit.phone))
    desk.await_reported(desk.code)


def _paid_back(desk: Desk) -> None:
    if desk.has_paid():
        desk.await_owed()
        desk.refund()
