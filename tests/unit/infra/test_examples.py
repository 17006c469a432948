# SPDX-License-Identifier: Apache-2.0
"""The example subscribers where it is easy to get wrong: escaping, days, rollback, rubbish."""

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from infra.examples import ioc, soc
from infra.examples.inbox import Inbox, read
from services.common import contracts
from services.common.canonical import canonical_json
from services.common.messaging.asyncapi import message_of


def event(event_type: str, **data: Any) -> dict[str, Any]:
    """Return a message of the newest version with other data."""
    message = message_of(contracts.newest(event_type))
    return {**message, "data": {**message["data"], **data}}


def test_cef_escapes_what_would_split_a_line() -> None:
    """Bars in the head, equals signs and line ends in values."""
    line = soc.cef(event("config.machine_revoked", by="a=b\\c\nCEF:0|", reason="x|y"))
    assert line is not None
    assert "\n" not in line
    assert line.startswith("CEF:0|Mot Cua 24/7|events|1|config.machine_revoked|Machine revoked|6|")
    assert line.endswith(r"mcby=a\=b\\c\nCEF:0| mcreason=x|y")
    assert soc.cef(event("dossier.accepted")) is None


def test_every_watched_and_counted_type_exists() -> None:
    """A renamed event would be watched in vain."""
    known = {contract.type for contract in contracts.all_contracts()}
    assert {*soc.WATCHED, *ioc.COUNTED} <= known


def test_a_day_is_vietnams(tmp_path: Path) -> None:
    """Half past eleven at night in UTC is the next morning there; the second time adds nothing."""
    inbox = Inbox(tmp_path / "ioc.db", ioc.TABLES, ioc.count)
    late = event("payment.cash_credited") | {"time": "2026-11-23T23:30:00+00:00"}
    assert inbox.take(canonical_json(late))
    assert not inbox.take(canonical_json(late))
    assert ioc.counters(inbox.store) == {"2026-11-24": {"cash_vnd": 10_000}}


def test_a_failed_effect_leaves_nothing_behind(tmp_path: Path) -> None:
    """Effect and id are one: what failed is tried again as if it had never come."""

    def fail(store: sqlite3.Connection, one: Any) -> None:
        ioc.count(store, one)
        raise OSError("disk full")

    body = canonical_json(event("dossier.accepted"))
    with pytest.raises(OSError, match="disk full"):
        Inbox(tmp_path / "ioc.db", ioc.TABLES, fail).take(body)
    inbox = Inbox(tmp_path / "ioc.db", ioc.TABLES, ioc.count)
    assert ioc.counters(inbox.store) == {}
    assert inbox.take(body)


@pytest.mark.parametrize("body", [b"", b"[]", b'{"id": 1}', b'{"id": "x", "type": "y"}'])
def test_rubbish_is_named(body: bytes) -> None:
    """It says what is missing."""
    with pytest.raises(ValueError, match=r"Expecting|no object|missing or of another type: .*data"):
        read(body)
