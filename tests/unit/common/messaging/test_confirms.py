# SPDX-License-Identifier: Apache-2.0
"""The relay's checkpoint never passes an unconfirmed position."""

from services.common.messaging.confirms import Window


def test_gap_holds_the_checkpoint() -> None:
    """A confirm out of order does not move the checkpoint over an open one."""
    window = Window(10)
    for position in (11, 12, 13):
        window.send(position)
    window.answer(2, multiple=False, good=True)
    window.answer(3, multiple=False, good=True)
    assert (window.settled, window.unconfirmed) == (10, 1)
    window.answer(1, multiple=False, good=True)
    assert (window.settled, window.unconfirmed) == (13, 0)


def test_refusal_settles_nothing() -> None:
    """A refused publish leaves the checkpoint below it for good."""
    window = Window(0)
    window.send(1)
    window.send(2)
    window.answer(1, multiple=False, good=False)
    window.answer(2, multiple=False, good=True)
    assert window.settled == 0


def test_a_refusal_is_an_answer() -> None:
    """Refused publishes are answered once, alone or with many, and never become confirmed."""
    window = Window(0)
    for position in (1, 2, 3, 4):
        window.send(position)
    assert window.answer(2, multiple=False, good=False) == 1
    assert window.unconfirmed == 3
    assert window.answer(4, multiple=True, good=True) == 3
    assert (window.settled, window.unconfirmed) == (1, 0)
