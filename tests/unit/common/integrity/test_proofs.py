# SPDX-License-Identifier: Apache-2.0
"""Proofs for people: the published layout, what they prove, and what they do not."""

import base64
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.common.integrity.merkle import ProofError, Reader, root_of
from services.common.integrity.notes import (
    COSIGNATURE,
    Checkpoint,
    Note,
    NoteError,
    Signer,
    sign_checkpoint,
)
from services.common.integrity.proofs import TlogProof, make_proof

ORIGIN = "motcua247/93/1"
LOG = Signer(ORIGIN, bytes(range(32)))
OTHER = Signer("motcua247/94/1", bytes(range(3, 35)))
ONE, TWO = (Signer(f"w{n}.example", bytes([n] * 31 + [1]), COSIGNATURE) for n in (1, 2))
LEAVES = [hashlib.sha256(b"\x00" + bytes([n])).digest() for n in range(11)]
H1, H2 = (hashlib.sha256(one).digest() for one in (b"hash1", b"hash2"))


def reader(leaves: list[bytes]) -> Reader:
    return lambda level, index: root_of(leaves[index << level : (index + 1) << level])


def note(size: int = 11, *witnesses: Signer, signer: Signer = LOG) -> str:
    head = Checkpoint(origin=signer.verifier.name, size=size, root=root_of(LEAVES[:size]))
    signed = sign_checkpoint(head, [signer])
    lines = tuple(one.cosign(signed.text, 1_700_000_000) for one in witnesses)
    return str(Note(signed.text, (*signed.signatures, *lines)))


@pytest.mark.parametrize(
    ("proof", "expected"),
    [
        (TlogProof(index=5, path=(H1, H2), checkpoint="test checkpoint\n"),
         "c2sp.org/tlog-proof@v1\nindex 5\n{}\n{}\n\ntest checkpoint\n"),
        (TlogProof(index=10, path=(H1,), checkpoint="data\n", extra=b"extra information"),
         "c2sp.org/tlog-proof@v1\nextra ZXh0cmEgaW5mb3JtYXRpb24=\nindex 10\n{}\n\ndata\n"),
        (TlogProof(index=0, path=(), checkpoint="checkpoint\n"),
         "c2sp.org/tlog-proof@v1\nindex 0\n\ncheckpoint\n"),
    ],
)  # fmt: skip
def test_the_layout(proof: TlogProof, expected: str) -> None:
    """Line by line as the format words it; read back as it was."""
    hashes = [base64.b64encode(one).decode() for one in proof.path]
    assert str(proof) == expected.format(*hashes)
    assert TlogProof.parse(str(proof)) == proof


@pytest.mark.parametrize("position", range(1, 12))
def test_each_event_is_proven(position: int) -> None:
    """Made from tiles or leaves, written, read, checked; no other leaf passes with it."""
    made = make_proof(position, note(), reader(LEAVES))
    read = TlogProof.parse(str(made))
    assert read.check(LEAVES[position - 1], [LOG.verifier]).size == 11
    with pytest.raises(ProofError):
        read.check(LEAVES[position % 11], [LOG.verifier])
    moved = TlogProof(index=position % 11, path=made.path, checkpoint=made.checkpoint)
    with pytest.raises(ProofError):
        moved.check(LEAVES[position - 1], [LOG.verifier])


def test_who_signed_decides() -> None:
    """The log's key and name, and as many different witnesses as asked for."""
    leaf, trusted = LEAVES[0], [ONE.verifier, TWO.verifier]
    seen = make_proof(1, note(11, ONE, ONE), reader(LEAVES))
    assert seen.check(leaf, [LOG.verifier], trusted, quorum=1).origin == ORIGIN
    with pytest.raises(NoteError, match="1 witnesses cosigned, 2 are needed"):
        seen.check(leaf, [LOG.verifier], trusted, quorum=2)
    with pytest.raises(NoteError, match="no trusted key"):
        seen.check(leaf, [OTHER.verifier])
    stranger = make_proof(1, note(11, signer=OTHER), reader(LEAVES))
    with pytest.raises(NoteError, match="no trusted key"):
        stranger.check(leaf, [LOG.verifier])
    text = note(11, signer=OTHER).partition("\n\n")[0] + "\n"
    renamed = Note(text, (Signer(ORIGIN, bytes(range(32))).sign(text),))
    with pytest.raises(NoteError, match="is that of motcua247/94/1"):
        make_proof(1, str(renamed), reader(LEAVES)).check(leaf, [LOG.verifier])


def test_only_what_is_covered_is_proven() -> None:
    """An event behind the checkpoint has no proof under it."""
    assert make_proof(7, note(7), reader(LEAVES)).check(LEAVES[6], [LOG.verifier]).size == 7
    with pytest.raises(ProofError):
        make_proof(8, note(7), reader(LEAVES))


@pytest.mark.parametrize(
    "raw",
    [
        "", "c2sp.org/tlog-proof@v1\nindex 0\n", "c2sp.org/tlog-proof@v2\nindex 0\n\nx\n",
        "c2sp.org/tlog-proof@v1\nindex 01\n\nx\n", "c2sp.org/tlog-proof@v1\nindex -1\n\nx\n",
        "c2sp.org/tlog-proof@v1\n\nx\n", "c2sp.org/tlog-proof@v1\nextra !\nindex 0\n\nx\n",
        "c2sp.org/tlog-proof@v1\nindex 0\nAAAA\n\nx\n", "c2sp.org/tlog-proof@v1\nextra AA==\n\nx\n",
        "c2sp.org/tlog-proof@v1\nindex 0\n" + f"{base64.b64encode(H1).decode()}\n" * 64 + "\nx\n",
    ],
)  # fmt: skip
def test_what_is_no_proof(raw: str) -> None:
    """Refused, never guessed."""
    with pytest.raises(NoteError):
        TlogProof.parse(raw)


@given(st.text(max_size=200))
def test_anything_is_read_or_refused(raw: str) -> None:
    """No other error than the documented one."""
    for text in (raw, f"c2sp.org/tlog-proof@v1\n{raw}"):
        try:
            assert str(TlogProof.parse(text)) == text
        except NoteError:
            continue
