# SPDX-License-Identifier: Apache-2.0
"""Sending: one message, one truth about it, wherever the process is killed."""

import pytest

from services.common.errors import Unavailable, UnknownOutcome
from services.common.messaging.reactor_runner import Outcome
from services.notify.application.ports import NotTaken, Receipt, Taken
from services.notify.application.receipts import record_receipt
from tests.support.messages import World


class PowerCut(BaseException):
    """The process is gone."""


def unknown() -> Taken:
    raise UnknownOutcome("sms", {"reason": "no_answer"})


def cut() -> Taken:
    raise PowerCut


@pytest.fixture
def world() -> World:
    """A fresh world."""
    return World()


def test_a_message_is_sent_once(world: World) -> None:
    """To the citizen's number, with the code and the date; the event again sends nothing more."""
    assert [world.send(), world.send()] == [Outcome.HANDLED] * 2
    ((phone, text),) = world.phone.sent
    assert phone == "84912345678"
    assert text.startswith("UBND TP Vi Thanh: Da tiep nhan ho so H30.12-")
    assert world.story() == ["requested", "attempted", "accepted"]


def test_nothing_is_begun_without_a_session(world: World) -> None:
    """While the SMS centre is away nothing is recorded and nothing is lost."""
    world.phone.standing = False
    with pytest.raises(Unavailable):
        world.send()
    assert world.story() == ["requested"]
    world.phone.standing = True
    assert world.send() is Outcome.HANDLED


@pytest.mark.parametrize("error", ["throttled", "not_sent"])
def test_a_refusal_for_the_moment_is_tried_again(world: World, error: str) -> None:
    """What the provider says it did not take is sent again, under a new number."""
    world.phone.answers = [lambda: NotTaken(error=error)]
    with pytest.raises(Unavailable, match=error):
        world.send()
    world.clock.sleep(1)
    assert world.send() is Outcome.HANDLED
    assert world.story() == ["requested", "attempted", "failed", "attempted", "accepted"]


def test_what_was_throttled_waits_however_often_it_is_asked_for(world: World) -> None:
    """Consumer and sweeper may ask 200 times: no attempt is used up, nothing recorded, none lost."""
    world.phone.answers = [lambda: NotTaken(error="throttled")]
    for _ in range(200):
        with pytest.raises(Unavailable):
            world.send()
    assert world.story() == ["requested", "attempted", "failed"]
    world.clock.sleep(1)
    assert world.send() is Outcome.HANDLED
    assert world.story()[-1] == "accepted"


def test_a_final_refusal_is_final(world: World) -> None:
    """Another error ends the message; it is on the list of failures, not sent again."""
    world.phone.answers = [lambda: NotTaken(error="smpp_0x0b")]
    assert [world.send(), world.send()] == [Outcome.HANDLED] * 2
    assert len(world.phone.sent) == 1
    assert world.story() == ["requested", "attempted", "failed"]


def test_no_answer_is_unknown_and_never_sent_again(world: World) -> None:
    """Nobody knows: that is recorded, and a person decides."""
    world.phone.answers = [unknown]
    assert [world.send(), world.send()] == [Outcome.HANDLED] * 2
    assert len(world.phone.sent) == 1
    assert world.story() == ["requested", "attempted", "outcome_unknown"]


def test_a_cut_while_sending_is_unknown_to_the_next_process(world: World) -> None:
    """A new process waits until no answer can come any more, then says so; it sends nothing."""
    world.phone.answers = [cut]
    with pytest.raises(PowerCut):
        world.send()
    assert world.story() == ["requested", "attempted"]
    world.restart()
    with pytest.raises(Unavailable, match="another process"):
        world.send()
    world.clock.sleep(21)
    assert world.send() is Outcome.HANDLED
    assert len(world.phone.sent) == 1
    assert world.story() == ["requested", "attempted", "outcome_unknown"]


def test_a_late_receipt_tells_the_truth(world: World) -> None:
    """A receipt is recorded once; one for a name that nobody expects is not taken."""
    world.send()
    receipt = Receipt(provider_message="M1", state="DELIVRD")
    assert [record_receipt(world.recorder, receipt) for _ in range(2)] == [True, True]
    assert world.story()[-1] == "delivered"
    assert world.story().count("delivered") == 1
    stranger = Receipt(provider_message="M999", state="DELIVRD")
    assert record_receipt(world.recorder, stranger) is False


def test_an_unreadable_number_is_a_failure_with_a_reason() -> None:
    """A number that is none is recorded as such; nothing goes out."""
    from tests.support import offices

    known = offices.CONTACT
    offices.CONTACT = {"name": "An", "phone": "113"}
    try:
        world = World()
    finally:
        offices.CONTACT = known
    assert world.send() is Outcome.HANDLED
    assert world.phone.sent == []
    assert world.story() == ["requested", "failed"]
