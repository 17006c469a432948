# SPDX-License-Identifier: Apache-2.0
"""Erasing for good and reading on record: one suite on PostgreSQL and on the in-memory twin."""

import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field

import pytest

from services.common.audit.subjects import Erase, Erased, erase, personal_fields, read
from services.common.errors import Malformed, MotCuaError, Refused, Unavailable
from services.common.eventlog.memory import MemoryKeys, MemoryLog
from services.common.eventlog.port import EventLog, KeyStore
from services.common.eventlog.recording import Recorder
from services.common.personal import new_data_key
from tests.support.database import Database
from tests.support.offices import CONTACT, SERVICE_KEY, HandClock, Office

ERASER, AUDIT, FLEET = "motcua_eraser", "motcua_audit", "motcua_kiosk_sync"


@dataclass
class Archive:
    """A log and its keys, with every login."""

    log_as: Callable[[str], EventLog]
    keys_as: Callable[[str], KeyStore]
    clock: HandClock = field(default_factory=HandClock)

    def deposit(self) -> str:
        """A citizen hands in at a machine; returns the dossier."""
        office = Office(self.log_as, self.keys_as(FLEET), self.clock)  # type: ignore[arg-type]
        return office.deposit(pouch=uuid.uuid4().hex[:12])

    def recorder(self, role: str) -> Recorder:
        """Return a recorder with this login."""
        return Recorder(self.log_as(role), self.keys_as(role), self.clock, SERVICE_KEY)

    def erase(self, about: str, **other: object) -> Erased:
        """Erase what the dossier has."""
        order = {
            "basis": "request", "reference": "CV-1", "official": "cb007", "dossier": about,
            **other,
        }  # fmt: skip
        return erase(self.recorder(ERASER), self.keys_as(ERASER), Erase(**order))  # type: ignore[arg-type]

    def values(self, dossier: str) -> list[object]:
        """Return what a reader for contacts reads."""
        found = read(self.recorder(AUDIT), dossier, purpose="contact", reader="cb007")
        return [value for _, value in found]

    def types(self, stream: str) -> list[str]:
        """Return the types on a stream."""
        return [event.type for event in self.log_as(AUDIT).read_stream(stream)]


@pytest.fixture(params=["memory", "postgresql"])
def archive(request: pytest.FixtureRequest) -> Iterator[Archive]:
    """Both implementations."""
    if request.param == "memory":
        log, keys = MemoryLog(), MemoryKeys()
        yield Archive(log.for_role, lambda _: keys)
        return
    database: Database = request.getfixturevalue("database")
    with ExitStack() as opened:
        logs: dict[str, EventLog] = {}
        stores: dict[str, KeyStore] = {}

        def log_as(role: str) -> EventLog:
            if role not in logs:
                logs[role] = opened.enter_context(closing(database.log(role)))
            return logs[role]

        def keys_as(role: str) -> KeyStore:
            if role not in stores:
                stores[role] = opened.enter_context(closing(database.keys(role)))
            return stores[role]

        yield Archive(log_as, keys_as)


def test_what_is_erased_is_gone_and_the_log_stays(archive: Archive) -> None:
    """Nobody reads it any more; every event is as it was, and one says what was erased."""
    dossier, other = archive.deposit(), archive.deposit()
    before = archive.log_as(AUDIT).read_subject(dossier)
    assert archive.values(dossier) == [CONTACT]
    assert archive.erase(dossier) == Erased(values=1, keys=1, ciphertexts=1)
    assert archive.values(dossier) == [None]
    assert archive.values(other) == [CONTACT]
    story = archive.log_as(AUDIT).read_subject(dossier)
    assert story[: len(before)] == before
    assert archive.types(f"subject-{dossier}") == ["subject.erased"]
    (event, *_) = before
    assert archive.log_as(AUDIT).read_personal(event.event_id) == {}


def test_erasing_twice_is_erasing_once(archive: Archive) -> None:
    """The second order finds nothing left, under another paper too."""
    dossier = archive.deposit()
    archive.erase(dossier)
    again = archive.erase(dossier, reference="CV-2", basis="retention")
    assert again == Erased(values=1, keys=0, ciphertexts=0)
    assert archive.types(f"subject-{dossier}") == ["subject.erased"]


