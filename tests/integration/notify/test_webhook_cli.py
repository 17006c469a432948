# SPDX-License-Identifier: Apache-2.0
"""``motcua subscriber webhook``: secrets are said once, addresses judged, deliveries told."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from services.common.errors import Refused
from tests.support.broker import Broker
from tests.support.database import Database
from tests.support.subscribing import Desk, subscriber_desk
from tests.support.waiting import wait_until
from tests.support.webhooks import READY, Inbox, Post, post_office

URL = "https://ioc.example.vn/motcua"
BY = ("--by", "vh001")


@pytest.fixture
def post(database: Database, tmp_path: Path) -> Iterator[Post]:
    """Whoever sends."""
    with post_office(database, tmp_path) as post:
        yield post


@pytest.fixture
def desk(broker: Broker, database: Database) -> Iterator[Desk]:
    """The command line."""
    with subscriber_desk(broker, database) as desk:
        yield desk


@pytest.fixture
def new_inbox(tmp_path: Path) -> Iterator[Callable[[], Inbox]]:
    """Make receivers; all close finally."""
    with ExitStack() as opened:
        yield lambda: opened.enter_context(closing(Inbox(tmp_path)))


def added(desk: Desk, post: Post, inbox: Inbox) -> None:
    """Add the subscriber of a receiver."""
    desk.add(inbox.name, READY)
    post.names.append(inbox.name)


def test_a_secret_is_said_once(
    desk: Desk, post: Post, new_inbox: Callable[[], Inbox], monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the first address, after a rotation, and another one after all was removed."""
    name = (inbox := new_inbox()).name
    added(desk, post, inbox)
    with pytest.raises(Refused, match="webhook_missing"):
        desk.run("webhook", "rotate", name, *BY)
    first = desk.run("webhook", "add", name, URL, *BY)["webhook_secret"]
    assert first == inbox.secret_file.read_text()
    assert desk.run("webhook", "add", name, URL, *BY) == {f"{name}: as before": ""}
    assert desk.run("webhook", "add", name, f"{URL}/2", "--type", READY, *BY) == {
        f"{name}: set": ""
    }
    second = desk.run("webhook", "rotate", name, *BY)["webhook_secret"]
    assert post.state(name).webhook_old_until is not None
    third = desk.run("webhook", "rotate", name, "--at-once", *BY)["webhook_secret"]
    assert post.state(name).webhook_old_until is None
    desk.run("webhook", "remove", name, *BY)
    fourth = desk.run("webhook", "add", name, URL, *BY)["webhook_secret"]
    assert len({first, second, third, fourth}) == 4
    for event in post.log.read_stream(f"subscriber-{name}"):
        assert not any(said.encode() in event.raw_data for said in (first, second, third, fourth))


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/", "https://10.0.0.1/", "https://a.vn:1/"])
def test_an_address_of_our_own_is_refused(
    desk: Desk, post: Post, new_inbox: Callable[[], Inbox], url: str
) -> None:
    """Nothing is recorded."""
    name = (inbox := new_inbox()).name
    added(desk, post, inbox)
    with pytest.raises(Refused, match="webhook_url"):
        desk.run("webhook", "add", name, url, *BY)
    with pytest.raises(Refused, match="type_not_granted"):
        desk.run("webhook", "add", name, URL, "--type", "payment.settled", *BY)
    assert post.state(name).url is None


def test_what_operators_see_and_do(desk: Desk, post: Post, new_inbox: Callable[[], Inbox]) -> None:
    """A worklist with the reason, attempts with their answers, and the way out of it."""
    inbox = new_inbox()
    added(desk, post, inbox)
    post.add(inbox)
    name = inbox.name
    inbox.order(gone=1)
    positions = post.append(3)
    post.sender()
    wait_until(lambda: "suspended:gone" in str(desk.run("webhook", "list", "--waiting")),
               what="the worklist")  # fmt: skip
    (line,) = desk.run("webhook", "list")
    words = line.split("\t")
    assert words[:3] == [name, "suspended:gone", str(positions[0])]
    assert words[-1] == "3"
    (attempt,) = desk.run("webhook", "deliveries", name, "--failed")
    assert attempt.split("\t")[1:2] + attempt.split("\t")[3:5] == [str(positions[0]), "1", "410"]
    desk.run("webhook", "resume", name, *BY)
    post.wait_taken(inbox, positions)
    assert desk.run("webhook", "list", "--waiting") == {}
    desk.run("webhook", "suspend", name, *BY)
    assert desk.run("webhook", "list", "--waiting") == {}
    more = post.append(1)
    desk.run("webhook", "redrive", name, str(positions[1]), "--until-now", "--reference", "C", *BY)
    with pytest.raises(Refused, match="redrive_range"):
        desk.run("webhook", "redrive", name, "9", "8", "--reference", "C", *BY)
    desk.run("webhook", "resume", name, *BY)
    post.wait_taken(inbox, positions + more)
    wait_until(lambda: len(desk.run("webhook", "deliveries", name)) >= 1 + 3 + 3 + 1,
               what="the redrive")  # fmt: skip
    lines = [line.split("\t") for line in desk.run("webhook", "deliveries", name)]
    again = [line[1] for line in lines if line[-1] == "redriven"]
    assert again == [str(position) for position in reversed([*positions[1:], *more])]
