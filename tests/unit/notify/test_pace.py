# SPDX-License-Identifier: Apache-2.0
"""Messages go out as fast as the provider takes them."""

from services.notify.application.pace import Pace
from tests.support.offices import HandClock


def test_every_pause_is_twice_as_long_up_to_a_minute() -> None:
    """At least half of it is kept; what several threads hear at once counts as one."""
    clock = HandClock()
    pace = Pace(clock)
    assert not pace.holds_back()
    for longest_s in (0.5, 1, 2, 4, 8, 16, 32, 60, 60):
        pace.throttled()
        pace.throttled()
        clock.sleep(longest_s / 2 - 0.01)
        assert pace.holds_back()
        clock.sleep(longest_s / 2 + 0.02)
        assert not pace.holds_back()


def test_an_answer_brings_back_full_speed() -> None:
    """The next pause is a short one again."""
    clock = HandClock()
    pace = Pace(clock)
    for _ in range(5):
        pace.throttled()
        clock.sleep(60)
    pace.answered()
    assert not pace.holds_back()
    pace.throttled()
    clock.sleep(0.51)
    assert not pace.holds_back()
