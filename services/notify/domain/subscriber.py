# SPDX-License-Identifier: Apache-2.0
"""A subscriber: which events an outside system is owed, and how it may get them.

Folded from ``subscriber-<name>``. What is *owed* is decided by the grant in force at an event's
position, so the answer for a past range of positions never changes (ADR-0018).
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Final, assert_never

from services.common.canonical import Json
from services.common.errors import Refused
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

NAME: Final = re.compile(r"[a-z][a-z0-9]{0,19}(?:-[a-z0-9]{1,10}){0,3}")
ALL, WEBHOOK = "all", "webhook"
TOKEN, BROKER = "token", "broker"
BY_HAND: Final = "by_hand"
REDRIVEN_MAX: Final = 100_000

Data = Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class Grant:
    """From behind position ``after`` on, ``types`` are owed, until the next grant."""

    after: int
    types: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Filter:
    """From behind position ``after`` on its webhook gets ``types`` of what is owed; None all."""

    after: int
    types: tuple[str, ...] | None

    def of(self, types: tuple[str, ...]) -> tuple[str, ...]:
        """Return those of ``types`` that pass."""
        return types if self.types is None else tuple(t for t in types if t in self.types)


@dataclass(frozen=True, slots=True)
class Stop:
    """Why nothing is given; ``position`` is the event that could not be, where there is one."""

    reason: str
    position: int | None


@dataclass(frozen=True, slots=True)
class Redrive:
    """An order at ``position`` of the log to send ``first`` … ``last`` once more."""

    position: int
    first: int
    last: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscriber:
    """State of one subscriber.

    Attributes:
        name: its code, empty while it does not exist.
        version: how many events the stream has.
        grants: by position, the last one in force.
        token_digest: SHA-256 of its token; empty once removed.
        generations: how often each of its credentials was made anew.
        webhook_old_until: until then webhooks are signed with the secret before, too (RFC 3339).
        url: where its events are sent to, None for nowhere.
        url_after: position behind which they are.
        filters: by position, which types its webhook gets.
        released: position at which its webhook was last set or let go on.
        suspended: scopes in which nothing is given, and why.
        redrives: orders to send a range once more.
        confirmed: position through which its webhook took everything, as the log says.
    """

    name: str = ""
    version: int = 0
    grants: tuple[Grant, ...] = ()
    token_digest: str = ""
    generations: Mapping[str, int] = field(default_factory=dict)
    webhook_old_until: str | None = None
    url: str | None = None
    url_after: int = 0
    filters: tuple[Filter, ...] = ()
    released: int = 0
    suspended: Mapping[str, Stop] = field(default_factory=dict)
    redrives: tuple[Redrive, ...] = ()
    confirmed: int = 0

    @property
    def present(self) -> bool:
        """Whether it exists."""
        return bool(self.token_digest)

    @property
    def types(self) -> tuple[str, ...]:
        """The types it is owed now."""
        return self.grants[-1].types if self.grants else ()

    @property
    def open(self) -> bool:
        """Whether feed and queue are open to it."""
        return self.present and ALL not in self.suspended

    @property
    def sends(self) -> bool:
        """Whether its events are sent to its webhook."""
        return self.open and self.url is not None and WEBHOOK not in self.suspended

    @property
    def stopped_itself(self) -> bool:
        """Whether its webhook stopped without anybody's wish and waits for a person."""
        stop = self.suspended.get(WEBHOOK)
        return self.url is not None and stop is not None and stop.reason != BY_HAND

    def generation(self, credential: str) -> int:
        """Return which secret of ``credential`` is in force, from 1."""
        return self.generations.get(credential, 1)

    def owed(self, after: int, through: int) -> list[tuple[int, int, tuple[str, ...]]]:
        """Return (after, through, types) for each stretch of positions with something owed."""
        found = []
        for place, grant in enumerate(self.grants):
            following = self.grants[place + 1 :]
            first = max(after, grant.after)
            last = min([through, *(later.after for later in following[:1])])
            if grant.types and first < last:
                found.append((first, last, grant.types))
        return found

    def posted(self, after: int, through: int) -> list[tuple[int, int, tuple[str, ...]]]:
        """Return what of ``owed`` goes to its webhook; the past never changes here, either."""
        found = []
        for begin, end, types in self.owed(max(after, self.url_after), through):
            for place, one in enumerate(self.filters):
                following = self.filters[place + 1 :]
                first = max(begin, one.after)
                last = min([end, *(later.after for later in following[:1])])
                if first < last and one.of(types):
                    found.append((first, last, one.of(types)))
        return found

    def redriven(self, after: int, through: int) -> list[tuple[int, int, tuple[str, ...]]]:
        """Return what of ``owed`` is sent once more: the types its webhook gets now."""
        newest = self.filters[-1] if self.filters else Filter(0, None)
        kept = ((a, b, newest.of(types)) for a, b, types in self.owed(after, through))
        return [(a, b, types) for a, b, types in kept if types]


