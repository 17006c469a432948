# SPDX-License-Identifier: Apache-2.0
"""Signed notes and checkpoints: the published examples, and what is refused."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.common.integrity.notes import (
    COSIGNATURE,
    NEXT_KEY,
    Checkpoint,
    Note,
    NoteError,
    Signer,
    VerifierKey,
    open_checkpoint,
    sign_checkpoint,
)

GO_KEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
GO_NOTE = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
    "\n"
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)
"""The example of the format's first implementation (Go's sumdb/note)."""
LOG = Signer("motcua247/93/1", bytes(range(32)))
NEXT = Signer("motcua247/93/1", bytes(range(1, 33)))
WITNESS = Signer("witness.example", bytes(range(2, 34)), COSIGNATURE)
HEAD = Checkpoint(origin="motcua247/93/1", size=7, root=bytes(range(32)))


def test_the_published_note() -> None:
    """Read, checked, and written again byte for byte."""
    key = VerifierKey.parse(GO_KEY)
    assert str(key) == GO_KEY
    note = Note.parse(GO_NOTE)
    assert note.signed_by([key]) == [key]
    assert str(note) == GO_NOTE


def test_one_changed_byte_is_noticed() -> None:
    """In the text, and in the signature."""
    key = VerifierKey.parse(GO_KEY)
    for broken in (GO_NOTE.replace("answer", "Answer"), GO_NOTE.replace("JnAM", "JnAN")):
        with pytest.raises(NoteError):
            Note.parse(broken).signed_by([key])
    assert Note.parse(GO_NOTE).signed_by([LOG.verifier]) == []


def test_a_checkpoint_there_and_back() -> None:
    """Signed by the log, cosigned by a witness, read by somebody who trusts both."""
    note = sign_checkpoint(HEAD, [LOG])
    cosigned = Note(note.text, (*note.signatures, WITNESS.cosign(note.text, 1_700_000_000)))
    found, opened = open_checkpoint(str(cosigned), [LOG.verifier])
    assert found == HEAD
    assert opened.signed_by([WITNESS.verifier]) == [WITNESS.verifier]
    root = base64.b64encode(bytes(range(32))).decode()
    assert note.text == f"motcua247/93/1\n7\n{root}\n"


def test_a_key_vouches_for_the_next_one() -> None:
    """By a line of the text that it signs; both sign while they overlap."""
    line = NEXT_KEY + str(NEXT.verifier)
    head = Checkpoint(origin=HEAD.origin, size=8, root=HEAD.root, extensions=(line,))
    found, note = open_checkpoint(str(sign_checkpoint(head, [LOG, NEXT])), [LOG.verifier])
    assert found.next_keys() == [NEXT.verifier]
    assert note.signed_by([NEXT.verifier]) == [NEXT.verifier]


@pytest.mark.parametrize(
    "signers", [[NEXT], [Signer("other", bytes(range(32)))], [WITNESS]], ids=str
)
def test_other_signatures_are_none(signers: list[Signer]) -> None:
    """Another key of that name, that key under another name, a witness's key."""
    with pytest.raises(NoteError, match="no trusted key"):
        open_checkpoint(str(sign_checkpoint(HEAD, signers)), [LOG.verifier])


@pytest.mark.parametrize(
    "raw",
    [
        "", "\n", "text\n", "text\n\n", "text\n\n— a\n", "text\n\n- a AAAA\n", "text\n\n— a AAAA",
        "te\rxt\n\n— a AAAA\n", "text\n\n— a+b AAAA\n", "x" * 70_000 + "\n\n— a AAAA\n",
        "text\n\n" + "— a AAAA\n" * 101,
    ],
)  # fmt: skip
def test_what_is_no_note(raw: str) -> None:
    """Refused, never guessed."""
    with pytest.raises(NoteError):
        Note.parse(raw)


@pytest.mark.parametrize(
    "text",
    [
        "", "o\n", "o\n1\n", "o\n01\nAAAA\n", "o\n-1\nAAAA\n", "o\n1\nAAAA\n", "o\n1\n!\n",
        "\n1\n" + base64.b64encode(bytes(32)).decode() + "\n",
        "o\n1\n" + base64.b64encode(bytes(32)).decode() + "\n\nx\n",
        "o\n" + "9" * 20 + "\n" + base64.b64encode(bytes(32)).decode() + "\n",
    ],
)  # fmt: skip
def test_what_is_no_checkpoint(text: str) -> None:
    """Refused, never guessed."""
    with pytest.raises(NoteError):
        Checkpoint.parse(text)


@pytest.mark.parametrize(
    "text",
    ["", "a+b", "a+00000000+AAAA", GO_KEY.replace("c74f20a3", "c74f20a4"), GO_KEY + "x",
     GO_KEY.replace("Peter", "Pe ter")],
)  # fmt: skip
def test_what_is_no_key(text: str) -> None:
    """Refused, never guessed."""
    with pytest.raises(NoteError):
        VerifierKey.parse(text)


@given(st.text(max_size=300))
def test_anything_is_read_or_refused(raw: str) -> None:
    """No other error than the documented one; what is read is written as it was."""
    for parse in (Note.parse, Checkpoint.parse, VerifierKey.parse):
        try:
            found = parse(raw)
        except NoteError:
            continue
        if isinstance(found, Note):
            assert str(found) == raw
