# SPDX-License-Identifier: Apache-2.0
"""Does the faults of a plan, one after the other, and writes down when and how each ended."""

import base64
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from http.client import HTTPException
from typing import Any, Final, cast
from urllib.error import HTTPError
from urllib.parse import quote

import requests

from infra.chaosing.outsiders import Outsiders
from infra.chaosing.plan import IOC, QUEUE, RESET, Fault
from infra.local import prepare
from infra.local.rabbitmq import ADMIN
from infra.local.servers import Servers
from infra.local.settings import VHOST, Stack
from infra.local.stack import running_pid
from infra.local.system import MissingError, wait_until
from services.common.errors import Unavailable
from services.common.eventlog.port import EventLog
from services.common.eventlog.record import RecordedEvent
from services.common.messaging import topology
from services.common.messaging.envelope import CONTENT_TYPE, encode, wire_name

TAP: Final = "chaos.tap"
"""Everything that is published comes here, too, to be looked through."""
PAUSE_S: Final = 0.5
CUT_S: Final = 2.0
FROZEN_S: Final = 6.0
ALARM_S: Final = 2.0
AGAIN: Final = 40
_POISON: Final = (
    b"", b"{", b"[]", b"\xff" * 64, b"[" * 100_000, b'{"specversion":"1.0","id":"1","data":{}}',
    b'{"type":"vn.motcua247.dossier.accepted.v1","id":7,"sequence":"x","data":[]}',
)  # fmt: skip
_NOT_DONE: Final = (
    OSError, HTTPException, ValueError, subprocess.SubprocessError, Unavailable, MissingError,
)  # fmt: skip
_LISTED_S: Final = 10.0
"""The management API counts connections anew every five seconds."""
_EVERYTHING: Final = {"configure": ".*", "write": ".*", "read": ".*"}


