# SPDX-License-Identifier: Apache-2.0
"""After an erasure nothing of a person is left, in no table and in no later backup."""

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, closing

import psycopg
import pytest

from infra.local.postgres import binaries
from services.common.audit.subjects import personal_fields
from services.common.personal import new_data_key
from tests.support.database import KEK, LOG_ID, Database, fresh_database
from tests.support.offices import SERVICE_KEY, HandClock, Office

CANARY = ("Nguyễn Thị An", "912345678")


class Place:
    """A log, a dossier of it, and the command line with a login."""

    def __init__(self, database: Database, office: Office) -> None:
        self.database, self.office = database, office
        self.dossier = office.deposit()
        (found,) = personal_fields(office.log.read_subject(self.dossier))
        sealed = office.log.read_personal(found.event.event_id)[found.field]
        self.key, self.blob = found.key, sealed.blob
        with psycopg.connect(database.keys_owner_url) as connection:
            row = connection.execute(
                "SELECT wrapped FROM keys.subject_key WHERE key_id = %s", (self.key,)
            ).fetchone()
        assert row is not None
        self.wrapped = bytes(row[0])

    def motcua(self, role: str, *words: str) -> subprocess.CompletedProcess[str]:
        """Run ``motcua subject`` with a login."""
        environ = {
            "MOTCUA_DATABASE_URL": self.database.url_for(role), "MOTCUA_LOG_ID": str(LOG_ID),
            "MOTCUA_KEYS_DATABASE_URL": self.database.keys_url_for(role),
            "MOTCUA_SERVICE_KEY": SERVICE_KEY.hex(), "MOTCUA_KEK": KEK.hex(),
        }  # fmt: skip
        return subprocess.run(
            [sys.executable, "-W", "ignore", "-m", "infra.motcua", "subject", *words],
            check=False, capture_output=True, text=True, timeout=60,
            env={**os.environ, **environ},
        )  # fmt: skip

    def found(self) -> set[str]:
        """Return what a full backup of both databases holds of the person."""
        text = ""
        for url in (self.database.owner_url, self.database.keys_owner_url):
            done = subprocess.run(
                [str(binaries() / "pg_dump"), "--inserts", url],
                check=True, capture_output=True, text=True, timeout=60,
            )  # fmt: skip
            text += done.stdout
        assert str(self.key) in text, "the event names the key's id for ever"
        things = {"ciphertext": self.blob.hex(), "wrapped key": self.wrapped.hex()}
        things |= {f"canary {word}": word for word in CANARY}
        things |= {f"hex of {word}": word.encode().hex() for word in CANARY}
        return {name for name, thing in things.items() if thing in text}


@pytest.fixture
def place(server_url: str) -> Iterator[Place]:
    """A log of its own."""
    with fresh_database(server_url) as database, ExitStack() as opened:

        def log_as(role: str) -> object:
            return opened.enter_context(closing(database.log(role)))

        keys = opened.enter_context(closing(database.keys("motcua_kiosk_sync")))
        yield Place(database, Office(log_as, keys, HandClock()))  # type: ignore[arg-type]


def test_nothing_is_left(place: Place) -> None:
    """Before: ciphertext and wrapped key, never the person. After: neither, the log as it was."""
    assert place.found() == {"ciphertext", "wrapped key"}
    done = place.motcua(
        "motcua_eraser", "erase", place.dossier, "--by", "cb007", "--reference", "CV-1",
        "--open-too",
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (f"{place.dossier}: 1 values; destroyed now: 1 keys, 1 ciphertexts\n")
    assert place.found() == set()
    place.office.keys.put(place.key, "contact", new_data_key("contact").secret)
    assert place.office.keys.get(place.key) is None


def test_reading_by_hand(place: Place) -> None:
    """Shown to audit, on record; refused to a login without the purpose; erased is said."""
    shown = place.motcua("motcua_audit", "show", place.dossier, "--by", "cb007")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert all(word in shown.stdout for word in CANARY)
    story = place.office.log.read_subject(place.dossier)
    assert [event.type for event in story][-1] == "access.personal_read"
    whole = json.loads(
        place.motcua("motcua_audit", "export", place.dossier, "--by", "cb007").stdout
    )
    assert [event["type"] for event in whole["events"]].count("access.personal_read") == 2
    assert CANARY[0] in whole["personal"][0]["value"]
    foreign = place.motcua("motcua_payment", "show", place.dossier, "--by", "cb007")
    assert foreign.returncode == 2
    assert "not" in foreign.stderr
    assert not foreign.stdout
    words = ("--by", "cb007", "--reference", "CV-1", "--open-too")
    place.motcua("motcua_eraser", "erase", place.dossier, *words)
    after = place.motcua("motcua_audit", "show", place.dossier, "--by", "cb007")
    assert after.stdout.split("\t")[-1] == "[đã xóa]\n"


def test_what_the_command_line_refuses(place: Place) -> None:
    """An open dossier, an unknown one, a code of nobody, a login that may not: one line, code 2."""
    words = ("--by", "cb007", "--reference", "CV-1")
    for role, more, said in (
        ("motcua_eraser", (place.dossier, *words), "open"),
        ("motcua_eraser", (str(uuid.uuid4()), *words, "--open-too"), "no event"),
        ("motcua_eraser", ("H30.12-261123-0001", *words), "no dossier"),
        ("motcua_eraser", ("x", *words), "code"),
        ("motcua_eraser", (place.dossier, *words, "--open-too", "--basis", "mood"), "basis"),
        ("motcua_audit", (place.dossier, *words, "--open-too"), "may not erase"),
    ):
        done = place.motcua(role, "erase", *more)
        assert (done.returncode, done.stdout) == (2, ""), more
        assert said in done.stderr
        assert len(done.stderr.splitlines()) == 1
    assert place.found() == {"ciphertext", "wrapped key"}


def test_a_restore_from_before_is_erased_again(place: Place) -> None:
    """Key and ciphertext that a restore brought back go by the log's own word; once."""
    words = ("--by", "cb007", "--reference", "CV-1", "--open-too")
    place.motcua("motcua_eraser", "erase", place.dossier, *words)
    with psycopg.connect(place.database.keys_owner_url, autocommit=True) as connection:
        connection.execute("DELETE FROM keys.destroyed")
        connection.execute(
            "INSERT INTO keys.subject_key (key_id, purpose, wrapped) VALUES (%s, 'contact', %s)",
            (place.key, place.wrapped),
        )
    assert place.found() == {"wrapped key"}
    for said in ("1 keys, 0 ciphertexts", "0 keys, 0 ciphertexts"):
        done = place.motcua("motcua_eraser", "erase-again")
        assert (done.returncode, done.stdout) == (0, f"destroyed again: {said}\n")
    assert place.found() == set()
    refused = place.motcua("motcua_audit", "erase-again")
    assert refused.returncode == 2
