# SPDX-License-Identifier: Apache-2.0
"""A log in which every read model has something to fold: dossiers from deposit to collection."""

import hashlib
import uuid
from contextlib import ExitStack, closing
from random import Random

from services.common import contracts
from services.common.canonical import Json, canonical_json
from services.common.eventlog.record import AppendRequest, NewEvent, StreamAppend
from tests.support.database import Database
from tests.support.events import META

MACHINES = ("VT01", "VT02", "CT01")
_WRITER = {
    "dossier": "motcua_intake", "office": "motcua_intake", "notification": "motcua_notify",
    "kiosk": "motcua_kiosk_sync", "config": "motcua_kiosk_sync",
}  # fmt: skip


def event_of(kind: str, subject: str | None, at: int, **data: Json) -> NewEvent:
    """Return an event like the newest contract's example, with ``data`` in it."""
    contract = contracts.newest(kind)
    return NewEvent(
        type=kind, schema=contract.schema, meta=META, subject=subject,
        data=canonical_json({**contract.example(), **data}),
        occurred_at_us=1_700_000_000_000_000 + at,
    )  # fmt: skip


class Stories:
    """Appends people's stories; ``seed`` makes the same ones again."""

    def __init__(self, database: Database, seed: int = 1) -> None:
        self._dice = Random(seed)
        self._opened = ExitStack()
        self._logs = {
            role: self._opened.enter_context(closing(database.log(role)))
            for role in set(_WRITER.values())
        }
        self._versions = dict[str, int]()
        self._told = 0
        for machine in MACHINES:
            office = machine[:2]
            self._add(f"config-{machine}", "config.machine_enrolled", None, serial=machine,
                      epoch=1, office=office)  # fmt: skip

    def close(self) -> None:
        """Give the connections back."""
        self._opened.close()

    def tell(self, dossiers: int) -> list[str]:
        """Append the stories of so many dossiers, one a bin's visit of ten; returns their ids."""
        told = []
        for first in range(0, dossiers, 10):
            machine = self._dice.choice(MACHINES)
            pack = [str(uuid.UUID(int=self._dice.getrandbits(128), version=4)) for _ in range(10)]
            pack = pack[: dossiers - first]
            for dossier in pack:
                self._deposited(dossier, machine)
            pouches = sorted(f"P{dossier[:12]}" for dossier in pack[1:])
            self._add(f"kiosk-{machine}-1", "kiosk.bin_emptied", None, bin=1, pouches=pouches)
            for dossier in pack:
                self._resolved(dossier, machine)
            told += pack
        return told

    def _deposited(self, dossier: str, machine: str) -> None:
        self._add(f"kiosk-{machine}-1", "kiosk.dossier_deposited", dossier, dossier=dossier,
                  pouch=f"P{dossier[:12]}", bin=1)  # fmt: skip
        self._add(f"dossier-{dossier}", "dossier.registered", dossier, machine=machine,
                  office=machine[:2])  # fmt: skip

    def _resolved(self, dossier: str, machine: str) -> None:
        stream, journal, cell = f"dossier-{dossier}", f"kiosk-{machine}-1", self._told % 60 + 1
        self._add(stream, "dossier.opened", dossier)
        self._add(stream, "dossier.accepted", dossier, code=f"H30.12-261123-{self._told:04d}")
        for word in ("notification.requested", "notification.attempted", "notification.accepted"):
            self._add(f"notification-{self._uuid(dossier)}", word, dossier)
        if self._told % 7 == 0:
            self._add(stream, "dossier.report_disputed", dossier)
            self._case(dossier)
        if self._told % 3:
            self._add(stream, "dossier.completed", dossier)
            self._add(journal, "kiosk.result_loaded", dossier, dossier=dossier, cell=cell)
            self._add(stream, "dossier.ready", dossier, machine=machine, cell=cell)
            self._add(journal, "kiosk.result_released", dossier, dossier=dossier, cell=cell)
            self._add(stream, "dossier.returned", dossier)
        self._told += 1

    def _case(self, dossier: str) -> None:
        case = self._uuid(f"case {dossier}")
        self._add("office-VT", "office.custody_case_opened", dossier, case=case, dossier=dossier,
                  item=f"papers/{dossier}")  # fmt: skip
        if self._told % 2:
            self._add("office-VT", "office.custody_case_closed", dossier, case=case)

    def _uuid(self, name: str) -> str:
        return str(uuid.uuid5(uuid.NAMESPACE_OID, name))

    def _add(self, stream: str, kind: str, subject: str | None, **data: Json) -> None:
        version = self._versions.get(stream, 0)
        key = f"{stream}/{version}"
        event = event_of(kind, subject, self._told, **data)
        self._versions[stream] = version + 1
        self._logs[_WRITER[stream.partition("-")[0]]].append(
            AppendRequest(
                source="stories", key=key, digest=hashlib.sha256(key.encode()).digest(),
                cause_ms=1_700_000_000_000,
                appends=(StreamAppend(stream=stream, expected_version=version, events=(event,)),),
            )
        )  # fmt: skip
