# SPDX-License-Identifier: Apache-2.0
"""What notify needs from message providers, and from the ways to subscribers outside."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from services.notify.domain.webhook import Answer, Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """The provider durably took the message and named it."""

    provider_message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NotTaken:
    """The provider, or the way to it, took nothing.

    Attributes:
        error: ``throttled``, ``not_sent`` (both may be attempted again), or the provider's code.
    """

    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """A delivery receipt; ``state`` is one of the contract's delivery states."""

    provider_message: str
    state: str


class SMSGateway(Protocol):
    """Sends one text to one number, at most once for each call."""

    name: str

    def ready(self) -> bool:
        """Say whether a session stands, without waiting for one."""
        ...

    def send(self, phone: str, text: str) -> Taken | NotTaken:
        """Hand over one message and wait for the provider's answer.

        Args:
            phone: international digits without ``+``, ``84912345678``.
            text: one unsegmented GSM-7 message.

        Raises:
            UnknownOutcome: no answer; it may or may not have gone out. Never retried.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Parcel:
    """One webhook as it is sent: a CloudEvent in ``body``; headers say who signed what when."""

    body: bytes
    message_id: str
    timestamp: int
    signature: str


class Line(Protocol):
    """A way to one receiver; not for two threads at once."""

    def post(self, parcel: Parcel) -> Answer:
        """Send and return what came back; never raises for what the other side does."""
        ...


class Courier(Protocol):
    """Opens lines; safe for many threads."""

    def line(self, url: str) -> AbstractContextManager[Line]:
        """Return a line to ``url``; nothing is opened before the first parcel."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """A line of the delivery log; never a body."""

    position: int
    event_id: UUID
    number: int
    answer: Answer
    redriven: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Depth:
    """What the broker says of one subscriber's queue.

    Attributes:
        waiting: messages that nobody has been given yet.
        readers: consumers that are connected.
        dead: messages in its dead-letter queue: refused twenty times.
    """

    waiting: int
    readers: int
    dead: int


class Depths(Protocol):
    """Looks at queues without touching them."""

    def depths(self, names: Sequence[str]) -> Mapping[str, Depth]:
        """Return the depth of each subscriber's queue that exists; raises Unavailable."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """A line of the delivery log, as people read it; ``status`` is None without an answer."""

    at_us: int
    position: int
    event_id: str
    number: int
    outcome: str
    status: int | None
    latency_ms: int
    redriven: bool


class Deliveries(Protocol):
    """What the sender wrote down, for people; empty before it ran for the first time."""

    def progress(self) -> Mapping[str, Progress]:
        """Return how far each webhook is; raises Unavailable."""
        ...

    def newest(
        self, name: str, limit: int, *, failed: bool, below_us: int | None
    ) -> Sequence[Delivery]:
        """Return attempts, newest first, of before ``below_us``; raises Unavailable."""
        ...

    def taken(self, name: str, positions: Sequence[int], since_us: int) -> frozenset[int]:
        """Return those of ``positions`` that were taken since then; raises Unavailable."""
        ...


class LeadLostError(Exception):
    """This process does not lead any more; nothing was written."""


class Ledger(Protocol):
    """Progress and delivery log, written by the lead only; safe for many threads."""

    def progress(self, name: str) -> Progress | None:
        """Return what is stored of subscriber ``name``; raises LeadLostError."""
        ...

    def record(
        self, name: str, before: Progress | None, after: Progress, attempt: Attempt | None
    ) -> None:
        """Store ``after`` in the place of ``before``, and the attempt, in one transaction.

        Raises:
            LeadLostError: the session is gone, or another lead has moved on.
        """
        ...
