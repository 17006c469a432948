# SPDX-License-Identifier: Apache-2.0
"""What opens a citizen's data is gone from the machine's disk once the centre has it."""

import uuid
from pathlib import Path

import pytest

from services.common import contracts
from services.kiosk_sync.edge.store.store import Store
from tests.support.machines import open_store
from tests.support.offices import CONTACT

DEPOSITED = "kiosk.dossier_deposited"


def deposit(store: Store, pouch: str) -> bytes:
    """Journal a deposit; returns the box that its data key lies in, as it stands in the file."""
    dossier = str(uuid.uuid4())
    data = {**contracts.newest(DEPOSITED).example(), "dossier": dossier, "pouch": pouch}
    data.pop("contact")
    with store.transaction() as tx:
        tx.append(
            DEPOSITED, data, session=str(uuid.uuid4()), subject=dossier,
            personal={"contact": CONTACT},
        )  # fmt: skip
    rows = store.rows("SELECT box FROM boxed_key ORDER BY seq DESC LIMIT 1")
    return str(rows[0][0]).encode()


def held(folder: Path, box: bytes) -> list[str]:
    """Return the files that hold the box, whole or half."""
    half = len(box) // 2
    parts = (box, box[:half], box[half:])
    return [one.name for one in folder.iterdir() if any(p in one.read_bytes() for p in parts)]


def confirm(store: Store) -> None:
    """The centre has everything."""
    seq, head = store.head()
    assert store.confirm(seq, head)


@pytest.mark.parametrize("checkpointed", [True, False])
def test_no_byte_of_a_key_stays(tmp_path: Path, *, checkpointed: bool) -> None:
    """Neither in a free page of the file nor in its log of writes; what is not confirmed stays."""
    store = open_store(tmp_path)
    boxes = [deposit(store, f"P{number:07d}") for number in range(3)]
    if checkpointed:
        store.rows("PRAGMA wal_checkpoint(PASSIVE)")
    assert all(held(tmp_path, box) for box in boxes)
    confirm(store)
    assert [held(tmp_path, box) for box in boxes] == [[], [], []]
    later = deposit(store, "P0000009")
    assert held(tmp_path, later)
    store.check()
    store.close()


def test_a_machine_that_was_killed_in_between(tmp_path: Path) -> None:
    """Forgotten, not overwritten: the first confirmation after the start makes up for it."""
    store = open_store(tmp_path)
    box = deposit(store, "P0000001")
    store.rows("DELETE FROM boxed_key")
    files = {one.name: one.read_bytes() for one in tmp_path.iterdir() if "-shm" not in one.name}
    store.close()
    other = tmp_path / "other"
    other.mkdir()
    for name, content in files.items():
        (other / name).write_bytes(content)
    assert held(other, box)
    store = open_store(other)
    confirm(store)
    assert held(other, box) == []
    store.close()