class Harms:
    """Hands that break things; ``done`` is the account of it."""

    def __init__(self, servers: Servers, local: Stack, outsiders: Outsiders, log: EventLog) -> None:
        """Bind; ``log`` is read for events that are sent once more."""
        assert servers.rabbit is not None, "private servers only"
        assert servers.postgres is not None, "private servers only"
        self._rabbit, self._postgres = servers.rabbit, servers.postgres
        self._local, self._outsiders, self._log = local, outsiders, log
        self.done: list[dict[str, Any]] = []
        self.enough = threading.Event()
        self._acts: dict[str, Callable[[str], None]] = {
            "kill -9": self._kill, "freeze": self._freeze, "cut line": self._cut,
            "disconnect": self._disconnect, "purge": self._purge, "unbind": self._unbind,
            "delete": self._delete, "alarm": self._alarm, "database": self._database,
            "broker": self._broker, "double": self._double, "reorder": self._reorder,
            "refuse": self._refuse, "poison": self._poison, "receiver": self._receiver,
            "forge": self._forge,
        }  # fmt: skip

    def tap(self) -> None:
        """Make the queue that everything comes to."""
        self._api("PUT", f"/permissions/{VHOST}/{ADMIN}", _EVERYTHING)
        arguments = {"x-queue-type": "quorum", "x-max-length": 200_000, "x-overflow": "drop-head"}
        queue = {"durable": True, "arguments": arguments}
        self._api("PUT", f"/queues/{VHOST}/{TAP}", queue)
        bindings = f"/bindings/{VHOST}/e/{topology.EVENTS}/q/{TAP}"
        self._api("POST", bindings, {"routing_key": "#", "arguments": {}})

    def run(self, plan: Sequence[Fault], under_way: Callable[[], int]) -> None:
        """Do every fault of ``plan``; visitors come as long as ``enough`` is not set."""
        began = time.monotonic()
        try:
            for place, fault in enumerate(plan, start=1):
                entry = self._one(fault)
                entry |= {"at_s": round(time.monotonic() - began, 1), "under_way": under_way()}
                self.done.append(entry)
                note = f"  NOT DONE: {entry['not_done']}" if "not_done" in entry else ""
                print(f"{place:>3}/{len(plan)} {entry['at_s']:>6} s  {fault}{note}", flush=True)
                if self.enough.wait(PAUSE_S):
                    return
        finally:
            self.enough.set()

    def messages(self, queue: str, number: int, mode: str) -> list[bytes]:
        """Take up to ``number`` messages from ``queue`` by the management API."""
        asked = {"count": number, "ackmode": mode, "encoding": "base64"}
        found = self._api("POST", f"/queues/{VHOST}/{queue}/get", asked)
        return [_body(one) for one in cast("list[dict[str, str]]", found)]

    def depth(self, queue: str) -> int:
        """Return how many messages are in ``queue``, as far as the broker counted lately."""
        try:
            found = cast("dict[str, int]", self._api("GET", f"/queues/{VHOST}/{queue}"))
        except HTTPError:
            return 0  # it was deleted and is not there again
        return int(found.get("messages", 0))

    def queues(self) -> list[str]:
        """Return the names of all queues."""
        found = cast("list[dict[str, str]]", self._api("GET", f"/queues/{VHOST}"))
        return [one["name"] for one in found]

    def _one(self, fault: Fault) -> dict[str, Any]:
        entry: dict[str, Any] = {"kind": fault.kind, "target": fault.target}
        try:
            self._acts[fault.kind](fault.target)
        except _NOT_DONE as error:
            entry["not_done"] = f"{type(error).__name__} {error}"[:100]
        return entry | {"ended": time.time(), "head": self._head()}

    def _head(self) -> int:
        """Return the log's head; a database that has just started may want a moment."""
        for _ in range(20):
            try:
                return self._log.head()
            except Exception:  # noqa: BLE001 - whatever the outage is called
                time.sleep(0.5)
        return self._log.head()

    def _kill(self, name: str) -> None:
        os.kill(running_pid(self._local, name), signal.SIGKILL)

    def _freeze(self, name: str) -> None:
        pid = running_pid(self._local, name)
        os.kill(pid, signal.SIGSTOP)
        time.sleep(FROZEN_S)
        os.kill(pid, signal.SIGCONT)

    def _cut(self, name: str) -> None:
        line = next(one.line for one in self._outsiders.all if one.name == name)
        line.cut({"seconds": CUT_S})
        time.sleep(CUT_S)

    def _disconnect(self, user: str) -> None:
        wait_until(f"a connection of {user}", lambda: bool(self._connections(user)), _LISTED_S)
        for name in self._connections(user):
            self._api("DELETE", f"/connections/{quote(name, safe='')}")

    def _connections(self, user: str) -> list[str]:
        found = cast("list[dict[str, str]]", self._api("GET", "/connections"))
        return [one["name"] for one in found if one.get("user") == user]

    def _purge(self, queue: str) -> None:
        self._api("DELETE", f"/queues/{VHOST}/{queue}/contents")

    def _delete(self, queue: str) -> None:
        self._api("DELETE", f"/queues/{VHOST}/{queue}")

    def _unbind(self, queue: str) -> None:
        path = f"/bindings/{VHOST}/e/{topology.EVENTS}/q/{queue}"
        for binding in cast("list[dict[str, str]]", self._api("GET", path)):
            self._api("DELETE", f"{path}/{quote(binding['properties_key'], safe='')}")

    def _alarm(self, _what: str) -> None:
        self._rabbit.control("set_vm_memory_high_watermark", "0.000001")
        try:
            time.sleep(ALARM_S)
        finally:
            self._rabbit.control("set_vm_memory_high_watermark", "absolute", "1GB")

    def _database(self, mode: str) -> None:
        self._postgres.stop(mode)
        self._postgres.start()

    def _broker(self, how: str) -> None:
        self._rabbit.kill()
        if how == RESET:
            self._rabbit.reset_state()
        self._rabbit.start()
        if how == RESET:
            prepare.broker(self._local)
            self._outsiders.motcua("restore")
            self.tap()

    def _double(self, queue: str) -> None:
        self._send_again(queue, self._recent())

    def _reorder(self, queue: str) -> None:
        """Turn what waits in the queue round, while its reader is away."""
        waiting = self._gathered("ack_requeue_false")
        for body in reversed(waiting):
            self._publish("amq.default", queue, body)

    def _refuse(self, _queue: str) -> None:
        """Real events go to the dead-letter queue, and their reader does not see them there."""
        if not self._gathered("reject_requeue_false"):
            raise TimeoutError("nothing waited to be refused")

    def _gathered(self, mode: str) -> list[bytes]:
        line = next(one.line for one in self._outsiders.all if one.name == IOC)
        line.cut({"seconds": 4 * CUT_S})
        try:
            self._send_again(QUEUE, self._recent())
            deadline = time.monotonic() + 3 * CUT_S
            while not (found := self.messages(QUEUE, AGAIN, mode)):
                if time.monotonic() > deadline:
                    break
                time.sleep(0.5)
            return found
        finally:
            line.mend({})

    def _poison(self, queue: str) -> None:
        events = self._recent()[:1]
        for body in (*_POISON, *(encode(event)[:-40] for event in events)):
            if queue == QUEUE:
                self._publish("amq.default", queue, body)
            else:
                self._publish(topology.EVENTS, "dossier.accepted.v1", body)

    def _recent(self) -> list[RecordedEvent]:
        """Return the newest events that a subscriber is granted."""
        types = self._outsiders.all[0].types
        found = self._log.read_all(max(0, self._head() - AGAIN), limit=AGAIN)
        return [event for event in found if event.type in types]

    def _send_again(self, queue: str, events: Sequence[RecordedEvent]) -> None:
        for event in events:
            if queue == QUEUE:
                self._publish("amq.default", queue, encode(event))
            else:
                self._publish(topology.EVENTS, wire_name(event), encode(event))

    def _publish(self, exchange: str, key: str, body: bytes) -> None:
        message = {
            "properties": {"delivery_mode": 2, "content_type": CONTENT_TYPE}, "routing_key": key,
            "payload": base64.b64encode(body).decode(), "payload_encoding": "base64",
        }  # fmt: skip
        told = self._api("POST", f"/exchanges/{VHOST}/{exchange}/publish", message)
        if not cast("dict[str, bool]", told)["routed"]:
            raise ValueError(f"{key} went nowhere")

    def _receiver(self, what: str) -> None:
        self._order({what: 2})
        if what == "slow":
            time.sleep(CUT_S)
            self._order({what: 0})

    def _order(self, faults: dict[str, float]) -> None:
        url = f"http://127.0.0.1:{self._outsiders.receiver_port}/control/faults"
        requests.post(url, json=faults, timeout=10).raise_for_status()

    def _forge(self, _what: str) -> None:
        """Post an event that is none, signed with another key, to the webhook's address."""
        body = encode(self._recent()[0])
        signed = base64.b64encode(bytes(32)).decode()
        headers = {
            "webhook-id": "0", "webhook-timestamp": str(int(time.time())),
            "webhook-signature": f"v1,{signed}",
        }  # fmt: skip
        url = f"http://127.0.0.1:{self._outsiders.receiver_port}/events"
        answer = requests.post(url, data=body, headers=headers, timeout=10)
        if answer.ok:
            raise ValueError("a forged webhook was taken")

    def _api(self, method: str, path: str, body: object = None) -> object:
        return self._rabbit.api(method, path, body)


def _body(message: dict[str, str]) -> bytes:
    if message["payload_encoding"] == "base64":
        return base64.b64decode(message["payload"])
    return message["payload"].encode()
