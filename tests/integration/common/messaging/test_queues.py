# SPDX-License-Identifier: Apache-2.0
"""``motcua queues`` on a real broker, with an operator's login that may do nothing else."""

import json
from collections.abc import Iterator
from typing import Any

import pika
import psycopg
import pytest
from pika.exceptions import NackError
from typer.testing import CliRunner, Result

from infra.motcua import app
from services.common.eventlog.postgres import PostgresLog
from services.common.eventlog.record import RecordedEvent
from services.common.eventlog.recording import Change
from services.common.messaging import topology
from services.common.messaging.envelope import encode
from tests.support.broker import Broker
from tests.support.database import LOG_ID, Database
from tests.support.echo import token_issued
from tests.support.reactors import ECHO, Echo, effects, expected, register
from tests.support.waiting import wait_until

SECRET = "0912345678"


@pytest.fixture
def broker(broker: Broker) -> Iterator[Broker]:
    """The whole topology, and a login for an operator."""
    broker.declare(*topology.BINDINGS)
    broker.api("PUT", f"/users/{broker.vhost}_operator", {"password": "p", "tags": ""})
    path = f"/permissions/{{v}}/{broker.vhost}_operator"
    broker.api("PUT", path, topology.operator_permissions())
    yield broker
    broker.api("DELETE", f"/users/{broker.vhost}_operator")


@pytest.fixture
def log(database: Database) -> Iterator[PostgresLog]:
    log = database.log()
    yield log
    log.close()


@pytest.fixture
def own(database: Database) -> Iterator[PostgresLog]:
    log = database.log("motcua_payment")
    yield log
    log.close()


class Desk:
    """An operator at the command line."""

    def __init__(self, broker: Broker, database: Database) -> None:
        self.broker, self.database = broker, database
        self.amqp_url = broker.url_for(f"{broker.vhost}_operator", "p")

    def run(self, *words: str, role: str = "motcua_payment") -> Result:
        """Run ``motcua queues``."""
        environ = {
            "MOTCUA_AMQP_URL": self.amqp_url, "MOTCUA_LOG_ID": str(LOG_ID),
            "MOTCUA_DATABASE_URL": self.database.url_for(role),
        }  # fmt: skip
        return CliRunner().invoke(app, ["queues", *words], env=environ)

    def lines(self, *words: str, role: str = "motcua_payment") -> list[dict[str, Any]]:
        """Run it with ``--json``; return the objects."""
        result = self.run(*words, "--json", role=role)
        assert result.exit_code == 0, result.output
        return [json.loads(line) for line in result.output.splitlines()]


@pytest.fixture
def desk(broker: Broker, database: Database) -> Desk:
    return Desk(broker, database)


class Poison:
    """The echo's handler; fails for some events until it is mended."""

    def __init__(self, *events: RecordedEvent) -> None:
        self.events = {event.event_id for event in events}

    def __call__(self, event: RecordedEvent) -> list[Change]:
        if event.event_id in self.events:
            raise ZeroDivisionError
        return token_issued(event)


def killed(own: PostgresLog, broker: Broker, events: list[RecordedEvent]) -> Poison:
    """Let ``events`` die of a handler that fails; return the handler."""
    handler = Poison(*events)
    for event in events:
        broker.publish(topology.EVENTS, "dossier.registered.v1", encode(event))
    before = broker.depth(ECHO.dead_letter_queue) or 0
    with Echo(own, {"dossier.registered": handler}).consuming(broker.url):
        wait_until(
            lambda: broker.depth(ECHO.dead_letter_queue) == before + len(events), what="all dead"
        )
    return handler


def test_listed_and_shown_and_still_there(
    log: PostgresLog, own: PostgresLog, broker: Broker, desk: Desk
) -> None:
    """Depths of all queues; each letter's reason, deaths and event, nothing personal, none moved."""
    dead = register(log, 2)
    killed(own, broker, dead)
    broker.publish("", ECHO.dead_letter_queue, f'{{"phone":"{SECRET}"}}'.encode())
    depths = {line["queue"]: line for line in desk.lines("list")}
    assert set(depths) == set(topology.BINDINGS)
    assert (depths[ECHO.name]["dead"], depths[ECHO.name]["consumers"]) == (3, 0)
    assert depths[ECHO.name]["oldest"]
    for _ in range(3):
        letters = desk.lines("show", ECHO.name)
        found = {(line["id"], line["position"]) for line in letters[:2]}
        assert found == {(str(event.event_id), event.position) for event in dead}
        assert letters[0]["died_at"] <= letters[1]["died_at"]
        assert letters[0]["reason"] == "rejected"
        assert letters[0]["deaths"] == 1
        assert letters[0]["type"] == "dossier.registered.v1"
        assert letters[2]["id"].startswith("sha256:")
        assert letters[2]["problem"]
    table = desk.run("show", ECHO.name, "--limit", "2").output
    assert len(table.splitlines()) == 3
    assert SECRET not in desk.run("show", ECHO.name).output


def test_redriven_letters_are_handled(
    log: PostgresLog, own: PostgresLog, broker: Broker, desk: Desk
) -> None:
    """One by its id, then the rest; once the handler is mended each has its effect, once."""
    dead = register(log, 5)
    handler = killed(own, broker, dead)
    (one,) = desk.lines("redrive", ECHO.name, "--id", str(dead[3].event_id))
    assert one["position"] == dead[3].position
    assert (broker.depth(ECHO.name), broker.depth(ECHO.dead_letter_queue)) == (1, 4)
    assert len(desk.lines("redrive", ECHO.name, "--all")) == 4
    assert (broker.depth(ECHO.name), broker.depth(ECHO.dead_letter_queue)) == (5, 0)
    handler.events.clear()
    with Echo(own, {"dossier.registered": handler}).consuming(broker.url):
        wait_until(lambda: broker.depth(ECHO.name) == 0, what="all taken")
        wait_until(lambda: set(expected(dead)) <= set(effects(log)), what="all handled")
    assert all(effects(log)[str(event.event_id)] == 1 for event in dead)


