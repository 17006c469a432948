# SPDX-License-Identifier: Apache-2.0
"""A crash run follows its seed, spares no process of ours, and is not believed without harm."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from infra.crash import Faults, or_already, shortfall
from infra.hands import GaveUpError
from infra.local.servers import Servers

OURS = ("intake", "intake-web", "notify", "relay", "edge", *(f"more-{n}" for n in range(5)))
ENOUGH = {
    "kill -9 rabbitmq": 3, "postgresql immediate": 3, "rabbitmq loses everything": 1,
    **{f"kill -9 {name}": 2 for name in OURS},
}  # fmt: skip


def plan(folder: Path, seed: int) -> list[str]:
    """Return what a run with this seed would do."""
    conf = "".join(f"[program:{name}]\n" for name in (*OURS, "sandbox-bank"))
    (folder / "supervisord.conf").write_text(conf, encoding="utf-8")
    local = cast("Any", SimpleNamespace(folder=folder))
    return Faults(Servers({}, "plan"), local, seed).plan


def test_a_seed_replays(tmp_path: Path) -> None:
    """The same seed gives the same harms in the same order, another seed another order."""
    assert plan(tmp_path, 7) == plan(tmp_path, 7) != plan(tmp_path, 8)
    assert sorted(plan(tmp_path, 7)) == sorted(plan(tmp_path, 8))


def test_no_process_of_ours_is_spared(tmp_path: Path) -> None:
    """Whatever the supervisor runs is killed twice, except the outside world."""
    harms = plan(tmp_path, 7)
    assert [harms.count(f"kill -9 {name}") for name in OURS] == [2] * len(OURS)
    assert not [harm for harm in harms if "sandbox" in harm]
    assert shortfall({harm: harms.count(harm) for harm in harms}, OURS) == []


@pytest.mark.parametrize(
    ("what", "found"),
    [
        ("kill -9 rabbitmq", "kill -9 rabbitmq: 0 of 3"),
        ("postgresql immediate", "postgresql immediate: 0 of 3"),
        ("rabbitmq loses everything", "rabbitmq loses everything: 0 of 1"),
        ("kill -9 edge", "kill -9 edge: 0 of 1"),
    ],
)
def test_harm_not_done_is_named(what: str, found: str) -> None:
    """A run in which something was not harmed under load says so."""
    assert shortfall(ENOUGH, OURS) == []
    assert found in shortfall({**ENOUGH, what: 0}, OURS)


def test_too_few_kills_are_named() -> None:
    """Twenty kills are the least."""
    few = {**ENOUGH, **{f"kill -9 {name}": 1 for name in OURS}}
    assert shortfall(few, OURS) == ["kill -9: 13 of 20"]


def test_what_was_done_before_the_answer_was_lost_is_done() -> None:
    """Only the refusal that says so is an answer; any other ends the run."""

    def refused() -> bool:
        raise GaveUpError("POST /collect: 409 already_returned")

    assert or_already("already_returned", refused) is None
    assert or_already("already_returned", lambda: False) is False
    with pytest.raises(GaveUpError):
        or_already("already_paid", refused)