Fact = tuple[str, dict[str, Json]]


def decide(command: Command, state: Subscriber) -> list[Fact]:
    """Return the events ``command`` causes; none where it is so already.

    Raises:
        Refused: ``subscriber_unknown``, ``subscriber_name``, ``type_not_granted``,
            ``webhook_missing`` or ``redrive_range``.
    """
    if isinstance(command, Add):
        return _add(command, state)
    if isinstance(command, Remove) and not state.present:
        return []
    if not state.present:
        raise refused("subscriber_unknown", "no such subscriber", "không có bên đăng ký này",
                      "name")  # fmt: skip
    match command:
        case Rotate():
            return [_rotated(command, state)]
        case OrderRedrive():
            return [_redrive(command, state)]
        case Remove():
            return [_fact("removed", by=command.by)]
        case SetWebhook():
            return _set(command, state)
        case Suspend() | Resume() | Confirm():
            return [] if _is_so(command, state) else [_changed(command)]
        case _:
            assert_never(command)


def evolve(state: Subscriber, event_type: str, data: Data, position: int) -> Subscriber:
    """Return ``state`` after one event of its stream; never refuses."""
    state = replace(state, version=state.version + 1)
    kind = event_type.removeprefix("subscriber.")
    change = _CHANGES.get(kind)
    return state if change is None else change(state, data, position)


def fold(name: str, events: Iterable[tuple[str, Data, int]]) -> Subscriber:
    """Return the state after (type, data, position) of each event of the stream."""
    state = Subscriber(name=name)
    for event_type, data, position in events:
        state = evolve(state, event_type, data, position)
    return state


def refused(code: str, en: str, vi: str, field_name: str) -> Refused:
    """Return a refusal of a subscriber's command."""
    return Refused(code, en, vi, field=field_name)


def _add(command: Add, state: Subscriber) -> list[Fact]:
    if not NAME.fullmatch(command.name):
        raise refused(
            "subscriber_name", "a name is small letters, digits and single dashes: ioc, soc-1",
            "tên chỉ gồm chữ thường, chữ số, dấu gạch nối: ioc, soc-1", "name",
        )  # fmt: skip
    types: Sequence[Json] = list(command.types)
    if not state.present:
        return [_fact("added", types=types, after=command.after,
                      token_digest=command.token_digest, by=command.by)]  # fmt: skip
    if set(command.types) == set(state.types):
        return []
    return [_fact("granted", types=types, by=command.by)]


def _set(command: SetWebhook, state: Subscriber) -> list[Fact]:
    foreign = sorted(set(command.types or ()) - set(state.types))
    if foreign:
        raise refused(
            "type_not_granted", f"not granted: {', '.join(foreign)[:200]}",
            f"không được cấp loại: {', '.join(foreign)[:200]}", "types",
        )  # fmt: skip
    chosen = state.filters[-1].types if state.filters else None
    if command.url == state.url and (command.url is None or command.types == chosen):
        return []
    chosen_now: dict[str, Json] = {} if command.types is None else {"types": list(command.types)}
    return [_fact("webhook_set", url=command.url, by=command.by, **chosen_now)]


def _is_so(command: Suspend | Resume | Confirm, state: Subscriber) -> bool:
    match command:
        case Suspend():
            return command.scope in state.suspended
        case Resume():
            return command.scope not in state.suspended
        case Confirm():
            return command.through <= state.confirmed
        case _:
            assert_never(command)


def _changed(command: Suspend | Resume | Confirm) -> Fact:
    names: dict[type, str] = {
        Suspend: "suspended", Resume: "resumed", Confirm: "webhook_confirmed",
    }  # fmt: skip
    return _fact(names[type(command)], **asdict(command))


def _rotated(command: Rotate, state: Subscriber) -> Fact:
    return _fact(
        "rotated", credential=command.credential,
        generation=state.generation(command.credential) + 1,
        token_digest=command.token_digest, until=command.until, by=command.by,
    )  # fmt: skip


