# SPDX-License-Identifier: Apache-2.0
"""Commands on subscribers, and the list of all of them as the log knows it."""

import fnmatch
import threading
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Final, cast

from services.common import contracts
from services.common.canonical import Json
from services.common.clock import Clock
from services.common.eventlog.port import EventLog
from services.common.eventlog.record import Appended
from services.common.eventlog.recording import Cause, Change, Fact, Recorder, facts_of
from services.notify.domain.subscriber import Subscriber, decide, fold, refused
from services.notify.domain.subscriber_commands import (
    Add,
    Command,
    Confirm,
    OrderRedrive,
    Remove,
    Resume,
    Rotate,
    SetWebhook,
    Suspend,
)

CATEGORY: Final = "subscriber"
FRESH_S: Final = 0.1
_EVENTS_MAX: Final = 1_000_000


def stream_of(name: str) -> str:
    """Return the stream of subscriber ``name``."""
    return f"{CATEGORY}-{name}"


def subscriber_of(log: EventLog, name: str) -> Subscriber:
    """Return one subscriber as the log knows it; one that never was has no grant."""
    events = log.read_stream(stream_of(name), limit=_EVENTS_MAX)
    facts = facts_of(events)
    return fold(name, [(kind, data, event.position)
                       for (kind, data), event in zip(facts, events, strict=True)])  # fmt: skip


def order_subscriber(
    recorder: Recorder, name: str, command: Command, *, source: str, actor: str, key: str = ""
) -> Appended | None:
    """Carry out ``command``; None where it is so already. Idempotent by (source, key).

    Raises:
        Refused: as ``domain.subscriber.decide``.
        Conflict: others were faster eight times in a row.
        Unavailable: the log is down.
    """

    def changes() -> Sequence[Change]:
        state = subscriber_of(recorder.log, name)
        facts = tuple(Fact(type=kind, data=data) for kind, data in decide(command, state))
        if not facts:
            return ()
        stream = stream_of(name)
        return (Change(stream=stream, expected_version=state.version, facts=facts),)

    asked = cast("Json", [type(command).__name__, name, asdict(command)])
    cause = Cause(correlation_id=str(uuid.uuid4()), actor=actor)
    return recorder.decide(
        changes, source=source, key=key or str(uuid.uuid4()), cause=cause, asked=asked
    )


COMMAND_HANDLERS: Final[dict[type[Command], Callable[..., Appended | None]]] = dict.fromkeys(
    (Add, Rotate, SetWebhook, Suspend, Resume, OrderRedrive, Confirm, Remove), order_subscriber
)


def granted_types(wanted: Sequence[str]) -> tuple[str, ...]:
    """Return the event types that ``wanted`` names, ``dossier.*`` meaning all there are now.

    A type that comes later is not granted by itself.

    Raises:
        Refused: ``type_unknown``, naming the first that no contract knows.
    """
    known = sorted({contract.type for contract in contracts.all_contracts()})
    found: set[str] = set()
    for one in wanted:
        fitting = fnmatch.filter(known, one)
        if not fitting:
            raise refused("type_unknown", f"no event has the type {one}",
                          f"không có loại sự kiện {one}", "type")  # fmt: skip
        found.update(fitting)
    if not found:
        raise refused("type_missing", "name at least one type", "cần ít nhất một loại", "type")
    return tuple(sorted(found))


@dataclass(frozen=True, slots=True)
class View:
    """Every subscriber by name, as of position ``head`` of the log or later."""

    head: int
    known: Mapping[str, Subscriber]


class Subscribers:
    """Every subscriber, never older than a tenth of a second; safe for many threads."""

    def __init__(self, log: EventLog, clock: Clock) -> None:
        """Bind; nothing is read before the first question."""
        self._log = log
        self._clock = clock
        self._guard = threading.Lock()
        self._asked_s: float | None = None
        self._versions: Mapping[str, int] = {}
        self._known: dict[str, Subscriber] = {}
        self._view = View(0, {})

    def look(self) -> View:
        """Return all of them, also removed ones.

        The head is read first: no grant up to it is missed, so whatever is answered for positions
        up to it stays right.

        Raises:
            Unavailable: the log is down and what is known is too old.
        """
        with self._guard:
            now_s = self._clock.monotonic_s()
            if self._asked_s is None or now_s - self._asked_s >= FRESH_S:
                head = self._log.head()
                self._refresh()
                self._view = View(head, dict(self._known))
                self._asked_s = now_s
            return self._view

    def all(self) -> Mapping[str, Subscriber]:
        """Return every subscriber that exists, by name; raises Unavailable."""
        return {name: one for name, one in self.look().known.items() if one.present}

    def with_token(self, digest: str) -> Subscriber | None:
        """Return whose token has this SHA-256."""
        return next((one for one in self.all().values() if one.token_digest == digest), None)

    def _refresh(self) -> None:
        versions = self._log.category_versions(CATEGORY)
        for stream, version in versions.items():
            if self._versions.get(stream) != version:
                name = stream.removeprefix(f"{CATEGORY}-")
                self._known[name] = subscriber_of(self._log, name)
        self._versions = versions
