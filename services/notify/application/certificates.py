# SPDX-License-Identifier: Apache-2.0
"""Certificates of completeness: what a subscriber was owed on one day, signed.

A certificate is a pure function of the log: asked for again, it is the same text. It rests on the
first checkpoint of the log that covers the whole day, so the day is over, sealed and cannot grow.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Final, Protocol

from services.common.clock import VIETNAM, Clock, to_micros
from services.common.errors import Refused
from services.common.eventlog.port import EventLog
from services.common.integrity.notes import Checkpoint, Note, NoteError, Signer
from services.notify.application.feed import Tally, tally
from services.notify.domain.subscriber import Subscriber

DAY: Final = timedelta(days=1)
SETTLED: Final = timedelta(minutes=5)
"""So long after midnight an event of the day may still be on its way into the log."""
KIND: Final = "certificate/1"
_KEY_NAME: Final = "/certificates"


class Checkpoints(Protocol):
    """Where signed checkpoints of the log are found."""

    def covering(self, size: int) -> str | None:
        """Return the first checkpoint of at least ``size`` events, None where there is none yet."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """What is certified; ``text`` is what is signed, a line for each fact."""

    origin: str
    subscriber: str
    day: date
    after: int
    through: int
    tally: Tally
    grants: tuple[tuple[int, int, tuple[str, ...]], ...]
    checkpoint: Checkpoint

    def text(self) -> str:
        """Return the note's text."""
        seal = self.checkpoint.text().split("\n")
        lines = [
            f"{self.origin}/{KIND}",
            f"subscriber {self.subscriber}",
            f"day {self.day.isoformat()} Asia/Ho_Chi_Minh",
            f"after {self.after}",
            f"through {self.through}",
            f"count {self.tally.count}",
            f"digest {self.tally.digest}",
            *(f"granted {a} {b} {','.join(types)}" for a, b, types in self.grants),
            f"checkpoint {seal[0]} {seal[1]} {seal[2]}",
        ]
        return "".join(f"{line}\n" for line in lines)


class Days:
    """Tells what certificates say, without their key."""

    def __init__(
        self, log: EventLog, checkpoints: Checkpoints, clock: Clock, *, origin: str
    ) -> None:
        """Bind log, checkpoints and clock; ``origin`` is the log's name in certificates."""
        self._log = log
        self._checkpoints = checkpoints
        self._clock = clock
        self._origin = origin

    def told(self, one: Subscriber, day: date) -> Certificate:
        """Return what is certified of ``day`` in Vietnam.

        Raises:
            Refused: ``day_not_over``, or ``day_not_sealed`` while no checkpoint covers it.
            Unavailable: the log is down.
        """
        now = self._clock.now()
        begin = datetime.combine(day, time(), VIETNAM)
        # The days first: behind the last day that there is, there is no end to be computed.
        if day >= now.astimezone(VIETNAM).date() or now - begin < DAY + SETTLED:
            raise Refused("day_not_over", "ask five minutes after midnight (UTC+7)",
                          "chỉ cấp sau 0 giờ 5 phút ngày hôm sau", field="day")  # fmt: skip
        after, through = last_before(self._log, begin), last_before(self._log, begin + DAY)
        raw = self._checkpoints.covering(max(through, 1))
        if raw is None:
            raise Refused("day_not_sealed", "the log is not sealed so far yet",
                          "sổ sự kiện chưa được niêm phong đến ngày này", field="day")  # fmt: skip
        grants = tuple(one.owed(after, through))
        return Certificate(
            origin=self._origin, subscriber=one.name, day=day, after=after, through=through,
            grants=grants, tally=tally(self._log, grants), checkpoint=_checkpoint(raw),
        )  # fmt: skip


class Certificates:
    """Makes certificates on demand."""

    def __init__(
        self, log: EventLog, checkpoints: Checkpoints, clock: Clock, signer: Signer
    ) -> None:
        """Bind log, checkpoints, clock and the certificates' own key."""
        origin = signer.verifier.name.removesuffix(_KEY_NAME)
        self._days = Days(log, checkpoints, clock, origin=origin)
        self._signer = signer

    def of_day(self, one: Subscriber, day: date) -> Note:
        """Return the signed certificate of ``day`` in Vietnam; raises as ``Days.told``."""
        text = self._days.told(one, day).text()
        return Note(text, (self._signer.sign(text),))


def certificate_signer(log_id: int, seed: bytes) -> Signer:
    """Return the key that signs certificates of a log's subscribers."""
    return Signer(f"{origin_of(log_id)}{_KEY_NAME}", seed)


def origin_of(log_id: int) -> str:
    """Return what a log is called in certificates."""
    return f"motcua247/{log_id}"


def last_before(log: EventLog, instant: datetime) -> int:
    """Return the last position recorded before ``instant``; time order is position order.

    Raises:
        Unavailable: the log is down.
    """
    wanted = to_micros(instant)

    def earlier(position: int) -> bool:
        (event,) = log.read_positions([position])
        return event.recorded_at_us < wanted

    return _last(log.head(), earlier)


def _last(high: int, holds: Callable[[int], bool]) -> int:
    low = 0
    while low < high:
        middle = (low + high + 1) // 2
        if holds(middle):
            low = middle
        else:
            high = middle - 1
    return low


def _checkpoint(raw: str) -> Checkpoint:
    try:
        return Checkpoint.parse(Note.parse(raw).text)
    except NoteError as error:
        raise Refused("day_not_sealed", f"the checkpoint cannot be read: {error}",
                      "không đọc được niêm phong", field="day") from error  # fmt: skip
