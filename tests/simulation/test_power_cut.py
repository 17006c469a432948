# SPDX-License-Identifier: Apache-2.0

"""Power cuts at every write of the file: what was acknowledged to a citizen is still there.

A recording VFS notes every write, truncation and sync. A crash state is a prefix of that log where
synced writes are on disk and of the others each 512-byte sector with probability one half. Every
state is opened with the ordinary VFS and must prove itself and hold all acknowledged records.
"""

import os
import random
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import apsw
import pytest

from services.common.clock import SystemClock
from services.kiosk_sync.edge.store.store import Identity, Store
from tests.support.machines import CENTRE_BOX, EPOCH, SERIAL

SECTOR = 512
DOSSIER = "00000000-0000-7000-8000-000000000001"
SESSION = "00000000-0000-4000-8000-000000000001"


@dataclass
class Tape:
    """What the program did to its files, and how much was acknowledged when."""

    acts: list[tuple[str, str, int, bytes]] = field(default_factory=list)
    acknowledged: list[tuple[int, int]] = field(default_factory=list)

    def known(self, length: int) -> int:
        """Return the last record acknowledged before act ``length``."""
        return max((seq for acts, seq in self.acknowledged if acts <= length), default=0)


@contextmanager
def recording(tape: Tape) -> Iterator[str]:
    """Register a VFS that writes through and records on ``tape``."""

    class File(apsw.VFSFile):
        def __init__(self, name: object, flags: list[int]) -> None:
            path = name.filename() if hasattr(name, "filename") else str(name)
            self.name = Path(path).name
            super().__init__("", name, flags)

        def xWrite(self, data: bytes, offset: int) -> None:
            tape.acts.append(("write", self.name, offset, bytes(data)))
            super().xWrite(data, offset)

        def xTruncate(self, size: int) -> None:
            tape.acts.append(("truncate", self.name, size, b""))
            super().xTruncate(size)

        def xSync(self, flags: int) -> None:
            tape.acts.append(("sync", self.name, 0, b""))
            super().xSync(flags)

    class Recorder(apsw.VFS):
        def __init__(self) -> None:
            super().__init__("recording", "")

        def xOpen(self, name: object, flags: list[int]) -> File:
            return File(name, flags)

        def xDelete(self, name: str, sync: bool) -> None:
            tape.acts.append(("delete", Path(name).name, 0, b""))
            super().xDelete(name, sync)

    vfs = Recorder()
    try:
        yield "recording"
    finally:
        vfs.unregister()


def record_work(folder: Path, notes: int, **settings: str) -> Tape:
    """Run a machine's store under the recorder: notes, orders' numbers, a checkpoint, an ack."""
    tape = Tape()
    identity = Identity(SERIAL, EPOCH, CENTRE_BOX.public_key())
    with recording(tape) as vfs:
        store = Store(folder / "machine.db", identity, clock=SystemClock(), vfs=vfs, **settings)
        for note in range(1, notes + 1):
            with store.transaction() as tx:
                record = tx.append(
                    "kiosk.cash_note_credited",
                    {"dossier": DOSSIER, "denomination_vnd": 10_000, "stacked_count": note},
                    session=SESSION, subject=DOSSIER,
                )  # fmt: skip
            tape.acknowledged.append((len(tape.acts), record.seq))
            if note % 9 == 0:
                assert store.confirm(record.seq, str(store.hash_at(record.seq)))
                store.rows("PRAGMA wal_checkpoint(PASSIVE)")
        store.close()
    return tape


def disk_after(tape: Tape, length: int, chance: random.Random) -> dict[str, bytes]:
    """Return the files after a cut behind act ``length``."""
    files: dict[str, bytearray] = {}
    unsynced: dict[str, list[tuple[str, int, bytes]]] = {}
    for kind, name, number, data in tape.acts[:length]:
        if kind == "delete":
            files.pop(name, None)
            unsynced.pop(name, None)
        elif kind == "sync":
            for waiting in unsynced.pop(name, []):
                _apply(files.setdefault(name, bytearray()), *waiting)
        else:
            files.setdefault(name, bytearray())
            unsynced.setdefault(name, []).append((kind, number, data))
    for name, waiting in unsynced.items():
        for kind, number, data in waiting:
            if kind == "truncate":
                if chance.random() < 0.5:
                    _apply(files[name], kind, number, data)
                continue
            place = 0
            while place < len(data):
                end = min(len(data), place + SECTOR - (number + place) % SECTOR)
                if chance.random() < 0.5:
                    _apply(files[name], kind, number + place, data[place:end])
                place = end
    return {name: bytes(content) for name, content in files.items() if "-shm" not in name}


def _apply(content: bytearray, kind: str, number: int, data: bytes) -> None:
    if kind == "truncate":
        del content[number:]
        return
    if len(content) < number + len(data):
        content.extend(bytes(number + len(data) - len(content)))
    content[number : number + len(data)] = data


def lost_by_cuts(tape: Tape, folder: Path, *, states: int) -> int:
    """Return how many acknowledged records the worst of ``states`` crash states misses."""
    chance = random.Random(20_261_123)
    identity = Identity(SERIAL, EPOCH, CENTRE_BOX.public_key())
    worst = 0
    for number in range(states):
        length = number * len(tape.acts) // states + 1 if states < len(tape.acts) else (
            number % len(tape.acts) + 1
        )  # fmt: skip
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        for name, content in disk_after(tape, length, chance).items():
            (folder / name).write_bytes(content)
        store = Store(folder / "machine.db", identity, clock=SystemClock())
        store.check()
        worst = max(worst, tape.known(length) - store.head()[0])
        counted = store.rows("SELECT count(*), coalesce(max(stacked_count), 0) FROM cash_note")[0]
        assert counted == (store.head()[0],) * 2
        store.close()
    return worst


@pytest.fixture
def fast_folder(tmp_path: Path) -> Path:
    """A folder in memory where there is one: the states are written by the thousand."""
    memory = Path("/dev/shm")
    return (memory if memory.is_dir() else tmp_path) / f"motcua-cut-{os.getpid()}"


@pytest.mark.parametrize(("notes", "states"), [
    (40, 400),
    pytest.param(200, 6000, marks=pytest.mark.long),
])  # fmt: skip
def test_no_acknowledged_record_is_lost(
    tmp_path: Path, fast_folder: Path, notes: int, states: int
) -> None:
    """Whatever the cut leaves, every acknowledged record is there and the file proves itself."""
    tape = record_work(tmp_path, notes)
    try:
        assert lost_by_cuts(tape, fast_folder, states=states) == 0
    finally:
        shutil.rmtree(fast_folder, ignore_errors=True)


def test_the_cuts_find_a_store_that_does_not_wait_for_the_disk(
    tmp_path: Path, fast_folder: Path
) -> None:
    """With ``synchronous=NORMAL`` the same cuts lose acknowledged records: the test can fail."""
    tape = record_work(tmp_path, 40, synchronous="NORMAL")
    try:
        assert lost_by_cuts(tape, fast_folder, states=200) > 0
    finally:
        shutil.rmtree(fast_folder, ignore_errors=True)
