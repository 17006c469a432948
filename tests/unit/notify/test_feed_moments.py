# SPDX-License-Identifier: Apache-2.0
"""The feed and certificates at the edges of time: just now, and days that never end."""

import uuid
from datetime import date, datetime

import pytest

from services.common.clock import VIETNAM
from services.common.errors import Malformed, Refused
from services.common.eventlog.memory import MemoryKeys, MemoryLog
from services.common.eventlog.recording import Recorder
from services.notify.application.certificates import Days
from services.notify.application.feed import LOOK_AGAIN_S, Feed
from services.notify.application.subscribers import Subscribers, order_subscriber
from services.notify.domain.subscriber_commands import Add
from tests.support.events import fresh, request
from tests.support.offices import SERVICE_KEY, HandClock

READY = "dossier.ready"


class World:
    """A log with one subscriber, and a feed over it."""

    def __init__(self) -> None:
        self.clock = HandClock()
        self.log = MemoryLog(clock=self.clock)
        command = Add(name="ioc", types=(READY,), after=0, token_digest="0" * 64, by="vh001")
        recorder = Recorder(self.log, MemoryKeys(), self.clock, SERVICE_KEY)
        order_subscriber(
            recorder, "ioc", command, source="test", actor="official:vh001", key=str(uuid.uuid4())
        )
        self.subscribers = Subscribers(self.log, self.clock)
        self.feed = Feed(self.log, self.subscribers, self.clock)

    def covering(self, _size: int) -> str | None:
        """No day is sealed."""
        return None

    def days(self) -> Days:
        """Return what certificates say."""
        return Days(self.log, self, self.clock, origin="motcua247/93")


@pytest.fixture
def world() -> World:
    """A fresh world in which the feed has just looked."""
    world = World()
    world.subscribers.look()
    return world


def test_a_digest_up_to_what_came_just_now(world: World) -> None:
    """Others ask all the time, so the head is known of a tenth of a second ago; a queue is faster."""
    position = world.log.append(request((fresh(), 0, 1))).first_position
    assert world.subscribers.look().head < position
    began_s = world.clock.monotonic_s()
    assert world.feed.tally("ioc", position - 1, position).count == 1
    assert world.clock.monotonic_s() - began_s == pytest.approx(LOOK_AGAIN_S)


def test_a_digest_up_to_what_never_came(world: World) -> None:
    """Refused after one more look, not waited for."""
    with pytest.raises(Malformed):
        world.feed.tally("ioc", 0, world.log.head() + 1)


@pytest.mark.parametrize("day", [date.max, date(2026, 11, 17), date(2026, 11, 16)])
def test_a_day_that_is_not_over(world: World, day: date) -> None:
    """Today, tomorrow, and the last day that a calendar has."""
    with pytest.raises(Refused) as caught:
        world.days().told(world.subscribers.all()["ioc"], day)
    assert caught.value.code == "day_not_over"


@pytest.mark.parametrize(
    ("now", "code"),
    [
        (datetime(2026, 11, 17, 0, 4, 59, tzinfo=VIETNAM), "day_not_over"),
        (datetime(2026, 11, 17, 0, 5, tzinfo=VIETNAM), "day_not_sealed"),
    ],
)
def test_five_minutes_after_midnight(world: World, now: datetime, code: str) -> None:
    """Not earlier; then only the seal is missing."""
    world.clock.at = now
    with pytest.raises(Refused) as caught:
        world.days().told(world.subscribers.all()["ioc"], date(2026, 11, 16))
    assert caught.value.code == code


def test_the_first_day_that_a_calendar_has(world: World) -> None:
    """It is over, and nothing of it is sealed."""
    with pytest.raises(Refused) as caught:
        world.days().told(world.subscribers.all()["ioc"], date.min)
    assert caught.value.code == "day_not_sealed"
