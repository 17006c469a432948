# SPDX-License-Identifier: Apache-2.0
"""What proves the log: checkpoints, witnesses, the patrol's rounds, and one event's place.

Signatures are checked with the keys that this process was given, never with one from the database.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from services.common.audit.sealing import checked_leaf
from services.common.audit.seals import TamperedError
from services.common.eventlog.record import RecordedEvent
from services.common.integrity.merkle import ProofError
from services.common.integrity.notes import (
    COSIGNATURE,
    Checkpoint,
    Note,
    NoteError,
    VerifierKey,
    from_base64,
)
from services.common.integrity.proofs import TlogProof

SEALED, NOT_YET, CHANGED = "sealed", "not_yet", "changed"
_LINE: Final = re.compile(r"— (\S+) (\S+)\Z")
_TIME: Final = slice(4, 12)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredSeal:
    """A checkpoint as it is stored.

    Attributes:
        size: how many events it covers.
        sealed_at_us: when it was made.
        waited_us: how long the oldest event that it covers first had waited for it.
        note: the signed note.
        lines: cosignatures.
    """

    size: int
    sealed_at_us: int
    waited_us: int
    note: str
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """How far sealing is.

    Attributes:
        position: of the newest event.
        sealed: how many events are covered.
        open_since_us: when the oldest uncovered event was recorded; None where there is none.
    """

    position: int
    sealed: int
    open_since_us: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredWitness:
    """How far a witness is.

    Attributes:
        name: as its cosignatures name it.
        size: how many events it vouches for.
        line: its newest cosignature.
        note: of the checkpoint that it cosigned.
        open_since_us: when the oldest checkpoint that it has not seen was made; None for none.
    """

    name: str
    size: int
    line: str
    note: str
    open_since_us: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """One reading of the whole sealed log by a sealer.

    Attributes:
        began_us: when it began.
        ended_us: when it ended.
        size: how many events were read.
        found: what was not as written; None where everything was.
    """

    began_us: int
    ended_us: int
    size: int
    found: str | None


class SealStore(Protocol):
    """Where checkpoints and rounds are kept."""

    def head(self) -> Head:
        """Return how far sealing is."""
        ...

    def seals(self, below: int | None, limit: int) -> Sequence[StoredSeal]:
        """Return checkpoints of less than ``below`` events, newest first."""
        ...

    def witnesses(self) -> Sequence[StoredWitness]:
        """Return the witnesses whose cosignatures are among the newest, by name."""
        ...

    def rounds(self, limit: int) -> Sequence[Round]:
        """Return the patrol's rounds, newest first."""
        ...

    def proof(self, position: int) -> TlogProof | None:
        """Return the proof of an event under the newest checkpoint; None before it is sealed."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Seal:
    """A checkpoint after its signatures were checked.

    Attributes:
        stored: as it is stored.
        signed: a trusted key signed exactly this.
        root: root hash, hexadecimal; empty for a note that cannot be read.
        witnesses: (name, whether its signature holds, when in seconds) for each cosignature.
    """

    stored: StoredSeal
    signed: bool
    root: str
    witnesses: tuple[tuple[str, bool, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Witness:
    """A witness after its newest cosignature was checked; ``stored`` is None for a silent one."""

    name: str
    holds: bool
    seconds: int
    stored: StoredWitness | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What was found about one event just now.

    Attributes:
        verdict: ``sealed``, ``not_yet`` or ``changed``.
        size: of the checkpoint that covers it; 0 before it is sealed.
        detail: what is wrong, in English.
        proof: the text that proves it anywhere; empty before it is sealed.
    """

    verdict: str
    size: int = 0
    detail: str = ""
    proof: str = ""


class Proofs:
    """Checks what is stored."""

    def __init__(self, store: SealStore, keys: Sequence[VerifierKey], log_id: int) -> None:
        """Bind; ``keys`` are the trusted ones, the sealer's and the witnesses'."""
        self.store = store
        self._log_id = log_id
        self._sealers = [key for key in keys if key.algorithm != COSIGNATURE]
        self._witnesses = [key for key in keys if key.algorithm == COSIGNATURE]

    def seals(self, below: int | None, limit: int) -> list[Seal]:
        """Return checkpoints, newest first, each checked."""
        return [self._checked(one) for one in self.store.seals(below, limit)]

    def witnesses(self) -> list[Witness]:
        """Return every witness that is trusted or that cosigned of late, by name."""
        stored = {one.name: one for one in self.store.witnesses()}
        names = sorted({*stored, *(key.name for key in self._witnesses)})
        return [self._witness(name, stored.get(name)) for name in names]

    def evidence(self, event: RecordedEvent) -> Evidence:
        """Hash the event anew and follow its path to the newest signed root."""
        row = (
            event.position, event.event_id, event.stream, event.version, event.type, event.schema,
            event.subject, event.occurred_at_us, event.recorded_at_us, event.raw_data,
            event.raw_meta, event.content_hash, event.leaf_hash,
        )  # fmt: skip
        try:
            leaf = checked_leaf(self._log_id, event.position, row)
            proof = self.store.proof(event.position)
            if proof is None:
                return Evidence(verdict=NOT_YET)
            size = proof.check(leaf, self._sealers).size
        except (TamperedError, NoteError, ProofError) as error:
            return Evidence(verdict=CHANGED, detail=str(error))
        return Evidence(verdict=SEALED, size=size, proof=str(proof))

    def _checked(self, stored: StoredSeal) -> Seal:
        seen = tuple((*self._seen(stored.note, line),) for line in stored.lines)
        try:
            note = Note.parse(stored.note)
            signed = bool(note.signed_by(self._sealers))
            checkpoint = Checkpoint.parse(note.text)
        except NoteError:
            return Seal(stored=stored, signed=False, root="", witnesses=seen)
        return Seal(
            stored=stored, signed=signed and checkpoint.size == stored.size,
            root=checkpoint.root.hex(), witnesses=seen,
        )  # fmt: skip

    def _witness(self, name: str, stored: StoredWitness | None) -> Witness:
        if stored is None:
            return Witness(name=name, holds=False, seconds=0, stored=None)
        _, holds, seconds = self._seen(stored.note, stored.line)
        return Witness(name=name, holds=holds, seconds=seconds, stored=stored)

    def _seen(self, note: str, line: str) -> tuple[str, bool, int]:
        """Return whose cosignature ``line`` is, whether it holds, and when it was given."""
        match = _LINE.match(line)
        if match is None:
            return "?", False, 0
        try:
            seconds = int.from_bytes(from_base64(match[2])[_TIME])
            signed = Note(Note.parse(note).text, (line,)).signed_by(self._witnesses)
        except NoteError:
            return match[1], False, 0
        return match[1], bool(signed), seconds
