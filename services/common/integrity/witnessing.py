# SPDX-License-Identifier: Apache-2.0
"""What a witness demands before it cosigns: ``c2sp.org/tlog-witness``, without network or disk.

A witness remembers one tree head of each log. It cosigns only what begins with that head, so two
people who trust it cannot be shown two histories.
"""

import base64
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from services.common.integrity.merkle import EMPTY_ROOT, ProofError, check_consistency
from services.common.integrity.notes import Checkpoint, Note, NoteError, VerifierKey
from services.common.integrity.proofs import hash_lines

SIZE_TYPE: Final = "text/x.tlog.size"
TEXT_TYPE: Final = "text/plain; charset=utf-8"
BODY_MAX: Final = 64_000
BAD_REQUEST, FORBIDDEN, NOT_FOUND, CONFLICT, UNPROCESSABLE = 400, 403, 404, 409, 422


class NotCosignedError(Exception):
    """The witness refuses; the exception is the HTTP answer."""

    def __init__(
        self, status: int, body: str, kind: str = TEXT_TYPE, *, evidence: bool = False
    ) -> None:
        """Answer with ``status``; ``evidence``: our record does not lead to the signed head."""
        super().__init__(f"{status} {body.strip()}")
        self.status = status
        self.body = body if body.endswith("\n") else f"{body}\n"
        self.kind = kind
        self.evidence = evidence


@dataclass(frozen=True, slots=True, kw_only=True)
class AddCheckpoint:
    """A log's request: from this size on, by this proof, to this checkpoint.

    Attributes:
        old: size that the witness cosigned last.
        proof: consistency proof from there.
        checkpoint: the signed note.
    """

    old: int
    proof: tuple[bytes, ...]
    checkpoint: str

    def __str__(self) -> str:
        """The body of the request."""
        proof = "".join(f"{base64.b64encode(one).decode()}\n" for one in self.proof)
        return f"old {self.old}\n{proof}\n{self.checkpoint}"

    @classmethod
    def parse(cls, raw: str) -> "AddCheckpoint":
        """Read a body; raises NoteError."""
        head, blank, checkpoint = raw.partition("\n\n")
        old, *lines = head.split("\n")
        match = re.fullmatch("old (0|[1-9][0-9]{0,18})", old)
        if match is None or not blank:
            raise NoteError("a request is 'old <size>', a proof, an empty line and a checkpoint")
        return cls(old=int(match[1]), proof=hash_lines(lines), checkpoint=checkpoint)


@dataclass(frozen=True, slots=True)
class Seen:
    """The tree head that a witness cosigned last; the empty tree at first."""

    size: int = 0
    root: bytes = EMPTY_ROOT


def open_request(
    raw: str, logs: Mapping[str, Sequence[VerifierKey]]
) -> tuple[AddCheckpoint, Checkpoint, Note]:
    """Read a request and check that a trusted key of its log signed it.

    Raises:
        NotCosignedError: 400 malformed, or old size above the new one · 404 a log we do not
            watch · 403 not signed by it.
    """
    try:
        request = AddCheckpoint.parse(raw)
        note = Note.parse(request.checkpoint)
        checkpoint = Checkpoint.parse(note.text)
    except NoteError as error:
        raise NotCosignedError(BAD_REQUEST, str(error)) from error
    keys = logs.get(checkpoint.origin)
    if keys is None:
        raise NotCosignedError(NOT_FOUND, "this log is not watched here")
    try:
        signed = note.signed_by(keys)
    except NoteError as error:
        raise NotCosignedError(FORBIDDEN, str(error)) from error
    if not signed:
        raise NotCosignedError(FORBIDDEN, "no trusted key signed the checkpoint")
    if request.old > checkpoint.size:
        raise NotCosignedError(BAD_REQUEST, "the old size is above the new one")
    return request, checkpoint, note


def check_growth(request: AddCheckpoint, checkpoint: Checkpoint, seen: Seen) -> None:
    """Check that the checkpoint begins with what was seen; whoever calls holds the record's lock.

    Raises:
        NotCosignedError: 409 with our size when the request begins elsewhere · 409 when it is a
            second root for one size · 422 when the proof does not prove it.
    """
    if request.old != seen.size:
        raise NotCosignedError(CONFLICT, f"{seen.size}\n", SIZE_TYPE)
    if checkpoint.size == seen.size and checkpoint.root != seen.root:
        raise NotCosignedError(CONFLICT, "another root was cosigned for this size", evidence=True)
    try:
        check_consistency(seen.size, checkpoint.size, request.proof, seen.root, checkpoint.root)
    except ProofError as error:
        raise NotCosignedError(UNPROCESSABLE, str(error), evidence=True) from error


def checked_cosignature(note: Note, answer: str, witness: VerifierKey) -> str:
    """Return the witness's line out of its answer; raises NoteError when there is none."""
    lines = tuple(line for line in answer.split("\n") if line)
    for line in lines:
        one = Note.parse(str(Note(note.text, (line,))))
        if one.signed_by([witness]):
            return line
    raise NoteError(f"{witness.name} did not cosign")
