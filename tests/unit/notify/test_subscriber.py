# SPDX-License-Identifier: Apache-2.0
"""Who is owed what: the rules of a subscriber."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.common import contracts
from services.common.errors import Refused
from services.notify.application.subscribers import granted_types
from services.notify.domain.subscriber import Subscriber, decide, evolve
from services.notify.domain.subscriber_commands import (
    Add,
    Command,
    OrderRedrive,
    Remove,
    Resume,
    Rotate,
    SetWebhook,
    Suspend,
)

DIGEST = "5d" * 32
ADD = Add(name="ioc", types=("dossier.ready",), after=3, token_digest=DIGEST, by="vh001")


def given_all(*commands: tuple[int, Command]) -> Subscriber:
    """Return a subscriber after commands whose events stand at these positions."""
    state = Subscriber(name="ioc")
    for position, command in commands:
        for kind, data in decide(command, state):
            contracts.newest(kind).check(data)
            state = evolve(state, kind, data, position)
    return state


def granted(*types: str) -> Add:
    return Add(name="ioc", types=types, after=0, token_digest=DIGEST, by="vh001")


def test_what_is_owed_follows_the_grant_in_force() -> None:
    """Each stretch has the types that were granted then; removal ends it, a new beginning counts on."""
    state = given_all(
        (5, ADD), (10, granted("dossier.ready", "dossier.returned")), (20, Remove(by="x")),
        (30, granted("payment.settled")),
    )  # fmt: skip
    both = ("dossier.ready", "dossier.returned")
    assert state.owed(0, 100) == [
        (3, 10, ("dossier.ready",)), (10, 20, both), (20, 100, ("payment.settled",)),
    ]  # fmt: skip
    assert state.owed(12, 15) == [(12, 15, both)]
    assert state.generation("broker") == 2


@given(st.lists(st.integers(0, 60), min_size=2, max_size=12), st.integers(0, 60))
def test_a_past_answer_never_changes(cuts: list[int], later: int) -> None:
    """Whatever is granted later, what was owed up to now stays what it was."""
    state, position = given_all((5, ADD)), 5
    for number, step in enumerate(cuts):
        before = {p for a, b, _ in state.owed(0, position) for p in range(a, b)}
        position += step + 1
        types = ("dossier.ready",) if number % 2 else ("payment.settled", "dossier.ready")
        (fact,) = decide(granted(*types), state) or [("subscriber.resumed", {"scope": "all"})]
        state = evolve(state, fact[0], fact[1], position)
        now = {p for a, b, _ in state.owed(0, position) for p in range(a, b)}
        assert before <= now
    assert state.owed(later, later) == []


def test_repeating_changes_nothing() -> None:
    """The same command again has no event."""
    state = given_all((5, ADD), (6, SetWebhook(url="https://a.example", by="x")),
                      (7, Suspend(scope="webhook", reason="by_hand", position=None, by="x")))  # fmt: skip
    assert not state.sends
    assert decide(granted("dossier.ready"), state) == []
    assert decide(SetWebhook(url="https://a.example", by="x"), state) == []
    assert decide(Suspend(scope="webhook", reason="gone", position=1, by="x"), state) == []
    assert decide(Resume(scope="all", by="x"), state) == []
    assert decide(Remove(by="x"), Subscriber(name="ioc")) == []


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (Rotate(credential="token", token_digest=DIGEST, until=None, by="x"), "subscriber_unknown"),
        (
            Add(name="Ủy ban", types=("a.b",), after=0, token_digest=DIGEST, by="x"),
            "subscriber_name",
        ),
    ],
)
def test_who_is_not_there_is_refused(command: Command, code: str) -> None:
    """Nothing is done to a subscriber that does not exist, nor made with a bad name."""
    with pytest.raises(Refused) as caught:
        decide(command, Subscriber(name="ioc"))
    assert caught.value.code == code
    assert caught.value.field == "name"


def test_a_redrive_has_bounds() -> None:
    """Only what exists, not too much, and only where there is a webhook."""
    order = OrderRedrive(first=1, last=9, head=9, reference="CV-1", by="x")
    with pytest.raises(Refused) as missing:
        decide(order, given_all((5, ADD)))
    assert missing.value.code == "webhook_missing"
    state = given_all((5, ADD), (6, SetWebhook(url="https://a.example", by="x")), (8, order))
    assert [(one.position, one.first, one.last) for one in state.redrives] == [(8, 1, 9)]
    for first, last in ((0, 3), (5, 4), (1, 10)):
        with pytest.raises(Refused):
            decide(OrderRedrive(first=first, last=last, head=9, reference="C", by="x"), state)


def test_types_are_those_of_the_contracts() -> None:
    """A pattern means what there is now; an unknown type is refused by name."""
    assert "dossier.accepted" in granted_types(["dossier.*"])
    assert granted_types(["payment.settled", "payment.settled"]) == ("payment.settled",)
    for wrong in (["dossier.nothing"], ["#"], []):
        with pytest.raises(Refused):
            granted_types(wrong)


def test_a_new_webhook_begins_open() -> None:
    """What stopped was the one before; another address of the same one stays stopped till resumed."""
    here, there = (SetWebhook(url=f"https://{one}.example/", by="x") for one in "ab")
    stop = Suspend(scope="webhook", reason="gone", position=11, by="service:notify")
    state = given_all((5, ADD), (10, here), (12, stop), (13, there))
    assert not state.sends
    state = given_all((5, ADD), (10, here), (12, stop), (13, SetWebhook(url=None, by="x")))
    assert not state.sends
    gone = [(5, ADD), (10, here), (12, stop), (13, SetWebhook(url=None, by="x"))]
    assert given_all(*gone, (14, there)).sends
    late = Suspend(scope="webhook", reason="no_answer", position=12, by="service:notify")
    assert given_all(*gone, (14, late), (15, there)).sends
    whole = Suspend(scope="all", reason="by_hand", position=None, by="x")
    assert not given_all((4, ADD), (5, whole), (6, there)).sends
