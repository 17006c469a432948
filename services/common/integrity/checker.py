# SPDX-License-Identifier: Apache-2.0
"""Checks a log event by event, from its rows or from an export; says what is wrong, and where.

Needs Python and ``cryptography`` only. Everything is computed anew: content hash, leaf, tree,
density of positions and versions, order of time, and at each checkpoint its signature and root.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from services.common.integrity import tiles
from services.common.integrity.merkle import HASH_BYTES, Frontier
from services.common.integrity.notes import (
    DECIDED_BY,
    EPOCH_AFTER,
    LOST_THROUGH,
    REASON,
    Checkpoint,
    NoteError,
    VerifierKey,
    epoch_of,
    open_checkpoint,
)
from services.common.integrity.sweep import Swept

FINDINGS_MAX: Final = 1_000
_STREAM, _SUBJECT, _VERSION = b',"stream":"', b',"subject":', b',"version":'
_LOG_ID: Final = b',"log_id":'


@dataclass(frozen=True, slots=True)
class Finding:
    """Something is wrong.

    Attributes:
        where: ``position 17``, ``checkpoint 1000``, ``events 901–1000``, ``stream payment-…``.
        what: in words.
    """

    where: str
    what: str

    def __str__(self) -> str:
        """One line."""
        return f"{self.where}: {self.what}"


@dataclass(frozen=True, slots=True)
class Leaf:
    """An event as it has to be checked.

    Attributes:
        position: where it stands.
        recorded_at_us: when it was committed.
        content: canonical bytes that its content hash covers.
        content_hash: as stored; None where only the content is kept.
        leaf_hash: as stored, in the table or in a tile; None where it is not kept.
    """

    position: int
    recorded_at_us: int
    content: bytes
    content_hash: bytes | None = None
    leaf_hash: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Epoch:
    """A new epoch that was opened by somebody's decision; what it says is signed.

    Attributes:
        origin: its name.
        after: that of the epoch before.
        base: it begins behind this position.
        lost_through: events of the old one above ``base`` up to here are lost.
        decided_by: who.
        reason: why.
    """

    origin: str
    after: str
    base: int
    lost_through: int
    decided_by: str
    reason: str

    def __str__(self) -> str:
        """One line."""
        lost = f"positions {self.base + 1}–{self.lost_through} of {self.after} are lost"
        said = lost if self.lost_through > self.base else f"nothing of {self.after} is lost"
        return f"{self.origin} begins at {self.base}, {said}; {self.decided_by}: {self.reason}"


@dataclass(slots=True)
class Report:
    """What was checked and what was found."""

    findings: list[Finding] = field(default_factory=list)
    events: int = 0
    sealed: int = 0
    checkpoints: int = 0
    root: bytes = b""
    keys: list[VerifierKey] = field(default_factory=list)
    epochs: list[Epoch] = field(default_factory=list)

    @property
    def good(self) -> bool:
        """Nothing was found."""
        return not self.findings

    def add(self, where: str, what: str) -> None:
        """Note something, at most 1,000 times."""
        if len(self.findings) < FINDINGS_MAX:
            self.findings.append(Finding(where, what))


class LogChecker:
    """Takes events in position order and checkpoints by size.

    Attributes:
        report: what was found so far.
        versions: last version of each stream.
        covered: size of the newest checkpoint that was taken; events behind it are not sealed.
        last_leaf: leaf hash of the last event.
        last_entry: its entry, as a bundle of entries has it.
    """

    def __init__(
        self, log_id: int, keys: Sequence[VerifierKey], checkpoints: Iterable[tuple[int, str]]
    ) -> None:
        """Trust ``keys`` and those they vouch for; ``checkpoints`` are (size, note) by size."""
        self.report = Report(keys=list(keys))
        self._log_id = b"%d," % log_id
        self._frontier = Frontier()
        self.versions: dict[bytes, int] = {}
        self._position = self._last_us = 0
        self.last_leaf = self.last_entry = b""
        self._clean_through = 0
        self._astray = False
        self._checkpoints = iter(checkpoints)
        self._origin: str | None = None
        self.covered = 0
        self._due = self._next()

    def event(self, leaf: Leaf) -> None:
        """Check the next event."""
        report, expected = self.report, self._position + 1
        if leaf.position != expected:
            what = f"position {leaf.position} stands where {expected} should"
            report.add(f"position {expected}", what)
            # The tree goes on as if nothing were missing; its root then tells that it is not so.
        self._position = leaf.position
        digest = hashlib.sha256(leaf.content).digest()
        self.last_entry = tiles.entry(digest, leaf.recorded_at_us)
        computed = hashlib.sha256(b"\x00" + self.last_entry).digest()
        where = f"position {leaf.position}"
        if leaf.content_hash is not None and leaf.content_hash != digest:
            report.add(where, "the content is not what was hashed")
        elif leaf.leaf_hash is not None and leaf.leaf_hash != computed:
            report.add(where, "content or time is not what was hashed into the tree")
        if leaf.recorded_at_us < self._last_us:
            report.add(where, "recorded_at falls")
        self._last_us = max(self._last_us, leaf.recorded_at_us)
        self._check_version(where, leaf.content)
        self.last_leaf = computed
        self._frontier.append(computed)
        report.events += 1
        self._check_due(self._frontier)

    def joins(self, swept: Swept) -> bool:
        """Say whether what was swept goes on where this stands: place, time and versions."""
        return (
            swept.first == self._position + 1
            and swept.first_us >= self._last_us
            and all(self.versions.get(one, 0) == at - 1 for one, at in swept.begun.items())
            and swept.begun.keys() >= swept.versions.keys() & self.versions.keys()
        )

    def absorb(self, swept: Swept, roots: Mapping[int, bytes]) -> None:
        """Take all that was swept and joins, with every checkpoint in it.

        ``roots`` are those of the tiles of 256 leaves that these events filled, by index.
        """
        self._position += swept.events
        self._last_us = swept.last_us
        self.versions.update(swept.versions)
        self.report.events += swept.events
        at, end = 0, len(swept.leaves)
        while at < end:
            tile, inside = divmod(self._frontier.size, tiles.WIDTH)
            width = min(tiles.WIDTH - inside, (end - at) // HASH_BYTES)
            row = range(at, at + width * HASH_BYTES, HASH_BYTES)
            leaves = [swept.leaves[one : one + HASH_BYTES] for one in row]
            at += width * HASH_BYTES
            if inside or width < tiles.WIDTH:
                for leaf in leaves:
                    self._frontier.append(leaf)
                    self._check_due(self._frontier)
                continue
            self._look_inside(leaves)
            self._frontier.append_subtree(tiles.BITS, roots[tile])
            self._check_due(self._frontier)

    def _look_inside(self, leaves: Sequence[bytes]) -> None:
        """Check the checkpoints in the midst of a tile: a copy grows to them leaf by leaf."""
        frontier, end = self._frontier.copy(), self._frontier.size + len(leaves)
        for leaf in leaves:
            if self._due is None or self._due.size >= end:
                return
            frontier.append(leaf)
            self._check_due(frontier)

    def _check_due(self, frontier: Frontier) -> None:
        while self._due is not None and self._due.size <= frontier.size:
            self._check_root(self._due, frontier)
            self._due = self._next()

    def end(self) -> Report:
        """Finish: what is left of the checkpoints is of events that are not there."""
        while self._due is not None:
            size, known = self._frontier.size, self._due.size
            self.report.add(
                f"checkpoint {known}",
                f"the log has {size} events only: a tail of {known - size} is lost,"
                f" positions {size + 1}–{known}",
            )
            self._due = self._next()
        self.report.root = self._frontier.root()
        return self.report

    def _check_version(self, where: str, content: bytes) -> None:
        stream, version, log_id = _places(content)
        if log_id != self._log_id:
            self.report.add(where, "the event is of another log")
        expected = self.versions.get(stream, 0) + 1
        if version != expected:
            name = stream.decode(errors="replace")
            what = f"version {version} of {name} stands where {expected} should"
            self.report.add(where, what)
        self.versions[stream] = version

    def _check_root(self, checkpoint: Checkpoint, frontier: Frontier) -> None:
        first, last = self._clean_through + 1, checkpoint.size
        if checkpoint.size < frontier.size:
            self.report.add(f"checkpoint {last}", "two checkpoints of one size")
        elif frontier.root() == checkpoint.root:
            self._clean_through = last
            self.report.sealed = last
        elif not self._astray:
            # From here on every root differs; the first one says where.
            self._astray = True
            self.report.add(f"events {first}–{last}", "the root is not the one that was signed")

    def _next(self) -> Checkpoint | None:
        for size, raw in self._checkpoints:
            where = f"checkpoint {size}"
            try:
                checkpoint, _ = open_checkpoint(raw, self.report.keys)
                following = checkpoint.next_keys()
            except NoteError as error:
                self.report.add(where, str(error))
                continue
            if checkpoint.size != size:
                self.report.add(where, f"it is signed for size {checkpoint.size}")
                continue
            if self._origin != checkpoint.origin and not self._follows(where, checkpoint):
                continue
            self._origin, self.covered = checkpoint.origin, checkpoint.size
            self.report.checkpoints += 1
            self.report.keys += [key for key in following if key not in self.report.keys]
            return checkpoint
        return None

    def _follows(self, where: str, checkpoint: Checkpoint) -> bool:
        """Say whether the checkpoint opens the next epoch; otherwise it is none of this log's.

        One of an earlier epoch, beyond the new one's base, is evidence of what was lost: that is
        no finding where the loss was declared, and one where more was lost than that.
        """
        opened = opening(checkpoint)
        if opened is not None and self._origin in {None, opened.after}:
            self.report.epochs.append(opened)
        if self._origin is None:
            self._begins(where, checkpoint, opened)
            return True
        if opened is not None and opened.after == self._origin:
            return True
        lost = next((one for one in self.report.epochs if one.after == checkpoint.origin), None)
        if lost is None:
            self.report.add(where, f"it is of {checkpoint.origin}, not of {self._origin}")
        elif checkpoint.size > lost.lost_through:
            what = f"{lost.origin} declares {lost.after} lost through {lost.lost_through} only"
            self.report.add(where, what)
        return False

    def _begins(self, where: str, checkpoint: Checkpoint, opened: Epoch | None) -> None:
        """Check that the first checkpoint is of the first epoch, or opens the one behind it.

        Whoever leaves out how an epoch was opened hides what was lost then.
        """
        first = checkpoint.origin if opened is None else opened.after
        if epoch_of(first) > 1:
            self.report.add(where, f"how {first} was opened is missing")


def opening(checkpoint: Checkpoint) -> Epoch | None:
    """Return what an epoch's first checkpoint says; None where it is no first one."""
    after, lost = checkpoint.extension(EPOCH_AFTER), checkpoint.extension(LOST_THROUGH)
    if after is None or lost is None or not re.fullmatch("0|[1-9][0-9]{0,18}", lost):
        return None
    return Epoch(
        origin=checkpoint.origin, after=after, base=checkpoint.size, lost_through=int(lost),
        decided_by=checkpoint.extension(DECIDED_BY) or "",
        reason=checkpoint.extension(REASON) or "",
    )  # fmt: skip


def _places(content: bytes) -> tuple[bytes, int, bytes]:
    """Return stream, version and log_id of canonical content bytes.

    The keys stand in order and none of these can stand inside of a string, where quotes are
    escaped; nested objects stand before them.
    """
    try:
        at_version = content.rindex(_VERSION)
        at_subject = content.rindex(_SUBJECT, 0, at_version)
        at_stream = content.rindex(_STREAM, 0, at_subject)
        at_log = content.rindex(_LOG_ID, 0, at_stream)
        stream = content[at_stream + len(_STREAM) : at_subject - 1]
        version = int(content[at_version + len(_VERSION) : -1])
        start = at_log + len(_LOG_ID)
        return stream, version, content[start : content.index(b",", start) + 1]
    except ValueError:
        return b"?", -1, b""


def segments(total: int, each: int) -> Iterator[tuple[int, int]]:
    """Yield (first, last) position of each part of a log, from 1."""
    for first in range(1, total + 1, each):
        yield first, min(first + each - 1, total)