@pytest.mark.parametrize("step", ["destroy", "append", "forget"])
def test_interrupted_anywhere_it_is_begun_anew(archive: Archive, step: str) -> None:
    """The database goes away right after a step; the same order again ends it."""
    dossier = archive.deposit()
    recorder, keys = archive.recorder(ERASER), archive.keys_as(ERASER)
    cut = Recorder(_Cut(recorder.log, step), keys, archive.clock, SERVICE_KEY)  # type: ignore[arg-type]
    with pytest.raises(Unavailable):
        erase(cut, _Cut(keys, step), _order(dossier))  # type: ignore[arg-type]
    assert archive.erase(dossier).values == 1
    assert archive.values(dossier) == [None]
    assert archive.types(f"subject-{dossier}") == ["subject.erased"]
    (deposit,) = personal_fields(archive.log_as(AUDIT).read_subject(dossier))
    assert archive.log_as(AUDIT).read_personal(deposit.event.event_id) == {}


class _Cut:
    """Passes everything on and goes away once, right after the named call."""

    def __init__(self, real: object, at: str) -> None:
        self._real, self._at = real, at

    def __getattr__(self, name: str) -> object:
        found = getattr(self._real, name)
        if name != self._at:
            return found

        def call(*args: object, **words: object) -> object:
            found(*args, **words)
            raise Unavailable("postgresql", "cut")

        return call


def test_a_destroyed_key_does_not_come_back(archive: Archive) -> None:
    """A machine whose acknowledgement was lost sends its key again: all is well, nothing is kept."""
    key = new_data_key("contact")
    fleet, eraser = archive.keys_as(FLEET), archive.keys_as(ERASER)
    fleet.put(key.key_id, key.purpose, key.secret)
    assert eraser.destroy([key.key_id]) == 1
    fleet.put(key.key_id, key.purpose, key.secret)
    assert fleet.get(key.key_id) is None
    assert eraser.destroy([key.key_id]) == 0


@pytest.mark.parametrize("role", [AUDIT, "motcua_intake", FLEET])
def test_only_the_eraser_erases(archive: Archive, role: str) -> None:
    """Other logins write no erasure and delete no ciphertext."""
    dossier = archive.deposit()
    (found,) = personal_fields(archive.log_as(AUDIT).read_subject(dossier))
    with pytest.raises(Refused) as refusal:
        archive.log_as(role).forget(found.event.position)
    assert refusal.value.code == "not_eraser"
    with pytest.raises(Refused):
        erase(archive.recorder(role), MemoryKeys(), _order(dossier))
    assert archive.values(dossier) == [CONTACT]


def test_only_what_the_log_says_is_forgotten(archive: Archive) -> None:
    """The eraser deletes no ciphertext by any other event's position."""
    dossier = archive.deposit()
    log = archive.log_as(ERASER)
    assert [log.forget(at) for at in range(log.head() + 2)] == [0] * (log.head() + 2)
    assert archive.values(dossier) == [CONTACT]


@pytest.mark.parametrize(
    ("other", "code"),
    [
        ({"dossier": str(uuid.uuid4())}, "no_such_subject"),
        ({"purposes": ("tax",)}, "nothing_personal"),
    ],
)
def test_what_is_not_there_is_refused(
    archive: Archive, other: dict[str, object], code: str
) -> None:
    """An unknown dossier, a purpose for which nothing is kept."""
    dossier = archive.deposit()
    with pytest.raises(Refused) as refusal:
        archive.erase(dossier, **other)
    assert refusal.value.code == code
    assert archive.values(dossier) == [CONTACT]


@pytest.mark.parametrize(
    "other", [{"basis": "mood"}, {"reference": "two words"}, {"official": ""}, {"reference": ""}]
)
def test_a_bad_order_erases_nothing(archive: Archive, other: dict[str, object]) -> None:
    """Checked before the first key is destroyed."""
    dossier = archive.deposit()
    with pytest.raises(Malformed):
        archive.erase(dossier, **other)
    assert archive.values(dossier) == [CONTACT]


def test_reading_is_on_record_first(archive: Archive) -> None:
    """Who reads, which value, what for; also where opening fails afterwards."""
    dossier = archive.deposit()
    keys = _Cut(archive.keys_as(AUDIT), "get")
    recorder = Recorder(archive.log_as(AUDIT), keys, archive.clock, SERVICE_KEY)  # type: ignore[arg-type]
    with pytest.raises(MotCuaError):
        read(recorder, dossier, purpose="contact", reader="cb007")
    assert archive.types(f"access-{dossier}") == ["access.personal_read"]
    assert archive.values(dossier) == [CONTACT]
    events = archive.log_as(AUDIT).read_stream(f"access-{dossier}")
    assert [event.data["reader"] for event in events] == ["cb007", "cb007"]
    assert "Nguyễn" not in str([event.data for event in events])
    assert read(archive.recorder(AUDIT), dossier, purpose="tax", reader="cb007") == []


def _order(dossier: str) -> Erase:
    return Erase(dossier=dossier, basis="request", reference="CV-1", official="cb007")
