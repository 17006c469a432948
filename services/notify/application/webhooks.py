# SPDX-License-Identifier: Apache-2.0
"""One turn of one webhook: send what is due, in position order, and write down what came of it.

Order of acts for each event, and what a kill after each leaves behind:

1. the event is read; no connection to the database is kept;
2. it is sent; killed here, it is sent again, with the same ``webhook-id``;
3. progress and the line of the delivery log are written in one transaction.

A turn is short, so that those who are quick share the threads with those who are slow.
"""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from services.common.clock import Clock, to_micros
from services.common.eventlog.record import RecordedEvent
from services.common.eventlog.recording import Recorder
from services.common.messaging.envelope import encode
from services.common.telemetry import metrics
from services.common.telemetry.logs import get_logger
from services.notify.application.feed import DIGEST_SPAN_MAX, read_stretches, tally
from services.notify.application.ports import Attempt, Courier, Ledger, Line, Parcel
from services.notify.application.subscribers import order_subscriber
from services.notify.domain.signature import secrets_of, signatures
from services.notify.domain.subscriber import WEBHOOK, Subscriber
from services.notify.domain.subscriber_commands import Confirm, Suspend
from services.notify.domain.webhook import (
    DICE,
    LIVE,
    Answer,
    Patience,
    Progress,
    Verdict,
    Way,
    attempts_at,
    failed,
    is_over,
    taken,
    way,
)

TURN_S: Final = 5.0
PAGE: Final = 20
SPAN: Final = 50_000
STORE_S: Final = 5.0
STORE_SPAN: Final = 10_000
CONFIRM_S: Final = 3_600.0
CONFIRMED: Final = "subscriber.webhook_confirmed"
_SOURCE: Final = "webhooks"
_ACTOR: Final = "service:notify"
_LOG = get_logger(__name__)


