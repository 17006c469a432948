# SPDX-License-Identifier: Apache-2.0
"""A subscriber: every event owed, each once in effect, whatever is lost, doubled or down.

The queue is the fast way, the feed the whole way. At each start, after each break and every
``check_every_s`` the inbox is compared with what the feed says was owed; what is missing comes from
the feed. In feed-only use (no ``amqp_url``) events come strictly in log order; with the queue, an
event that the queue lost comes later than those behind it.
"""

import logging
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from typing import Any

import pika
from pika.exceptions import AMQPError

from motcua_subscriber.certificate import CertificateError, open_certificate
from motcua_subscriber.event import Event, NotAnEventError, parse
from motcua_subscriber.feed import FeedClient, FeedError, Page
from motcua_subscriber.inbox import Effect, Inbox, differences, digest_of

PREFETCH = 100
PAGE = 500
CHECK_EVERY_S = 60.0
POLL_WAIT_S = 20
PAUSE_FIRST_S = 0.2
PAUSE_LAST_S = 60.0
_LOG = logging.getLogger(__name__)


class Delivery:
    """One event on its way to you; call ``apply`` or ``done`` before you ask for the next."""

    def __init__(self, event: Event, inbox: Inbox, acknowledge: Callable[[], None]) -> None:
        """Bind; not acknowledged yet."""
        self.event = event
        self.finished = False
        self._inbox = inbox
        self._acknowledge = acknowledge

    def apply(self, effect: Effect) -> bool:
        """Have the effect and the mark in one transaction, then acknowledge.

        False, and no effect, where the event was taken before.
        """
        new = self._inbox.take(self.event, effect)
        self.finished = True
        self._acknowledge()
        return new

    def done(self) -> bool:
        """Mark the event as taken, without an effect here, then acknowledge."""
        return self.apply(lambda _event, _transaction: None)


@dataclass(frozen=True)
class Completeness:
    """A day's certificate against the inbox."""

    day: date
    owed: int
    missing: Sequence[int]
    too_much: Sequence[int]

    @property
    def complete(self) -> bool:
        """Whether exactly what was owed was taken."""
        return not self.missing and not self.too_much


