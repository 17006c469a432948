# SPDX-License-Identifier: Apache-2.0
"""Which position is safe: the highest one with everything up to it confirmed."""


class Window:
    """Positions on their way to the broker, in publish order; pure.

    Attributes:
        sent: highest position handed to the channel.
        settled: highest position with all below confirmed.
        stored: highest settled position already written as the checkpoint.
    """

    def __init__(self, checkpoint: int) -> None:
        """Begin behind ``checkpoint`` on a fresh channel (its first delivery tag is 1)."""
        self.sent = self.settled = self.stored = checkpoint
        self._tag = 0
        self._waiting: dict[int, int] = {}
        self._early: set[int] = set()
        self._refused: set[int] = set()

    @property
    def unconfirmed(self) -> int:
        """How many publishes the broker has not answered."""
        return len(self._waiting) - len(self._early) - len(self._refused)

    def send(self, position: int) -> None:
        """Note that ``position`` is the channel's next publish."""
        self._tag += 1
        self._waiting[self._tag] = position
        self.sent = position

    def answer(self, tag: int, *, multiple: bool, good: bool) -> int:
        """Note an answer; returns how many publishes it covers. A refusal settles nothing."""
        answered = self._early | self._refused
        tags = [t for t in self._waiting if t <= tag and t not in answered] if multiple else [tag]
        if good:
            self._early.update(tags)
            self._settle()
        else:
            self._refused.update(tags)
        return len(tags)

    def _settle(self) -> None:
        # Dictionaries keep insertion order, so the first key is the oldest publish.
        while self._waiting and (oldest := next(iter(self._waiting))) in self._early:
            self.settled = self._waiting.pop(oldest)
            self._early.remove(oldest)
