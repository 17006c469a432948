# SPDX-License-Identifier: Apache-2.0
"""A chaos run follows its seed, and its verdict sees what is lost, doubled or out of order."""

from typing import Any

import pytest

from infra.chaosing.personal import found, words_of
from infra.chaosing.plan import (
    BROKER,
    BROKER_RESTARTS_MAX,
    FAULTS_MIN,
    HARMS,
    RESET,
    Fault,
    plan,
    shortfall,
)
from infra.chaosing.verdict import account, recoveries, summary
from infra.hands import Citizen

VISITOR = Citizen(
    name="Lê Thị Mười", phone="0912345678", procedure="x", copies=1, pouch="P", pays="qr"
)


def done(faults: tuple[Fault, ...]) -> list[dict[str, Any]]:
    """Return the account of a run in which every fault was done."""
    return [{"kind": one.kind, "target": one.target} for one in faults]


def test_a_seed_replays() -> None:
    """The same seed gives the same faults in the same order, another seed another order."""
    assert plan(7) == plan(7) != plan(8)
    assert sorted(map(str, plan(7))) == sorted(map(str, plan(8)))


@pytest.mark.parametrize("seed", range(20))
def test_a_plan_is_enough_and_not_too_much(seed: int) -> None:
    """Sixty faults at least, eight broker restarts at most; the broker forgets early."""
    faults = plan(seed)
    assert len(faults) >= FAULTS_MIN + 10
    assert sum(one.kind == BROKER for one in faults) <= BROKER_RESTARTS_MAX
    assert faults.index(Fault(BROKER, RESET)) <= len(faults) // 3
    assert {one.kind for one in faults} == set(HARMS)
    assert shortfall(done(faults)) == []


def test_harm_not_done_is_named() -> None:
    """A run with too few faults, without one of the kinds, or with more restarts says so."""
    entries = done(plan(1))
    without = [{**one, "not_done": "x"} if one["kind"] == "purge" else one for one in entries]
    assert shortfall(without) == ["no purge"]
    assert shortfall([])[-1] == f"0 of {FAULTS_MIN} faults"
    more = [*entries, *done((Fault(BROKER, "killed"),) * 4)]
    assert shortfall(more) == ["9 broker restarts, 8 allowed"]


@pytest.mark.parametrize(
    ("effects", "wrong"),
    [
        ([2, 3, 5], {}),
        ([2, 5], {"lost": [3]}),
        ([2, 3, 3, 5], {"doubled": [3], "disordered": [3]}),
        ([2, 3, 4, 5], {"foreign": [4]}),
        ([3, 2, 5], {"disordered": [2]}),
    ],
)
def test_a_verdict_sees_it(effects: list[int], wrong: dict[str, list[int]]) -> None:
    """Each event owed, once, in order, and nothing else."""
    judged = account([2, 3, 5], effects, ordered=True)
    for name in ("lost", "doubled", "foreign", "disordered"):
        assert getattr(judged, name) == wrong.get(name, []), name
    assert judged.right is not bool(wrong)


def test_order_is_asked_only_where_it_is_promised() -> None:
    """What a queue lost comes later than what is behind it."""
    assert account([2, 3], [3, 2], ordered=False).right


def test_recovery_is_the_last_subscribers() -> None:
    """It counts until everybody has what was in the log when the fault was over."""
    faults = [{"kind": "alarm", "ended": 100.0, "head": 2}, {"kind": "purge", "ended": 101.5,
              "head": 3}, {"kind": "purge", "ended": 200.0, "head": 3}]  # fmt: skip
    taken = [{1: 90.0, 2: 103.0, 3: 104.0}, {1: 90.0, 2: 95.0, 3: 110.0}]
    found = recoveries(faults, taken)
    assert found == [("alarm", 3.0), ("purge", 8.5), ("purge", 0.0)]
    assert summary(found) == {
        "median": 3.0, "max": 8.5, "max_by_kind": {"alarm": 3.0, "purge": 8.5},
    }  # fmt: skip


@pytest.mark.parametrize(
    "said",
    [
        "Lê Thị Mười", "L\\u00ea Th\\u1ecb M\\u01b0\\u1eddi", "+84912345678",
        "Lê Thị Mười".encode().hex(), "TMOqIFRo4buLIE3GsOG7nWk",
    ],
)  # fmt: skip
def test_a_visitor_is_found_in_any_writing(said: str) -> None:
    """As text, with escapes, hexadecimal, base64."""
    places = {"feed": [b"{}"], "messages": [b"{}", f'{{"x":"{said}"}}'.encode()]}
    assert found(words_of([VISITOR]), places) == ["messages"]
    assert found(words_of([VISITOR]), {"feed": [b'{"name":"stub"}']}) == []
