# SPDX-License-Identifier: Apache-2.0
"""A witness cosigns what begins with what it saw, and answers everything else as it must."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.common.integrity.merkle import EMPTY_ROOT, Reader, consistency_proof, root_of
from services.common.integrity.notes import (
    COSIGNATURE,
    Checkpoint,
    Note,
    NoteError,
    Signer,
    sign_checkpoint,
)
from services.common.integrity.witnessing import (
    SIZE_TYPE,
    AddCheckpoint,
    NotCosignedError,
    Seen,
    check_growth,
    checked_cosignature,
    open_request,
)

ORIGIN = "motcua247/93/1"
LOG = Signer(ORIGIN, bytes(range(32)))
THIEF = Signer(ORIGIN, bytes(range(1, 33)))
WITNESS = Signer("w.example", bytes(range(2, 34)), COSIGNATURE)
LOGS = {ORIGIN: [LOG.verifier]}
LEAVES = [hashlib.sha256(b"\x00" + n.to_bytes(2)).digest() for n in range(200)]
FORKED = [*LEAVES[:3], bytes(32), *LEAVES[4:]]


def reader(leaves: list[bytes]) -> Reader:
    return lambda level, index: root_of(leaves[index << level : (index + 1) << level])


def request(old: int, new: int, leaves: list[bytes] = LEAVES, signer: Signer = LOG) -> str:
    """Return the body by which a log with these leaves asks."""
    head = Checkpoint(origin=ORIGIN, size=new, root=root_of(leaves[:new]))
    proof = tuple(consistency_proof(old, new, reader(leaves))) if old <= new else ()
    return str(AddCheckpoint(old=old, proof=proof, checkpoint=str(sign_checkpoint(head, [signer]))))


def ask(raw: str, seen: Seen) -> Seen:
    asked, checkpoint, _ = open_request(raw, LOGS)
    check_growth(asked, checkpoint, seen)
    return Seen(checkpoint.size, checkpoint.root)


def seen(size: int, leaves: list[bytes] = LEAVES) -> Seen:
    return Seen(size, root_of(leaves[:size]))


@given(st.lists(st.integers(0, 200), min_size=1, max_size=6))
def test_a_log_that_only_grows_is_cosigned(sizes: list[int]) -> None:
    """From head to head; the same head again, too."""
    head = Seen()
    assert head.root == EMPTY_ROOT
    for size in sorted(sizes):
        for _ in range(2):
            head = ask(request(head.size, size), head)
    assert head == seen(max(sizes))


@given(st.integers(4, 200), st.integers(4, 200))
def test_a_second_history_is_not(one: int, other: int) -> None:
    """Whatever was seen before, a log that changed an event gets nothing, and it is kept."""
    old, new = sorted((one, other))
    with pytest.raises(NotCosignedError) as caught:
        ask(request(old, new, FORKED), seen(old))
    assert caught.value.status == (409 if old == new else 422)
    assert caught.value.kind != SIZE_TYPE
    assert caught.value.evidence


@pytest.mark.parametrize(
    ("raw", "status", "body"),
    [
        (request(0, 9), 409, "5\n"), (request(4, 9), 409, "5\n"), (request(9, 9), 409, "5\n"),
        (request(4, 4), 409, "5\n"),
        (request(7, 6), 400, "above"),
        (request(5, 9, signer=THIEF), 403, "no trusted key"),
        (request(5, 9).replace("\n9\n", "\n8\n"), 403, "wrong"),
        (request(5, 9).replace(f"\n{ORIGIN}\n9", "\nother\n9"), 404, "not watched"),
        (request(5, 9).replace("old 5", "old 05"), 400, "old"), ("", 400, "old"),
        (request(5, 9).replace("old 5\n", "old 5\nAAAA\n"), 400, "SHA-256"),
        ("old 0\n\nnothing signed\n", 400, "note"),
    ],
)  # fmt: skip
def test_each_refusal_has_its_code(raw: str, status: int, body: str) -> None:
    """400 malformed, 403 not signed, 404 unknown, 409 with the size we have."""
    with pytest.raises(NotCosignedError) as caught:
        ask(raw, seen(5))
    assert caught.value.status == status
    assert body in caught.value.body
    assert (caught.value.kind == SIZE_TYPE) == (status == 409)
    assert not caught.value.evidence


def test_a_proof_too_many_is_none() -> None:
    """With an old size of zero the proof must be empty; otherwise exactly as long as it is."""
    asked = AddCheckpoint.parse(request(0, 9))
    for old, extra in ((0, (bytes(32),)), (5, (bytes(32),))):
        proof = AddCheckpoint.parse(request(old, 9)).proof + extra
        raw = str(AddCheckpoint(old=old, proof=proof, checkpoint=asked.checkpoint))
        with pytest.raises(NotCosignedError) as caught:
            ask(raw, seen(old))
        assert caught.value.status == 422


def test_only_the_witness_s_own_line_is_taken() -> None:
    """From what a witness answers; a line over other text, or of others, is nothing."""
    note = Note.parse(AddCheckpoint.parse(request(0, 9)).checkpoint)
    line = WITNESS.cosign(note.text, 1_700_000_000)
    other = Signer("x.example", bytes(range(9, 41)), COSIGNATURE).cosign(note.text, 1)
    assert checked_cosignature(note, f"{other}\n{line}\n", WITNESS.verifier) == line
    for answer in ("", other, WITNESS.cosign("other\n", 1), "<html>", line.replace("— w", "- w")):
        with pytest.raises(NoteError):
            checked_cosignature(note, answer, WITNESS.verifier)


@given(st.text(max_size=200))
def test_anything_is_answered(raw: str) -> None:
    """No other error than an answer."""
    for text in (raw, f"old 0\n\n{raw}", f"old 0\n\n{ORIGIN}\n{raw}"):
        with pytest.raises(NotCosignedError):
            open_request(text, LOGS)
