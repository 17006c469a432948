# SPDX-License-Identifier: Apache-2.0
"""The inbox of the subscribers' package: once in effect, and honest about what is missing."""

import uuid
from datetime import UTC, datetime
from pathlib import Path

import pytest

from motcua_subscriber import (
    CertificateError,
    Event,
    FeedClient,
    NotAnEventError,
    SQLiteInbox,
    parse,
)
from motcua_subscriber.certificate import open_certificate
from motcua_subscriber.inbox import differences, digest_of
from services.common.integrity.notes import Note
from services.notify.application.certificates import certificate_signer
from services.notify.application.feed import Tallying

SIGNER = certificate_signer(93, bytes(range(32)))
TEXT = (
    "motcua247/93/certificate/1\nsubscriber ioc\nday 2026-11-27 Asia/Ho_Chi_Minh\nafter 3\n"
    "through 9\ncount 2\ndigest 00\ngranted 3 9 dossier.ready\ncheckpoint motcua247/93/1 9 AA=\n"
)


def event(position: int) -> Event:
    return Event(
        id=uuid.uuid5(uuid.NAMESPACE_OID, str(position)), position=position, type="dossier.ready",
        schema=1, source="/motcua/93", time=datetime(2026, 11, 27, tzinfo=UTC), subject=None, data={},
    )  # fmt: skip


def test_effect_and_mark_are_one(tmp_path: Path) -> None:
    """A failed effect leaves nothing, a second delivery has none, also after opening again."""
    inbox = SQLiteInbox(tmp_path / "inbox.db")
    inbox.connection.execute("CREATE TABLE seen (position INTEGER)")

    def effect(one: Event, connection: object) -> None:
        inbox.connection.execute("INSERT INTO seen VALUES (?)", (one.position,))
        if len(failures) < 1:
            failures.append(1)
            raise OSError("disk")

    failures: list[int] = []
    with pytest.raises(OSError, match="disk"):
        inbox.take(event(7), effect)
    assert not inbox.knows(7)
    assert inbox.take(event(7), effect)
    inbox.close()
    again = SQLiteInbox(tmp_path / "inbox.db")
    assert not again.take(event(7), effect)
    assert again.connection.execute("SELECT count(*) FROM seen").fetchone() == (1,)
    again.close()


def test_marks_are_forgotten_only_behind_the_watermark(tmp_path: Path) -> None:
    """What is through stays known although its mark is gone; the watermark never goes back."""
    inbox = SQLiteInbox(tmp_path / "inbox.db", keep_s=-1)
    for position in (2, 5, 9):
        inbox.take(event(position), lambda *_: None)
    inbox.advance(5)
    inbox.advance(3)
    assert inbox.through() == 5
    assert [position for position, _ in inbox.taken(0, 99)] == [9]
    assert [inbox.knows(position) for position in (2, 4, 5, 6, 9)] == [
        True,
        True,
        True,
        False,
        True,
    ]
    inbox.close()


def test_digests_are_the_feeds(tmp_path: Path) -> None:
    """Both sides add up the same; a difference is named."""
    inbox, adding = SQLiteInbox(":memory:"), Tallying()
    owed = [(one.position, one.id) for one in map(event, (2, 5, 9))]
    for position, identifier in owed:
        adding.add(position, identifier)
        inbox.take(event(position), lambda *_: None)
    found = adding.tally()
    assert digest_of(inbox.taken(0, 9)) == (found.count, found.digest)
    assert differences(owed, owed[1:]) == ([2], [])
    assert differences(owed[:2], owed) == ([], [9])
    assert digest_of(owed[1:])[1] != found.digest
    inbox.close()


def test_a_certificate_needs_its_key() -> None:
    """Signed by ours: read; changed, unsigned or signed by another: refused."""
    note = str(Note(TEXT, (SIGNER.sign(TEXT),)))
    key = str(SIGNER.verifier)
    found = open_certificate(note, key)
    assert (found.subscriber, found.after, found.through, found.count) == ("ioc", 3, 9, 2)
    other = certificate_signer(93, bytes(range(1, 33)))
    for wrong in (note.replace("count 2", "count 3"), TEXT, str(Note(TEXT, (other.sign(TEXT),)))):
        with pytest.raises(CertificateError):
            open_certificate(wrong, key)
    with pytest.raises(CertificateError):
        open_certificate(note, key.replace("+", "+0", 1))


@pytest.mark.parametrize(
    "body", [b"", b"[]", b'{"type":"x"}', b"\xff", b"[" * 9999, b"x" * 262_145]
)
def test_what_is_no_event_is_said_to_be_none(body: bytes) -> None:
    """Whatever came, one error."""
    with pytest.raises(NotAnEventError):
        parse(body)


def test_a_token_does_not_travel_in_the_clear() -> None:
    """Plain HTTP only on this machine."""
    FeedClient("http://127.0.0.1:1", "t")
    with pytest.raises(ValueError, match="https"):
        FeedClient("http://feed.example.vn", "t")
