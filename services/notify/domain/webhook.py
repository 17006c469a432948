# SPDX-License-Identifier: Apache-2.0
"""The law of a webhook: how far it is, what an answer means, when to try again, when to stop.

``Progress`` is the only state of sending. It moves behind an event when the receiver has taken it,
never else, so whatever is killed, an event is sent again rather than left out (ADR-0024). A
redrive is a second, shorter way of the same kind, walked before the first goes on.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from services.notify.domain.subscriber import Redrive, Subscriber

SECOND_MS: Final = 1_000
PAUSE_FIRST_MS: Final = 2 * SECOND_MS
PAUSE_LAST_MS: Final = 3_600 * SECOND_MS
PATIENCE_S: Final = 86_400
DICE: Final = 1_000
"""Jitter is thrown with so many sides."""
LIVE: Final = 0
"""Number of the way that is no redrive; redrives have the position of their order."""


class Verdict(StrEnum):
    """What an attempt came to."""

    TAKEN = "taken"
    AGAIN = "again"
    GONE = "gone"
    FORBIDDEN = "forbidden_address"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back, or did not.

    Attributes:
        outcome: ``answered``, or why there is no answer: ``timeout``, ``unreachable``, ``tls``,
            ``cut`` (after the request), ``nonsense``, ``forbidden_address``.
        status: HTTP status where there is one.
        retry_after_s: what the receiver asked for, where it did.
        latency_ms: from the look-up of the name to the end of the answer's head.
    """

    outcome: str
    status: int | None = None
    retry_after_s: int | None = None
    latency_ms: int = 0

    @property
    def verdict(self) -> Verdict:
        """Return what it means; a redirect is not followed and no success."""
        if self.outcome == Verdict.FORBIDDEN:
            return Verdict.FORBIDDEN
        if self.status is None:
            return Verdict.AGAIN
        if 200 <= self.status < 300:  # noqa: PLR2004 - the class of success
            return Verdict.TAKEN
        return Verdict.GONE if self.status == 410 else Verdict.AGAIN  # noqa: PLR2004

    @property
    def reason(self) -> str:
        """Return why a webhook stops at this answer, in the contract's words."""
        if self.verdict in {Verdict.GONE, Verdict.FORBIDDEN}:
            return str(self.verdict)
        answered = self.status is not None and 300 <= self.status < 500  # noqa: PLR2004
        return "refused" if answered else "no_answer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """One event that is not taken.

    Attributes:
        position: which event.
        attempts: how often it was tried in vain.
        since_us: when for the first time.
        retry_at_us: not before then is it tried again.
        released: the ``released`` of the subscriber then; another one is a fresh start.
    """

    position: int
    attempts: int
    since_us: int
    retry_at_us: int
    released: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far one webhook is.

    Attributes:
        through: everything that goes to it up to here was taken.
        order: position of the redrive that is walked, or was last.
        redriven: how far that one is.
        trouble: what holds it up now.
    """

    through: int = 0
    order: int = LIVE
    redriven: int = 0
    trouble: Trouble | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """What is to be sent next: ``order`` is the redrive's, or ``LIVE``."""

    order: int
    stretches: Sequence[tuple[int, int, tuple[str, ...]]]
    through: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long and how often to try; milliseconds, but ``patience_s``."""

    first_ms: int = PAUSE_FIRST_MS
    last_ms: int = PAUSE_LAST_MS
    patience_s: int = PATIENCE_S

    def pause_ms(self, attempts: int, dice: int, retry_after_s: int | None = None) -> int:
        """Return the wait after failure number ``attempts``.

        It doubles up to ``last_ms``; ``dice`` (0 … DICE) spreads it over its upper half. What the
        receiver asks for counts where it is longer, up to ``last_ms``.
        """
        full = min(self.last_ms, self.first_ms << min(attempts - 1, 32))
        own = full // 2 + full * dice // (2 * DICE)
        asked = min(self.last_ms, (retry_after_s or 0) * SECOND_MS)
        return max(own, asked)


def begin(stored: Progress | None, one: Subscriber) -> Progress:
    """Return where to go on: what is stored, but never before the webhook was set.

    Where nothing is stored any more, the log's own confirmation stands in. Trouble from before the
    webhook was set anew or let go on is over.
    """
    progress = stored or Progress(order=one.confirmed)
    trouble = progress.trouble
    if trouble is not None and trouble.released != one.released:
        trouble = None
    through = max(progress.through, one.url_after, one.confirmed)
    return replace(progress, through=through, trouble=trouble)


def way(progress: Progress, one: Subscriber, head: int, span: int) -> Way | None:
    """Return what is to be looked at next, at most ``span`` positions; None when all was."""
    order = _open_order(progress, one)
    if order is not None:
        done = progress.redriven if order.position == progress.order else order.first - 1
        last = min(order.last, done + span)
        return Way(order=order.position, stretches=one.redriven(done, last), through=last)
    last = min(head, progress.through + span)
    if last <= progress.through:
        return None
    return Way(order=LIVE, stretches=one.posted(progress.through, last), through=last)


def taken(progress: Progress, order: int, position: int) -> Progress:
    """Return the progress after everything on way ``order`` up to ``position`` was taken."""
    if order == LIVE:
        return replace(progress, through=max(progress.through, position), trouble=None)
    return replace(progress, order=order, redriven=position, trouble=None)


def failed(
    progress: Progress, position: int, *, now_us: int, pause_ms: int, released: int
) -> Progress:
    """Return the progress after one more attempt at ``position`` in vain."""
    before = progress.trouble
    same = before is not None and before.position == position
    trouble = Trouble(
        position=position,
        attempts=before.attempts + 1 if before is not None and same else 1,
        since_us=before.since_us if before is not None and same else now_us,
        retry_at_us=now_us + pause_ms * 1_000,
        released=released,
    )
    return replace(progress, trouble=trouble)


def attempts_at(progress: Progress, position: int) -> int:
    """Return how often the event at ``position`` was tried in vain."""
    trouble = progress.trouble
    return trouble.attempts if trouble is not None and trouble.position == position else 0


def is_due(progress: Progress, now_us: int, patience: Patience) -> bool:
    """Say whether it may be tried now; a wait longer than any means the clock was set back."""
    if progress.trouble is None:
        return True
    left_us = progress.trouble.retry_at_us - now_us
    return left_us <= 0 or left_us > patience.last_ms * 1_000


def is_over(progress: Progress, patience: Patience) -> bool:
    """Say whether the next attempt would come after all patience."""
    trouble = progress.trouble
    if trouble is None:
        return False
    return trouble.retry_at_us - trouble.since_us > patience.patience_s * 1_000_000


def _open_order(progress: Progress, one: Subscriber) -> Redrive | None:
    for order in one.redrives:
        unfinished = order.position == progress.order and progress.redriven < order.last
        if unfinished or order.position > progress.order:
            return order
    return None
