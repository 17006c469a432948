# SPDX-License-Identifier: Apache-2.0
"""The SMS centre misbehaves as ordered; what we record of it is true all the same."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.common.errors import Unavailable, UnknownOutcome
from services.common.eventlog.recording import facts_of
from services.common.messaging.reactor_runner import Outcome
from services.notify.application.ports import NotTaken, Receipt, Taken
from services.notify.application.receipts import record_receipt
from tests.support.messages import World
from tests.support.sms_centre import PHONE, TEXT, Centre, centre_in, gateway
from tests.support.waiting import wait_until


@pytest.fixture
def centre(tmp_path: Path) -> Iterator[Centre]:
    """A running SMS centre."""
    with centre_in(tmp_path) as found:
        yield found


def _last(world: World) -> dict[str, object]:
    """Return what the newest event of the message says."""
    return dict(facts_of(world.recorder.log.read_stream(world.requested().stream))[-1][1])


def test_throttled_is_not_taken_and_goes_out_later(centre: Centre) -> None:
    """Three times "too fast", each pause longer; then it goes out, once."""
    assert centre.order(throttle=3) == 200
    with gateway(centre.port) as (opened, _receipts):
        wait_until(opened.ready, what="a session")
        world = World(opened)
        for pause_s in (0.5, 1, 2):
            with pytest.raises(Unavailable, match="throttled"):
                world.send()
            with pytest.raises(Unavailable, match="a moment ago"):
                world.send()
            world.clock.sleep(pause_s)
        assert world.send() is Outcome.HANDLED
    assert world.story() == ["requested", *["attempted", "failed"] * 3, "attempted", "accepted"]
    assert len(centre.messages() or []) == 1


def test_a_dropped_session_leaves_an_outcome_that_somebody_finds_out(centre: Centre) -> None:
    """Nothing arrived, nobody can know; the office has four hours, the next message goes out."""
    centre.order(drop=1)
    with gateway(centre.port, timeout_s=60.0) as (opened, _receipts):
        wait_until(opened.ready, what="a session")
        world, began_s = World(opened), time.monotonic()
        assert world.send() is Outcome.HANDLED
        assert time.monotonic() - began_s < 30  # told by the end of the session, not the time-out
        assert world.story() == ["requested", "attempted", "outcome_unknown"]
        assert _last(world)["owner"] == "VT"
        assert str(_last(world)["due_at"]).startswith("2026-11-16T12:00:00")
        assert centre.messages() == []
        wait_until(opened.ready, what="a session after the drop")
        assert isinstance(opened.send(PHONE, TEXT), Taken)
    assert len(centre.messages() or []) == 1


def test_silence_is_unknown_although_the_message_went_out(centre: Centre) -> None:
    """It is there, we do not know it: never sent again, and the session goes on."""
    centre.order(silent=1)
    with gateway(centre.port, timeout_s=1.0) as (opened, _receipts):
        wait_until(opened.ready, what="a session")
        world = World(opened)
        assert [world.send(), world.send()] == [Outcome.HANDLED] * 2
        assert world.story() == ["requested", "attempted", "outcome_unknown"]
        assert len(centre.messages() or []) == 1
        assert isinstance(opened.send(PHONE, TEXT), Taken)


def test_receipts_that_nobody_knows_hold_up_no_others(centre: Centre) -> None:
    """Of 21 messages we do not know the names; the next one's receipt comes all the same."""
    centre.order(silent=21)
    with gateway(centre.port, timeout_s=0.1, take=lambda _: False) as (opened, _receipts):
        wait_until(opened.ready, what="a session")
        for _ in range(21):
            with pytest.raises(UnknownOutcome):
                opened.send(PHONE, TEXT)
    ours: list[str] = []
    with gateway(centre.port, take=lambda receipt: receipt.provider_message in ours) as (
        opened,
        receipts,
    ):
        wait_until(opened.ready, what="another session")
        taken = opened.send(PHONE, TEXT)
        assert isinstance(taken, Taken)
        ours.append(taken.provider_message)
        good = Receipt(provider_message=taken.provider_message, state="DELIVRD")
        wait_until(lambda: good in receipts, what="the receipt that is known")


def test_a_receipt_may_say_that_nobody_knows(centre: Centre) -> None:
    """``UNKNOWN`` is kept as the message's state; it is no reason to send it again."""
    centre.order(receipt_unknown=1)
    worlds: list[World] = []

    def take(receipt: Receipt) -> bool:
        return bool(worlds) and record_receipt(worlds[0].recorder, receipt)

    with gateway(centre.port, take=take) as (opened, receipts):
        wait_until(opened.ready, what="a session")
        world = World(opened)
        worlds.append(world)
        world.send()
        wait_until(lambda: world.story()[-1] == "delivered", what="the receipt in the log")
        assert _last(world)["state"] == "UNKNOWN"
        taken = opened.send(PHONE, TEXT)
        assert isinstance(taken, Taken)
        good = Receipt(provider_message=taken.provider_message, state="DELIVRD")
        wait_until(lambda: good in receipts, what="the next receipt")
    assert len(centre.messages() or []) == 2


def test_a_slow_centre_is_waited_for_within_reason(centre: Centre) -> None:
    """Within our time-out it is an answer, after it unknown; a late answer disturbs nobody."""
    with gateway(centre.port, timeout_s=1.0) as (opened, _receipts):
        wait_until(opened.ready, what="a session")
        centre.order(slow_s=0.3)
        began_s = time.monotonic()
        assert isinstance(opened.send(PHONE, TEXT), Taken)
        assert time.monotonic() - began_s >= 0.3
        centre.order(slow_s=1.5)
        with pytest.raises(UnknownOutcome):
            opened.send(PHONE, TEXT)
        centre.order(slow_s=0)
        assert isinstance(opened.send(PHONE, TEXT), Taken)
    assert len(centre.messages() or []) == 3


def test_one_message_spends_one_fault(centre: Centre) -> None:
    """A wrong message spends none; 0 ends what was ordered."""
    centre.order(throttle=1, drop=5)
    with gateway(centre.port) as (opened, _receipts):
        wait_until(opened.ready, what="a session")
        assert opened.send("113", TEXT) != NotTaken(error="throttled")
        assert opened.send(PHONE, TEXT) == NotTaken(error="throttled")
        centre.order(drop=0)
        assert isinstance(opened.send(PHONE, TEXT), Taken)


@pytest.mark.parametrize(
    "wrong",
    [{}, {"throttle": -1}, {"throttle": 1.5}, {"throttle": True}, {"silent": "1"}, {"slow": 1},
     {"slow_s": None}, {"slow_s": 86_401}],
)  # fmt: skip
def test_faults_nobody_knows_are_not_ordered(centre: Centre, wrong: dict[str, object]) -> None:
    """Unknown names, and what is no count or length, change nothing."""
    assert centre.order(**wrong) == 422
    with gateway(centre.port) as (opened, _receipts):
        wait_until(opened.ready, what="a session")
        assert isinstance(opened.send(PHONE, TEXT), Taken)
