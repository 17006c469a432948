# SPDX-License-Identifier: Apache-2.0
"""A proof that fits on paper: one event stands in the log, as ``c2sp.org/tlog-proof`` words it.

It needs neither the log nor a server: whoever has the event's leaf hash and the keys they trust can
check it years later.
"""

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from services.common.integrity.merkle import (
    HASH_BYTES,
    Reader,
    check_inclusion,
    inclusion_proof,
)
from services.common.integrity.notes import (
    COSIGNATURE,
    Checkpoint,
    Note,
    NoteError,
    VerifierKey,
    from_base64,
    open_checkpoint,
)

HEADER: Final = "c2sp.org/tlog-proof@v1"
PATH_MAX: Final = 63
_NUMBER: Final = "0|[1-9][0-9]{0,18}"


@dataclass(frozen=True, slots=True, kw_only=True)
class TlogProof:
    """Where an event stands, the way from it to the root, and the signed checkpoint.

    Attributes:
        index: leaf index, position − 1.
        path: audit path, the leaf's sibling first.
        checkpoint: the signed note, verbatim.
        extra: bytes that nobody vouches for.
    """

    index: int
    path: tuple[bytes, ...]
    checkpoint: str
    extra: bytes | None = None

    def __str__(self) -> str:
        """The text of a ``.tlog-proof`` file."""
        lines = [HEADER]
        if self.extra is not None:
            lines.append(f"extra {base64.b64encode(self.extra).decode()}")
        lines.append(f"index {self.index}")
        lines += [base64.b64encode(one).decode() for one in self.path]
        return "\n".join(lines) + "\n\n" + self.checkpoint

    @classmethod
    def parse(cls, raw: str) -> "TlogProof":
        """Read what ``str`` writes; raises NoteError."""
        head, blank, checkpoint = raw.partition("\n\n")
        header, *lines = head.split("\n")
        if header != HEADER or not blank:
            raise NoteError(f"a proof begins with {HEADER} and ends with a checkpoint")
        extra = None
        if lines and lines[0].startswith("extra "):
            extra = from_base64(lines.pop(0).removeprefix("extra "))
        if not lines or not re.fullmatch(f"index ({_NUMBER})", lines[0]):
            raise NoteError("a proof names the index of its leaf")
        return cls(
            index=int(lines[0].removeprefix("index ")),
            path=hash_lines(lines[1:]),
            checkpoint=checkpoint,
            extra=extra,
        )

    def check(
        self, leaf: bytes, keys: Sequence[VerifierKey], witnesses: Sequence[VerifierKey] = (),
        *, quorum: int = 0,
    ) -> Checkpoint:  # fmt: skip
        """Check that the log signed a tree in which ``leaf`` stands at ``index``.

        Args:
            leaf: leaf hash, computed by whoever asks from the event itself.
            keys: keys of the log; their name is its origin.
            witnesses: keys of witnesses that are trusted.
            quorum: how many different witnesses must have cosigned.

        Raises:
            NoteError: the checkpoint is not signed as it must be.
            ProofError: the leaf does not stand there.
        """
        checkpoint, note = open_checkpoint(self.checkpoint, keys)
        if checkpoint.origin not in {key.name for key in keys}:
            raise NoteError(f"no trusted key is that of {checkpoint.origin}")
        cosigners = [key for key in witnesses if key.algorithm == COSIGNATURE]
        seen_by = {key.public for key in note.signed_by(cosigners)}
        if len(seen_by) < quorum:
            raise NoteError(f"{len(seen_by)} witnesses cosigned, {quorum} are needed")
        check_inclusion(leaf, self.index, checkpoint.size, self.path, checkpoint.root)
        return checkpoint


def make_proof(position: int, checkpoint: str, read: Reader) -> TlogProof:
    """Return the proof of the event at ``position`` under a signed checkpoint that covers it.

    Raises:
        NoteError: not a checkpoint.
        ProofError: the event is not covered.
    """
    size = Checkpoint.parse(Note.parse(checkpoint).text).size
    path = inclusion_proof(position - 1, size, read)
    return TlogProof(index=position - 1, path=tuple(path), checkpoint=checkpoint)


def hash_lines(lines: Sequence[str]) -> tuple[bytes, ...]:
    """Read hashes, one a line; raises NoteError."""
    hashes = tuple(from_base64(line) for line in lines)
    if len(hashes) > PATH_MAX or any(len(one) != HASH_BYTES for one in hashes):
        raise NoteError(f"a proof is at most {PATH_MAX} SHA-256 hashes, one a line")
    return hashes
