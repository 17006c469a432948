# SPDX-License-Identifier: Apache-2.0
"""The law of webhooks: waits, the cursor, who is sent what."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.common.errors import Refused
from services.notify.domain.subscriber import Subscriber, decide, evolve
from services.notify.domain.subscriber_commands import (
    Add,
    Command,
    Confirm,
    OrderRedrive,
    Resume,
    SetWebhook,
    Suspend,
)
from services.notify.domain.webhook import (
    DICE,
    LIVE,
    Answer,
    Patience,
    Progress,
    Verdict,
    attempts_at,
    begin,
    failed,
    is_due,
    is_over,
    taken,
    way,
)

DIGEST = "5d" * 32
TYPES = ("dossier.ready", "payment.settled")
URL = "https://ioc.example.vn/motcua"
PATIENCE = Patience()


def after_all(*commands: tuple[int, Command]) -> Subscriber:
    """Return a subscriber after commands whose events stand at these positions."""
    state = Subscriber(name="ioc")
    for position, command in commands:
        for kind, data in decide(command, state):
            state = evolve(state, kind, data, position)
    return state


def subscribed(*commands: tuple[int, Command]) -> Subscriber:
    """Return one with a webhook set at position 2."""
    add = Add(name="ioc", types=TYPES, after=0, token_digest=DIGEST, by="x")
    return after_all((1, add), (2, SetWebhook(url=URL, by="x")), *commands)


@given(st.integers(1, 60), st.integers(0, DICE), st.none() | st.integers(0, 10**7))
def test_the_wait_doubles_is_spread_and_has_an_end(
    attempts: int, dice: int, asked: int | None
) -> None:
    """Between half of the full wait and all of it; what the receiver asks for only lengthens it."""
    full = min(PATIENCE.last_ms, PATIENCE.first_ms * 2 ** (attempts - 1))
    own = PATIENCE.pause_ms(attempts, dice)
    assert full // 2 <= own <= full
    pause = PATIENCE.pause_ms(attempts, dice, asked)
    assert pause == max(own, min(PATIENCE.last_ms, (asked or 0) * 1000))


@given(st.lists(st.integers(0, DICE), min_size=200, max_size=200))
def test_patience_ends_in_bounded_time(dices: list[int]) -> None:
    """Whatever is thrown, the last attempt is within a day of the first, and they are few."""
    progress, now_us = Progress(through=6), 0
    for number, dice in enumerate(dices, start=1):
        assert is_due(progress, now_us, PATIENCE)
        pause_ms = PATIENCE.pause_ms(number, dice)
        progress = failed(progress, 7, now_us=now_us, pause_ms=pause_ms, released=2)
        assert attempts_at(progress, 7) == number
        if is_over(progress, PATIENCE):
            assert 22 * 3_600_000_000 <= now_us <= 24 * 3_600_000_000
            assert 30 <= number <= 65
            return
        assert progress.trouble is not None
        assert not is_due(progress, progress.trouble.retry_at_us - 1, PATIENCE)
        now_us = progress.trouble.retry_at_us
    raise AssertionError("patience has no end")


@given(
    st.integers(3, 40), st.sets(st.integers(3, 40)), st.none() | st.integers(1, 40),
    st.lists(st.sampled_from(["taken", "failed", "killed"]), max_size=40), st.integers(1, 50),
)  # fmt: skip
def test_nothing_is_left_out_whatever_is_killed(
    head: int, posted: set[int], redriven: int | None, fates: list[str], span: int
) -> None:
    """Failures, kills before the cursor is stored, new leads and redrives: all comes, in order."""
    owed = sorted(position for position in posted if position <= head)
    one = subscribed()
    if redriven is not None and redriven <= head:
        order = OrderRedrive(first=redriven, last=head, head=head, reference="C", by="x")
        one = subscribed((head + 1, order))
    stored: Progress | None = None
    received: dict[int, list[int]] = {LIVE: [], head + 1: []}
    while (ahead := way(progress := begin(stored, one), one, head, span)) is not None:
        sent = [p for p in owed if any(a < p <= b for a, b, _ in ahead.stretches)]
        for position in sent:
            fate = fates.pop() if fates else "taken"
            if fate == "failed":
                stored = failed(progress, position, now_us=0, pause_ms=1, released=one.released)
                break
            received[ahead.order].append(position)
            if fate == "killed":
                break  # it was sent, and nobody knows
            stored = progress = taken(progress, ahead.order, position)
        else:
            stored = taken(progress, ahead.order, ahead.through)
        reached = begin(stored, one).through
        assert {p for p in owed if p <= reached} <= set(received[LIVE])
    assert list(dict.fromkeys(received[LIVE])) == owed
    again = [p for p in owed if p >= one.redrives[0].first] if one.redrives else []
    assert list(dict.fromkeys(received[head + 1])) == again


def test_what_is_sent_follows_the_filter_and_begins_with_the_webhook() -> None:
    """Each stretch has the granted types that passed then; a redrive has what passes now."""
    one = subscribed(
        (10, SetWebhook(url=URL, by="x", types=("payment.settled",))),
        (20, Add(name="ioc", types=("dossier.ready",), after=0, token_digest=DIGEST, by="x")),
        (30, SetWebhook(url=URL, by="x")),
    )
    assert one.posted(0, 40) == [
        (2, 10, TYPES), (10, 20, ("payment.settled",)), (30, 40, ("dossier.ready",)),
    ]  # fmt: skip
    assert one.redriven(0, 5) == [(0, 5, TYPES)]
    with pytest.raises(Refused) as caught:
        decide(SetWebhook(url=URL, by="x", types=("payment.settled",)), one)
    assert caught.value.code == "type_not_granted"


def test_setting_the_same_again_changes_nothing() -> None:
    """Another filter is a change, the same is none."""
    one = subscribed()
    assert decide(SetWebhook(url=URL, by="x"), one) == []
    chosen = SetWebhook(url=URL, by="x", types=("dossier.ready",))
    (fact,) = decide(chosen, one)
    assert fact[1]["types"] == ["dossier.ready"]
    assert decide(chosen, evolve(one, *fact, 9)) == []


def test_trouble_is_over_once_a_person_let_it_go_on() -> None:
    """Patience counts anew after a resumption or another address, not after anything else."""
    one = subscribed()
    stuck = failed(Progress(through=6), 7, now_us=5, pause_ms=1, released=one.released)
    assert begin(stuck, one).trouble is not None
    stop = Suspend(scope="webhook", reason="no_answer", position=7, by="x")
    resumed = subscribed((8, stop), (9, Resume(scope="webhook", by="x")))
    assert begin(stuck, resumed).trouble is None
    assert begin(stuck, resumed).through == 6
    elsewhere = subscribed((8, SetWebhook(url=f"{URL}/2", by="x")))
    assert begin(stuck, elsewhere).trouble is None


def test_a_lost_table_costs_repetition_and_no_event() -> None:
    """Without stored progress it goes on from what the log says was confirmed."""
    confirm = Confirm(after=2, through=50, count=9, digest=DIGEST)
    assert begin(None, subscribed((60, confirm))).through == 50
    assert begin(None, subscribed()).through == 2
    old = Progress(through=1, order=LIVE)
    assert begin(old, subscribed()).through == 2


def test_a_clock_set_back_delays_by_one_wait_at_most() -> None:
    """A wait longer than the longest there is comes from a clock, not from us."""
    progress = failed(Progress(), 7, now_us=10**15, pause_ms=5, released=0)
    assert is_due(progress, 0, PATIENCE)


@pytest.mark.parametrize(
    ("answer", "verdict", "reason"),
    [
        (Answer(outcome="answered", status=204), Verdict.TAKEN, None),
        (Answer(outcome="answered", status=302), Verdict.AGAIN, "refused"),
        (Answer(outcome="answered", status=401), Verdict.AGAIN, "refused"),
        (Answer(outcome="answered", status=410), Verdict.GONE, "gone"),
        (Answer(outcome="answered", status=503), Verdict.AGAIN, "no_answer"),
        (Answer(outcome="timeout"), Verdict.AGAIN, "no_answer"),
        (Answer(outcome="forbidden_address"), Verdict.FORBIDDEN, "forbidden_address"),
    ],
)
def test_what_an_answer_means(answer: Answer, verdict: Verdict, reason: str | None) -> None:
    """Only 2xx is success; only 410 and a forbidden address stop at once."""
    assert answer.verdict is verdict
    if reason is not None:
        assert answer.reason == reason


def test_one_trouble_at_a_time() -> None:
    """Another event's trouble counts from one; success ends it."""
    progress = failed(Progress(through=6), 7, now_us=5, pause_ms=1, released=0)
    progress = failed(progress, 8, now_us=9, pause_ms=1, released=0)
    assert attempts_at(progress, 8) == 1
    assert progress.trouble is not None
    assert progress.trouble.since_us == 9
    assert taken(progress, LIVE, 8).trouble is None
    assert taken(progress, LIVE, 3).through == 6
    assert replace(progress, trouble=None) == Progress(through=6)
