# SPDX-License-Identifier: Apache-2.0
"""The SMPP adapter against an SMS centre in another process, over a line that can be cut."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from services.common.errors import UnknownOutcome
from services.notify.application.ports import NotTaken, Receipt, Taken
from tests.support.sms_centre import PHONE, SENDER, TEXT, Centre, centre_in, gateway
from tests.support.tcp_proxy import TcpProxy
from tests.support.waiting import wait_until


@pytest.fixture
def centre(tmp_path: Path) -> Iterator[Centre]:
    """A running SMS centre."""
    with centre_in(tmp_path) as found:
        yield found


def test_a_message_and_its_receipt(centre: Centre) -> None:
    """The centre takes it, names it, and reports its delivery once it was acknowledged."""
    with gateway(centre.port) as (opened, receipts):
        wait_until(opened.ready, what="a session")
        taken = opened.send(PHONE, TEXT)
        assert isinstance(taken, Taken)
        wait_until(lambda: receipts, what="a receipt")
        assert receipts[0] == Receipt(provider_message=taken.provider_message, state="DELIVRD")
    (message,) = centre.messages() or []
    assert (message["destination"], message["text"], message["sender"]) == (PHONE, TEXT, SENDER)


def test_a_receipt_that_is_not_taken_comes_again(centre: Centre) -> None:
    """Until it is durable with us, the centre keeps it."""
    answers = [False, False]
    with gateway(centre.port, take=lambda _: not answers or answers.pop()) as (opened, receipts):
        wait_until(opened.ready, what="a session")
        opened.send(PHONE, TEXT)
        wait_until(lambda: len(receipts) >= 3, what="the receipt a third time")
    assert len(set(receipts)) == 1


def test_a_wrong_password_never_becomes_a_session(centre: Centre) -> None:
    """And what is sent meanwhile did not go out."""
    with gateway(centre.port, password="wrong") as (opened, _receipts):
        assert opened.send(PHONE, TEXT) == NotTaken(error="not_sent")
        assert not opened.ready()
    assert centre.messages() == []


@pytest.mark.parametrize(("phone", "sender"), [("113", SENDER), (PHONE, "SOMEBODY")])
def test_a_refusal_names_the_centres_code(centre: Centre, phone: str, sender: str) -> None:
    """Wrong number, unregistered sender: not taken, with the code."""
    with gateway(centre.port, sender=sender) as (opened, _receipts):
        wait_until(opened.ready, what="a session")
        answer = opened.send(phone, TEXT)
        assert isinstance(answer, NotTaken)
        assert answer.error.startswith("smpp_0x")
    assert centre.messages() == []


def test_a_silent_line_is_an_unknown_outcome(centre: Centre) -> None:
    """The message may be there: nobody says that it failed, and the centre has it."""
    with TcpProxy(centre.port) as line, gateway(line.port) as (opened, _receipts):
        wait_until(opened.ready, what="a session")
        line.silence(to_client=True, to_target=False)
        with pytest.raises(UnknownOutcome):
            opened.send(PHONE, TEXT)
        wait_until(lambda: len(centre.messages() or []) == 1, what="the message at the centre")
        line.cut()


def test_a_session_comes_back_by_itself(centre: Centre) -> None:
    """Line cut, centre killed and started again: the next message goes out."""
    with TcpProxy(centre.port) as line, gateway(line.port) as (opened, _receipts):
        wait_until(opened.ready, what="a session")
        line.cut()
        wait_until(lambda: not opened.ready(), what="the cut to be noticed")
        wait_until(opened.ready, what="a session after the cut")
        centre.kill()
        wait_until(lambda: not opened.ready(), what="the death to be noticed")
        centre.start()
        wait_until(opened.ready, what="a session after the start")
        assert isinstance(opened.send(PHONE, TEXT), Taken)
    assert len(centre.messages() or []) == 1