def _redrive(command: OrderRedrive, state: Subscriber) -> Fact:
    if state.url is None:
        raise refused("webhook_missing", "it has no webhook", "bên đăng ký không có webhook", "url")
    number = command.last - command.first + 1
    if not 1 <= command.first <= command.last <= command.head or number > REDRIVEN_MAX:
        raise refused(
            "redrive_range",
            f"positions 1 … {command.head}, the first not behind the last, at most {REDRIVEN_MAX}",
            f"vị trí từ 1 đến {command.head}, đầu không lớn hơn cuối, tối đa {REDRIVEN_MAX}",
            "first",
        )
    return _fact("redrive_ordered", first=command.first, last=command.last,
                 reference=command.reference, by=command.by)  # fmt: skip


def _fact(name: str, **data: Json) -> Fact:
    return f"subscriber.{name}", data


def _types(data: Data) -> tuple[str, ...]:
    types = data["types"]
    assert isinstance(types, list), "the contract says so"
    return tuple(str(one) for one in types)


def _whole(value: Json) -> int:
    return int(str(value))


def _added(state: Subscriber, data: Data, position: int) -> Subscriber:
    # A name that was removed begins anew; what it had been owed before stays what it was.
    after = max(_whole(data["after"]), state.grants[-1].after if state.grants else 0)
    return Subscriber(
        name=state.name, version=state.version, token_digest=str(data["token_digest"]),
        grants=(*state.grants, Grant(after, _types(data))),
        generations={name: number + 1 for name, number in _counted(state).items()},
        url_after=position, confirmed=state.confirmed,
    )  # fmt: skip


def _counted(state: Subscriber) -> Mapping[str, int]:
    if not state.grants:
        return {}
    return {name: state.generation(name) for name in (TOKEN, BROKER, WEBHOOK)}


def _granted(state: Subscriber, data: Data, position: int) -> Subscriber:
    after = max(position, state.grants[-1].after)
    return replace(state, grants=(*state.grants, Grant(after, _types(data))))


def _rotated_to(state: Subscriber, data: Data, _position: int) -> Subscriber:
    name = str(data["credential"])
    grown = {**state.generations, name: _whole(data["generation"])}
    state = replace(state, generations=grown)
    if name == TOKEN:
        return replace(state, token_digest=str(data["token_digest"]))
    until = data["until"]
    if name == WEBHOOK:
        return replace(state, webhook_old_until=None if until is None else str(until))
    return state


def _webhook_set(state: Subscriber, data: Data, position: int) -> Subscriber:
    url = data["url"]
    chosen = Filter(position, _types(data) if data.get("types") is not None else None)
    first = state.url is None
    # What was stopped was the address before; a new webhook begins open.
    stops = {scope: why for scope, why in state.suspended.items() if not first or scope != WEBHOOK}
    return replace(
        state,
        suspended=stops,
        url=None if url is None else str(url),
        url_after=position if first else state.url_after,
        filters=(chosen,) if first else (*state.filters, chosen),
        released=position,
    )


def _suspended(state: Subscriber, data: Data, _position: int) -> Subscriber:
    position = data["position"]
    stop = Stop(str(data["reason"]), None if position is None else _whole(position))
    return replace(state, suspended={**state.suspended, str(data["scope"]): stop})


def _resumed(state: Subscriber, data: Data, position: int) -> Subscriber:
    left = {scope: why for scope, why in state.suspended.items() if scope != data["scope"]}
    return replace(state, suspended=left, released=position)


def _ordered(state: Subscriber, data: Data, position: int) -> Subscriber:
    order = Redrive(position, _whole(data["first"]), _whole(data["last"]))
    return replace(state, redrives=(*state.redrives, order))


def _confirmed(state: Subscriber, data: Data, _position: int) -> Subscriber:
    return replace(state, confirmed=_whole(data["through"]))


def _removed(state: Subscriber, _data: Data, position: int) -> Subscriber:
    after = max(position, state.grants[-1].after)
    return replace(
        state, token_digest="", url=None, suspended={}, redrives=(),
        grants=(*state.grants, Grant(after, ())),
    )  # fmt: skip


_CHANGES: Final = {
    "added": _added, "granted": _granted, "rotated": _rotated_to, "webhook_set": _webhook_set,
    "suspended": _suspended, "resumed": _resumed, "redrive_ordered": _ordered,
    "webhook_confirmed": _confirmed, "removed": _removed,
}  # fmt: skip