class Subscriber:
    """Receives events into ``inbox``; for one thread."""

    def __init__(
        self, feed: FeedClient, inbox: Inbox, *, amqp_url: str | None = None, queue: str = "",
        check_every_s: float = CHECK_EVERY_S,
    ) -> None:  # fmt: skip
        """Bind; nothing is opened before ``run`` or ``deliveries``.

        Args:
            feed: the feed, always needed.
            inbox: what was taken.
            amqp_url: the queue's address; None for the feed alone.
            queue: name of the queue.
            check_every_s: seconds between two comparisons with the feed.
        """
        self._feed = feed
        self._inbox = inbox
        self._url = amqp_url
        self._queue = queue
        self._check_every_s = check_every_s
        self._stopping = False
        self._seen = 0

    def stop(self) -> None:
        """Ask ``run`` or ``deliveries`` to end soon; may be called from any thread."""
        self._stopping = True

    def run(self, effect: Effect) -> None:
        """Have ``effect(event, transaction)`` for every event until ``stop``.

        An error of ``effect`` is logged by its type; the event comes again after a pause.
        """
        while not self._stopping:
            try:
                for delivery in self.deliveries():
                    delivery.apply(effect)
            except Exception as error:  # noqa: BLE001 - whatever the effect raises: again, later
                _LOG.warning("the effect failed: %s", type(error).__name__)
                self._pause(1.0)

    def catch_up(self, effect: Effect) -> int:
        """Take everything that is owed by now, from the feed; returns how many were new.

        Raises:
            FeedError: the feed is down; what was taken stays taken.
        """
        return sum(delivery.apply(effect) for delivery in self._from_feed(lambda page: page.head))

    def deliveries(self) -> Iterator[Delivery]:
        """Yield what is new, for ever, until ``stop``; back-off with jitter while all is down."""
        pause_s = PAUSE_FIRST_S
        while not self._stopping:
            try:
                for delivery in self._session():
                    pause_s = PAUSE_FIRST_S
                    yield delivery
            except (AMQPError, OSError, FeedError) as error:
                _LOG.warning("disconnected: %s", error)
                asked = error.retry_after_s if isinstance(error, FeedError) else 0.0
                self._pause(max(asked, random.uniform(pause_s / 2, pause_s)))  # noqa: S311
                pause_s = min(PAUSE_LAST_S, pause_s * 2)

    def check_day(self, day: date, key: str) -> Completeness:
        """Compare the inbox with the certificate of ``day``, signed by ``key``.

        Raises:
            CertificateError: not signed by ``key``, or for another day.
            FeedError: there is no certificate yet, or the feed is down.
        """
        certificate = open_certificate(self._feed.certificate(day), key)
        if certificate.day != day:
            raise CertificateError("the certificate is for another day")
        after, through = certificate.after, certificate.through
        mine = digest_of(self._inbox.taken(after, through))
        if mine == (certificate.count, certificate.digest):
            return Completeness(day, certificate.count, (), ())
        owed = []
        position = after
        while position < through:
            page = self._feed.page(position, limit=PAGE)
            owed += [(one.position, one.id) for one in page.events if one.position <= through]
            position = page.through
        missing, too_much = differences(owed, self._inbox.taken(after, through))
        return Completeness(day, certificate.count, missing, too_much)

    def _session(self) -> Iterator[Delivery]:
        yield from self._from_feed(lambda page: page.head)
        if self._url is not None:
            yield from self._from_queue()
            return
        while not self._stopping:
            yield from self._page(self._feed.page(
                self._inbox.through(), limit=PAGE, wait_s=POLL_WAIT_S))  # fmt: skip

    def _from_feed(self, goal: Callable[[Page], int]) -> Iterator[Delivery]:
        """Yield what is missing up to where ``goal`` says, and move the mark of completeness."""
        while not self._stopping:
            page = self._feed.page(self._inbox.through(), limit=PAGE)
            yield from self._page(page)
            if page.through >= goal(page):
                return

    def _page(self, page: Page) -> Iterator[Delivery]:
        for event in page.events:
            if not self._inbox.knows(event.position):
                yield from self._given(event, lambda: None)
        self._inbox.advance(page.through)

    def _given(self, event: Event, acknowledge: Callable[[], None]) -> Iterator[Delivery]:
        delivery = Delivery(event, self._inbox, acknowledge)
        yield delivery
        if not delivery.finished:
            raise RuntimeError("apply() or done() was not called")

    def _from_queue(self) -> Iterator[Delivery]:
        parameters = pika.URLParameters(self._url)
        parameters.heartbeat, parameters.socket_timeout = 20, 10
        parameters.blocked_connection_timeout = 60
        connection = pika.BlockingConnection(parameters)
        try:
            channel = connection.channel()
            channel.basic_qos(prefetch_count=PREFETCH)
            checked_s = time.monotonic()
            for method, _properties, body in channel.consume(self._queue, inactivity_timeout=0.5):
                if self._stopping:
                    return
                if method is not None:
                    yield from self._message(channel, method.delivery_tag, body)
                if time.monotonic() - checked_s >= self._check_every_s:
                    yield from self._checked()
                    checked_s = time.monotonic()
        finally:
            with suppress(AMQPError, OSError):
                connection.close()

    def _message(self, channel: Any, tag: int, body: bytes) -> Iterator[Delivery]:
        try:
            event = parse(body)
        except NotAnEventError:
            _LOG.error("a message is no event; it goes to the dead-letter queue")
            channel.basic_reject(tag, requeue=False)
            return
        self._seen = max(self._seen, event.position)
        if self._inbox.knows(event.position):
            channel.basic_ack(tag)
            return
        yield from self._given(event, lambda: channel.basic_ack(tag))

    def _checked(self) -> Iterator[Delivery]:
        """Compare with what was owed up to the last message; fetch what the queue lost."""
        after, seen = self._inbox.through(), self._seen
        if seen > after:
            mine = digest_of(self._inbox.taken(after, seen))
            if mine == self._feed.digest(after, seen):
                self._inbox.advance(seen)
                return
        yield from self._from_feed(lambda page: page.head)

    def _pause(self, seconds: float) -> None:
        until_s = time.monotonic() + seconds
        while not self._stopping and (left_s := until_s - time.monotonic()) > 0:
            time.sleep(min(0.2, left_s))