def test_a_letter_the_queue_refuses_stays(
    log: PostgresLog, own: PostgresLog, broker: Broker, desk: Desk,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Not confirmed, not acknowledged: the letter is where it was."""
    killed(own, broker, register(log, 2))

    def refuse(*_words: object, **_more: object) -> None:
        raise NackError([])

    monkeypatch.setattr(pika.adapters.blocking_connection.BlockingChannel, "basic_publish", refuse)
    result = desk.run("redrive", ECHO.name, "--all")
    assert result.exit_code != 0
    monkeypatch.undo()
    assert (broker.depth(ECHO.name), broker.depth(ECHO.dead_letter_queue)) == (0, 2)


def test_what_is_dropped_does_not_come_back(
    log: PostgresLog, own: PostgresLog, broker: Broker, desk: Desk, database: Database
) -> None:
    """Given up on record: neither the sweeper nor another delivery handles it any more."""
    given_up, kept = register(log, 2)
    handler = killed(own, broker, [given_up, kept])
    words = ("--id", str(given_up.event_id), "--reason", "entered twice", "--by", "vh001")
    (line,) = desk.lines("drop", ECHO.name, *words)
    assert "given up" in line["meaning"]
    assert broker.depth(ECHO.dead_letter_queue) == 1
    handler.events.clear()
    echo = Echo(own, {"dossier.registered": handler})
    broker.publish(topology.EVENTS, "dossier.registered.v1", encode(given_up))
    with echo.consuming(broker.url), echo.sweeping(database.url_for("motcua_payment")):
        wait_until(lambda: effects(log)[str(kept.event_id)] == 1, timeout_s=40, what="kept swept")
        wait_until(lambda: broker.depth(ECHO.name) == 0, what="the delivery taken")
    assert effects(log)[str(given_up.event_id)] == 0
    (entry,) = desk.lines("dropped", role="motcua_audit")
    assert (entry["id"], entry["reason"], entry["by"], entry["position"]) == (
        str(given_up.event_id), "entered twice", "vh001", given_up.position,
    )  # fmt: skip
    again = desk.lines("drop", ECHO.name, "--id", str(kept.event_id), *words[2:])
    assert "already" in again[0]["meaning"]
    with (
        psycopg.connect(database.url_for("motcua_payment")) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute("DELETE FROM eventlog.dropped")


def test_each_giving_up_is_on_record(log: PostgresLog, database: Database) -> None:
    """The same letter, given back and dead again, is a second decision."""
    (dead,) = register(log)
    named = str(dead.event_id)
    with psycopg.connect(database.url_for("motcua_payment"), autocommit=True) as connection:
        said = [
            connection.execute(
                "SELECT eventlog.drop_letter(%s, %s, %s, %s, %s, %s, %s)",
                (LOG_ID, ECHO.name, named, dead.position, dead.event_id, reason, "vh001"),
            ).fetchone()
            for reason in ("entered twice", "and once more")
        ]
    assert said == [("dropped",), ("handled",)]
    with psycopg.connect(database.url_for("motcua_audit")) as connection:
        kept = connection.execute(
            "SELECT reason FROM eventlog.dropped WHERE letter = %s ORDER BY dropped_at", (named,)
        ).fetchall()
    assert kept == [("entered twice",), ("and once more",)]


def test_only_the_owner_drops_and_a_wrong_word_is_one_line(
    log: PostgresLog, own: PostgresLog, broker: Broker, desk: Desk
) -> None:
    """Another service's login drops nothing; unknown queues and letters are named."""
    (dead,) = register(log)
    killed(own, broker, [dead])
    words = ("--reason", "r", "--by", "b")
    wrong = [
        (desk.run("drop", ECHO.name, "--id", str(dead.event_id), *words, role="motcua_intake"),
         "foreign_reactor"),
        (desk.run("drop", ECHO.name, "--id", str(dead.event_id), "--reason", "", "--by", "b"),
         "reason_or_name"),
        (desk.run("drop", ECHO.name, "--id", "nobody", *words), "no_such_letter"),
        (desk.run("show", "nobody.queue"), "no_such_queue"),
    ]  # fmt: skip
    for result, code in wrong:
        assert code in str(result.exception)
    assert desk.run("redrive", ECHO.name).exit_code == 2
    assert broker.depth(ECHO.dead_letter_queue) == 1


def test_the_login_may_do_nothing_else(broker: Broker, desk: Desk) -> None:
    """It takes from no working queue and publishes to no exchange of events."""
    for act, words in (
        ("basic_get", (ECHO.name,)),
        ("basic_publish", (topology.EVENTS, "dossier.registered.v1", b"{}")),
        ("queue_delete", (ECHO.dead_letter_queue,)),
    ):
        connection = pika.BlockingConnection(pika.URLParameters(desk.amqp_url))
        channel = connection.channel()
        channel.confirm_delivery()
        with pytest.raises(pika.exceptions.ChannelClosedByBroker) as caught:
            getattr(channel, act)(*words)
        assert caught.value.reply_code == 403
        connection.close()
