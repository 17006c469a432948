# SPDX-License-Identifier: Apache-2.0
"""Subscribers written from the documentation alone, run as they stand there, and the examples.

The programs are taken out of the pages and run against the real broker: a small log with every
version of every event, published by the relay, read with a login that may read one queue.
"""

import json
import os
import re
import shutil
import socket
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT7

from infra.local import system
from tests.support.broker import Broker
from tests.support.database import Database, fresh_database
from tests.support.published import Outside, outside
from tests.support.waiting import wait_until

PAGE = Path("docs/first-subscriber.md")
DOCUMENT = json.loads(Path("docs/reference/asyncapi.json").read_text(encoding="utf-8"))
AGAIN = 20


@pytest.fixture
def database(server_url: str) -> Iterator[Database]:
    """A log of its own, because positions are counted."""
    with fresh_database(server_url) as database:
        yield database


def blocks(language: str) -> list[str]:
    """Return the page's programs in ``language``."""
    text = PAGE.read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


@contextmanager
def running(*command: str, folder: Path, **environ: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program until the block ends, with what it is given and nothing of this project."""
    base = {name: value for name, value in os.environ.items() if "MOTCUA" not in name}
    with (folder / "out").open("ab") as out:
        child = subprocess.Popen(
            command, cwd=folder, env={**base, **environ}, stdout=out, stderr=out,
            start_new_session=True,
        )  # fmt: skip
    try:
        yield child
    finally:
        with suppress(ProcessLookupError):
            os.killpg(child.pid, 9)
        child.wait(10)


def deliver_again(broker: Broker, there: Outside, bodies: list[bytes]) -> None:
    """Bring messages a second time, as a relay that was killed does."""
    for body in bodies:
        broker.publish("", there.queue, body)


def assert_published(events: list[dict[str, Any]], there: Outside) -> None:
    """Each event once, none missing, and each as the published document says."""
    assert sorted(int(event["sequence"]) for event in events) == list(range(1, there.head + 1))
    assert len({event["id"] for event in events}) == there.head
    registry = Registry().with_resource(
        "urn:all", Resource.from_contents(DOCUMENT, default_specification=DRAFT7)
    )
    for event in events:
        name = event["type"].removeprefix("vn.motcua247.")
        text = json.dumps(DOCUMENT["components"]["messages"][name]["payload"])
        payload = json.loads(text.replace('"#/', '"urn:all#/'))
        Draft7Validator(payload, registry=registry).validate(event)


def test_python_with_pika_alone(database: Database, broker: Broker, tmp_path: Path) -> None:
    """Killed in the middle and given messages twice, it has every event once and in order."""
    [program] = blocks("python")
    (tmp_path / "subscriber.py").write_text(program, encoding="utf-8")
    store = tmp_path / "events.db"

    def stored() -> list[bytes]:
        if not store.exists():
            return []
        with sqlite3.connect(store, timeout=10) as reader:
            try:
                rows = reader.execute("SELECT body FROM event ORDER BY position").fetchall()
            except sqlite3.OperationalError:  # the table is not there yet
                return []
        return [bytes(row[0]) for row in rows]

    with outside(broker, database, tmp_path, name="pika", copies=8) as there:
        given = {"AMQP_URL": there.url, "QUEUE": there.queue, "STORE": str(store)}
        command = (sys.executable, "-I", "subscriber.py")
        with running(*command, folder=tmp_path, **given):
            wait_until(lambda: len(stored()) > 5, what="the first events stored")
        assert len(stored()) < there.head
        deliver_again(broker, there, stored()[:AGAIN])
        with running(*command, folder=tmp_path, **given):
            wait_until(lambda: len(stored()) == there.head, what="every event stored")
            wait_until(lambda: broker.depth(there.queue) == 0, what="an empty queue")
        assert_published([json.loads(body) for body in stored()], there)


def test_shell_with_amqp_tools(database: Database, broker: Broker, tmp_path: Path) -> None:
    """The same in shell, with Debian's amqp-tools; a message it cannot store comes again."""
    if shutil.which("amqp-consume") is None:
        system.install(("amqp-tools",))
    take, forever = blocks("sh")
    (tmp_path / "take.sh").write_text(take, encoding="utf-8")
    (tmp_path / "run.sh").write_text(forever, encoding="utf-8")
    spool = tmp_path / "spool"

    def stored() -> list[Path]:
        return sorted(spool.glob("*.json"))

    with outside(broker, database, tmp_path, name="shell") as there:
        given = {"AMQP_URL": there.url, "QUEUE": there.queue, "SPOOL": str(spool)}
        with running("sh", "run.sh", folder=tmp_path, **given):
            wait_until(lambda: "spool" in (tmp_path / "out").read_text(), what="a failure told")
            spool.mkdir()  # the disk is there again
            wait_until(lambda: len(stored()) == there.head, what="every event stored")
            deliver_again(broker, there, [path.read_bytes() for path in stored()[:AGAIN]])
            wait_until(lambda: broker.depth(there.queue) == 0, what="an empty queue")
        bodies = [path.read_bytes() for path in stored()]
        assert_published([json.loads(body) for body in bodies], there)


class LogServer:
    """A syslog server on TCP that keeps what comes; may hang up."""

    def __init__(self, port: int = 0) -> None:
        self._socket = socket.create_server(("127.0.0.1", port))
        self._connections: list[socket.socket] = []
        self.port: int = self._socket.getsockname()[1]
        self.taken = b""
        threading.Thread(target=self._accept, daemon=True).start()

    def lines(self) -> list[str]:
        """Return the messages, unframed."""
        rest, found = self.taken, []
        while match := re.match(rb"(\d+) ", rest):
            end = match.end() + int(match[1])
            if len(rest) < end:
                break
            found.append(rest[match.end() : end].decode())
            rest = rest[end:]
        return found

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        for one in self._connections:
            one.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self._connections.append(connection)
            while chunk := connection.recv(65_536):
                self.taken += chunk


def test_counters_of_an_operations_centre(
    database: Database, broker: Broker, tmp_path: Path
) -> None:
    """Counted once each, whatever comes twice; money in whole đồng."""
    store = str(tmp_path / "ioc.db")
    program = (sys.executable, "-m", "infra.examples.ioc")
    here = {"PYTHONPATH": str(Path.cwd()), "STORE": store}
    with outside(broker, database, tmp_path, name="ioc") as there:
        with broker.channel() as channel:
            _, _, body = channel.basic_get(there.queue)  # goes back when the channel closes
        given = {"AMQP_URL": there.url, "QUEUE": there.queue, **here}
        with running(*program, folder=tmp_path, **given):
            wait_until(lambda: broker.depth(there.queue) == 0, what="an empty queue")
            deliver_again(broker, there, [body] * AGAIN)
            broker.publish("", there.queue, b'{"id": 1}')
            wait_until(
                lambda: "not an event" in (tmp_path / "out").read_text(), what="rubbish told"
            )
    shown = subprocess.run(
        [*program, "show"], check=True, capture_output=True, text=True, timeout=30,
        env={**os.environ, **here}, cwd=tmp_path,
    )  # fmt: skip
    [day] = json.loads(shown.stdout)["days"].values()
    assert day == {
        "accepted": 1, "bank_vnd": 8000, "cash_vnd": 20_000, "completed": 2,
        "handed_in_at_machines": 2, "handed_in_elsewhere": 1, "late_with_apology": 1,
        "refunded_vnd": 10_000, "refused": 1, "returned": 2, "whereabouts_unknown": 1,
    }  # fmt: skip


def test_feed_of_a_security_team(database: Database, broker: Broker, tmp_path: Path) -> None:
    """CEF lines wait while the log server is away, and come in order; nothing else goes along."""
    first = LogServer()
    given = {
        "PYTHONPATH": str(Path.cwd()), "STORE": str(tmp_path / "soc.db"),
        "SYSLOG": f"127.0.0.1:{first.port}",
    }  # fmt: skip
    first.close()
    program = (sys.executable, "-m", "infra.examples.soc")
    with outside(broker, database, tmp_path, name="soc") as there:
        given |= {"AMQP_URL": there.url, "QUEUE": there.queue}
        with running(*program, folder=tmp_path, **given):
            wait_until(lambda: broker.depth(there.queue) == 0, what="an empty queue")
            wait_until(lambda: "kept" in (tmp_path / "out").read_text(), what="lines are kept")
        second = LogServer(first.port)
        with running(*program, folder=tmp_path, **given):
            wait_until(lambda: len(second.lines()) == 13, what="every line")
        second.close()
    lines = second.lines()
    assert all(re.match(r"<109>1 \S+ motcua247 events - - - CEF:0\|", line) for line in lines)
    places = [int(re.findall(r"cn1=(\d+)", line)[0]) for line in lines]
    assert places == sorted(places)
    [fork] = [line for line in lines if "|config.machine_quarantined|" in line]
    assert "|Two histories under one machine|10|" in fork
    assert "mcreason=fork" in fork
