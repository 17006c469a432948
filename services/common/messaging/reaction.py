# SPDX-License-Identifier: Apache-2.0
"""What a service says about the events it reacts to; how they arrive is not its business.

A reactor is a named inbox with one handler for each event type. Its handlers get events as they
stand in the log (never the message's own bytes) and return the changes that follow. They may be
called more than once for the same event, at the same time from two replicas, and out of order
between dossiers; the request's key makes the effect happen once.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from services.common.eventlog.port import EventLog
from services.common.eventlog.record import RecordedEvent
from services.common.eventlog.recording import Change

Handler = Callable[[RecordedEvent], Sequence[Change]]
"""Fold what it needs from the log, decide, return changes (none is an answer too).

Raises:
    Refused: the event calls for nothing that is allowed; handled, logged, never retried.
    Conflict: raised by the append, not by handlers; the runtime calls the handler again (≤ 3).
    Unavailable: a dependency is down; the consumer pauses and retries the same event.
"""


Bind = Callable[[EventLog], Mapping[str, Handler]]
"""Return the handlers over a log; called for each batch, so it only makes functions."""


def _nothing(_event: RecordedEvent) -> Sequence[str]:
    return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Reactor:
    """A named inbox.

    Handlers that only read and decide are made with ``batched``. Handlers that act (send, report)
    are given as they are: each event is recorded before the next one is looked at.

    Attributes:
        name: ``<service>.<purpose>``; also the queue's name, the request source and the inbox key.
        handlers: one handler for each event type.
        bind: makes the same handlers over the view of a batch; None for handlers that act.
        reads: streams that an event's handler will read whole; they are read for the batch at
            once. A guess: what is missing is read when it is asked for.
    """

    name: str
    handlers: Mapping[str, Handler]
    bind: Bind | None = None
    reads: Callable[[RecordedEvent], Sequence[str]] = _nothing

    @classmethod
    def batched(
        cls,
        name: str,
        log: EventLog,
        bind: Bind,
        reads: Callable[[RecordedEvent], Sequence[str]] = _nothing,
    ) -> "Reactor":
        """Return a reactor whose handlers ``bind`` makes; what arrived together is one commit."""
        return cls(name=name, handlers=bind(log), bind=bind, reads=reads)

    @property
    def types(self) -> tuple[str, ...]:
        """The event types it reacts to, sorted."""
        return tuple(sorted(self.handlers))
