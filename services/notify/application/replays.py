# SPDX-License-Identifier: Apache-2.0
"""Sending again: which positions a time or a dossier means, and the orders that send them.

A time is a stretch of the log and one order. The events of a dossier lie scattered, so each run of
neighbours is an order of its own, and nothing between them is sent.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from services.common.clock import from_micros
from services.common.errors import Refused
from services.common.eventlog.port import EventLog
from services.common.eventlog.recording import Recorder
from services.notify.application.certificates import last_before
from services.notify.application.subscribers import order_subscriber, subscriber_of
from services.notify.domain.subscriber import REDRIVEN_MAX, Subscriber, refused
from services.notify.domain.subscriber_commands import OrderRedrive

SPANS_MAX: Final = 50
"""Orders that one replay of a dossier may come to."""
COUNTED_MAX: Final = 10_000
SOURCE: Final = "web:subscribers"
Span = tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What would be sent again.

    Attributes:
        spans: first and last position of each order.
        events: how many events of theirs go to the webhook.
        more: it counted no further.
    """

    spans: tuple[Span, ...]
    events: int
    more: bool = False

    @property
    def after(self) -> int:
        """Position behind which the feed has the same events."""
        return self.spans[0][0] - 1

    @property
    def through(self) -> int:
        """Last position."""
        return self.spans[-1][1]


def of_time(log: EventLog, one: Subscriber, since_us: int, until_us: int | None) -> Plan:
    """Return the plan for what was recorded from ``since_us`` up to ``until_us``, None for now.

    Raises:
        Refused: ``nothing_then``, or ``redrive_range`` for more than 100,000 positions.
        Unavailable: the log is down.
    """
    first = last_before(log, from_micros(since_us)) + 1
    last = log.head() if until_us is None else last_before(log, from_micros(until_us + 1))
    if last < first:
        raise _nothing()
    if last - first + 1 > REDRIVEN_MAX:
        raise refused(
            "redrive_range",
            f"{last - first + 1} positions; at most {REDRIVEN_MAX} are sent again at once,"
            f" the feed has them all behind {first - 1}",
            f"{last - first + 1} vị trí; mỗi lần gửi lại tối đa {REDRIVEN_MAX},"
            f" nguồn đọc có đủ sau vị trí {first - 1}",
            "since",
        )
    return _counted(log, one, ((first, last),))


def of_dossier(log: EventLog, one: Subscriber, dossier: str) -> Plan:
    """Return the plan for the events of a dossier that this subscriber is sent.

    Raises:
        Refused: ``nothing_then``, or ``redrive_range`` for more than ``SPANS_MAX`` stretches.
        Unavailable: the log is down.
    """
    story = [event.position for event in log.read_subject(dossier)]
    theirs = set(_sent(one, story, log))
    spans: list[Span] = []
    for position in sorted(theirs):
        if spans and spans[-1][1] == position - 1:
            spans[-1] = (spans[-1][0], position)
        else:
            spans.append((position, position))
    if not spans:
        raise _nothing()
    if len(spans) > SPANS_MAX:
        raise refused(
            "redrive_range", f"more than {SPANS_MAX} stretches: choose a time instead",
            f"hơn {SPANS_MAX} đoạn: hãy chọn theo thời gian", "dossier",
        )  # fmt: skip
    return _counted(log, one, tuple(spans))


def order_replay(
    recorder: Recorder, name: str, spans: Sequence[Span], *, reference: str, by: str, key: str
) -> None:
    """Order ``spans``; the same ``key`` again orders nothing more, also after a failure halfway.

    Raises:
        Refused: as ``domain.subscriber.decide``; ``idempotency_key_reused`` for another replay.
        Malformed: ``reference`` or ``by`` is no word.
        Unavailable: the log is down; asking again goes on.
    """
    head = recorder.log.head()
    for first, last in spans:
        # The head is that of the order, not of the moment: asked again it is the same order.
        order = OrderRedrive(
            first=first, last=last, head=min(last, head), reference=reference, by=by
        )
        order_subscriber(
            recorder, name, order, source=SOURCE, actor=f"official:{by}",
            key=f"{key}/{first}",
        )  # fmt: skip


def webhook_of(log: EventLog, name: str) -> Subscriber:
    """Return a subscriber that has a webhook; Refused where it has none."""
    one = subscriber_of(log, name)
    if one.url is None:
        raise refused(
            "webhook_missing", f"{name} has no webhook", f"{name} không có webhook", "url"
        )
    return one


def _counted(log: EventLog, one: Subscriber, spans: tuple[Span, ...]) -> Plan:
    count = 0
    for first, last in spans:
        for after, through, types in one.redriven(first - 1, last):
            left = COUNTED_MAX - count
            count += len(log.read_ids(after, through=through, types=types, limit=left))
            if count >= COUNTED_MAX:
                return Plan(spans=spans, events=count, more=True)
    if count == 0:
        raise _nothing()
    return Plan(spans=spans, events=count)


def _sent(one: Subscriber, positions: Sequence[int], log: EventLog) -> list[int]:
    """Return those of ``positions`` that ``one`` is sent, by the grant in force at each."""
    found = []
    for event in log.read_positions(positions):
        stretches = one.redriven(event.position - 1, event.position)
        if any(event.type in types for _, _, types in stretches):
            found.append(event.position)
    return found


def _nothing() -> Refused:
    return refused("nothing_then", "no event of this subscriber lies there",
                   "không có sự kiện nào của bên đăng ký ở đó", "since")  # fmt: skip
