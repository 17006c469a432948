# SPDX-License-Identifier: Apache-2.0
"""A receiver's side of a webhook: genuine or not, once in effect."""

import json
import uuid
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from motcua_subscriber import Event, SQLiteInbox, WebhookError, take, verify
from services.notify.domain.credentials import shown_secret
from services.notify.domain.signature import signatures

SECRET, NEXT = b"a" * 32, b"b" * 32
NOW = 1_764_300_000
ID = uuid.UUID("01936d5e-0000-8000-8000-000000000007")


def body(**other: Any) -> bytes:
    message = {
        "specversion": "1.0", "id": str(ID), "source": "/motcua/93",
        "type": "vn.motcua247.dossier.ready.v1", "time": "2026-11-28T08:00:00+07:00",
        "sequence": f"{4711:020d}", "data": {"a": 1}, **other,
    }  # fmt: skip
    return json.dumps(message).encode()


def headers(sent: bytes, *secrets: bytes, at: int = NOW, name: str = str(ID)) -> dict[str, str]:
    return {
        "Webhook-Id": name, "WEBHOOK-TIMESTAMP": str(at),
        "webhook-signature": signatures(secrets or (SECRET,), name, at, sent),
    }  # fmt: skip


def test_a_genuine_webhook_is_an_event() -> None:
    """In any spelling of the headers, with either of two secrets on either side."""
    event = verify(headers(body()), body(), shown_secret(SECRET), now_s=NOW + 300)
    assert (event.id, event.position, event.type) == (ID, 4711, "dossier.ready")
    both = headers(body(), NEXT, SECRET)
    for known in (SECRET, NEXT):
        assert verify(both, body(), shown_secret(known), now_s=NOW).position == 4711
    known_both = [shown_secret(NEXT), shown_secret(SECRET)]
    assert verify(headers(body()), body(), known_both, now_s=NOW).position == 4711


@pytest.mark.parametrize(
    ("changed", "sent", "why"),
    [
        ({}, body(data={"a": 2}), "signature"),
        ({"WEBHOOK-TIMESTAMP": str(NOW + 1)}, body(), "signature"),
        ({"webhook-signature": "v1a,xx v1,"}, body(), "signature"),
        ({"WEBHOOK-TIMESTAMP": "-1"}, body(), "no number"),
        ({"WEBHOOK-TIMESTAMP": "٣"}, body(), "no number"),
        (headers(body(), at=NOW - 301), body(), "too far"),
        (headers(body(), at=NOW + 301), body(), "too far"),
        (headers(body(), name="other"), body(), "another event"),
        (headers(b"{}"), b"{}", "not an event"),
        (headers(b"a" * 300_000), b"a" * 300_000, "too long"),
        (headers(body(), NEXT), body(), "signature"),
    ],
)
def test_what_is_not_genuine(changed: dict[str, str], sent: bytes, why: str) -> None:
    """Each is refused for its own reason."""
    with pytest.raises(WebhookError, match=why):
        verify({**headers(body()), **changed}, sent, shown_secret(SECRET), now_s=NOW)


def test_headers_may_be_missing() -> None:
    """The first missing one is named."""
    with pytest.raises(WebhookError, match="webhook-id"):
        verify({}, body(), shown_secret(SECRET), now_s=NOW)


def test_a_replay_has_no_second_effect(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Within five minutes it is genuine still; the inbox knows it."""
    monkeypatch.setattr("time.time", lambda: float(NOW))
    effects: list[int] = []

    def effect(event: Event, _connection: object) -> None:
        effects.append(event.position)

    with closing(SQLiteInbox(tmp_path / "i.db")) as inbox:
        sent = body()
        assert take(inbox, effect, headers(sent), sent, shown_secret(SECRET))
        assert not take(inbox, effect, headers(sent, at=NOW + 9), sent, shown_secret(SECRET))
        with pytest.raises(WebhookError):
            take(inbox, effect, headers(sent, NEXT), sent, shown_secret(SECRET))
    assert effects == [4711]