@dataclass(slots=True)
class Place:
    """Where one webhook is, as this lead knows it; one thread at a time has it.

    Attributes:
        stored: what the ledger has; None where it has nothing.
        progress: where it goes on.
        confirm_s: on the monotonic clock, when the log is next told how far it is.
        store_s: on the monotonic clock, when progress is next stored for its own sake.
    """

    stored: Progress | None
    progress: Progress
    confirm_s: float
    store_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Turns:
    """What every turn needs; safe for many threads.

    Attributes:
        recorder: reads the log, records suspensions and confirmations.
        ledger: progress and delivery log.
        courier: sends.
        clock: wall clock for signatures and waits.
        key: what webhook secrets are derived from.
        patience: when to try again, and when to stop.
        confirm_every_s: seconds between two confirmations in the log.
    """

    recorder: Recorder
    ledger: Ledger
    courier: Courier
    clock: Clock
    key: bytes
    patience: Patience
    confirm_every_s: float = CONFIRM_S

    def take(self, one: Subscriber, place: Place, head: int, stop: Callable[[], bool]) -> None:
        """Send what is due to ``one`` up to ``head``, for ``TURN_S`` at most.

        Raises:
            LeadLostError: somebody else leads; whatever is under way was not counted.
            Unavailable: the log is down.
        """
        assert one.url is not None, "whoever has no webhook has no turn"
        until_s = self.clock.monotonic_s() + TURN_S

        def over() -> bool:
            return stop() or self.clock.monotonic_s() >= until_s

        with self.courier.line(one.url) as line:
            while not over():
                ahead = way(place.progress, one, head, SPAN)
                if ahead is None:
                    break
                if not self._walk(one, place, ahead, line, over):
                    return
        if not stop() and place.progress.trouble is None:
            self._confirm(one, place, head)

    def _walk(
        self, one: Subscriber, place: Place, ahead: Way, line: Line, over: Callable[[], bool]
    ) -> bool:
        """Send a page of ``ahead``; say whether to go on."""
        events, whole = read_stretches(self.recorder.log, ahead.stretches, PAGE)
        for event in events:
            if over() or not self._send(one, place, ahead.order, event, line):
                return False
        if whole:
            self._look_on(one.name, place, taken(place.progress, ahead.order, ahead.through))
        return True

    def _send(
        self, one: Subscriber, place: Place, order: int, event: RecordedEvent, line: Line
    ) -> bool:
        """Attempt one event; say whether it was taken."""
        parcel = self._parcel(one, event)
        answer = line.post(parcel)
        metrics.webhook_attempts_total.labels(answer.outcome, _class_of(answer)).inc()
        metrics.webhook_seconds.observe(answer.latency_ms / 1_000)
        attempt = Attempt(
            position=event.position, event_id=event.event_id, answer=answer,
            number=attempts_at(place.progress, event.position) + 1, redriven=order != LIVE,
        )  # fmt: skip
        if answer.verdict is Verdict.TAKEN:
            self._store(one.name, place, taken(place.progress, order, event.position), attempt)
            return True
        pause_ms = self.patience.pause_ms(
            attempt.number, secrets.randbelow(DICE + 1), answer.retry_after_s
        )
        now_us = to_micros(self.clock.now())
        after = failed(
            place.progress, event.position, now_us=now_us, pause_ms=pause_ms, released=one.released
        )
        self._store(one.name, place, after, attempt)
        if answer.verdict is not Verdict.AGAIN or is_over(after, self.patience):
            self._suspend(one, event, answer)
        return False

    def _parcel(self, one: Subscriber, event: RecordedEvent) -> Parcel:
        now = self.clock.now()
        body, name, timestamp = encode(event), str(event.event_id), int(now.timestamp())
        signature = signatures(secrets_of(one, self.key, now), name, timestamp, body)
        return Parcel(body=body, message_id=name, timestamp=timestamp, signature=signature)

    def _store(self, name: str, place: Place, after: Progress, attempt: Attempt | None) -> None:
        self.ledger.record(name, place.stored, after, attempt)
        place.stored = place.progress = after

    def _look_on(self, name: str, place: Place, after: Progress) -> None:
        """Move behind positions that nothing is sent of; stored now and then only."""
        stored = place.stored or Progress()
        moved = after.through - stored.through >= STORE_SPAN or after.order != stored.order
        if moved or after.order != LIVE or self.clock.monotonic_s() >= place.store_s:
            self._store(name, place, after, None)
            place.store_s = self.clock.monotonic_s() + STORE_S
        else:
            place.progress = after

    def _suspend(self, one: Subscriber, event: RecordedEvent, answer: Answer) -> None:
        """Record that it is not sent to any more, until a person lets it go on."""
        command = Suspend(scope=WEBHOOK, reason=answer.reason, position=event.position, by=_ACTOR)
        order_subscriber(
            self.recorder, one.name, command, source=_SOURCE, actor=_ACTOR,
            key=f"suspend/{one.name}/{one.released}/{event.position}/{answer.reason}",
        )  # fmt: skip
        _LOG.warning("webhook_suspended", subscriber=one.name, reason=answer.reason,
                     position=event.position, status=answer.status)  # fmt: skip

    def _confirm(self, one: Subscriber, place: Place, head: int) -> None:
        """Tell the log now and then how far the receiver is: one event for many deliveries.

        Only once everything up to ``head`` is sent, redrives included. Confirmations alone are not
        confirmed, or a receiver of them would keep the log busy for ever.
        """
        through = place.progress.through
        after = max(one.confirmed, one.url_after)
        early = self.clock.monotonic_s() < place.confirm_s
        if early or through <= after or way(place.progress, one, head, 1) is not None:
            return
        place.confirm_s = self.clock.monotonic_s() + self.confirm_every_s
        through = min(through, after + DIGEST_SPAN_MAX)
        stretches = one.posted(after, through)
        others = [(a, b, tuple(t for t in types if t != CONFIRMED)) for a, b, types in stretches]
        sent, _ = read_stretches(self.recorder.log, [s for s in others if s[2]], 1)
        if not sent:
            return
        found = tally(self.recorder.log, stretches)
        command = Confirm(after=after, through=through, count=found.count, digest=found.digest)
        order_subscriber(
            self.recorder, one.name, command, source=_SOURCE, actor=_ACTOR,
            key=f"confirm/{one.name}/{through}",
        )  # fmt: skip


def _class_of(answer: Answer) -> str:
    return "none" if answer.status is None else f"{answer.status // 100}xx"
