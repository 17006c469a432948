# SPDX-License-Identifier: Apache-2.0
"""An office with its procedures and one machine in a log, and what others record about dossiers."""

import uuid
from collections.abc import Callable
from datetime import datetime, timedelta

from services.common.canonical import Json
from services.common.clock import VIETNAM
from services.common.eventlog.port import EventLog, KeyStore
from services.common.eventlog.record import RecordedEvent
from services.common.eventlog.recording import Cause, Change, Fact, Recorder
from services.common.lookup import NO_LOOKUP
from services.intake.seed.load import seed

MACHINE, OFFICE = "VT01", "VT"
SERVICE_KEY = bytes(range(32))
CONTACT: Json = {"name": "Nguyễn Thị An", "phone": "+84912345678"}
MONDAY = datetime(2026, 11, 16, 8, 0, tzinfo=VIETNAM)


class HandClock:
    """A clock whose hands the test moves."""

    def __init__(self, now: datetime = MONDAY) -> None:
        self.at = now

    def now(self) -> datetime:
        """Return where the hands stand."""
        return self.at

    def monotonic_s(self) -> float:
        """Return the hands as seconds."""
        return self.at.timestamp()

    def sleep(self, seconds: float) -> None:
        """Move the hands."""
        self.at += timedelta(seconds=seconds)


class Office:
    """Records what machines, payment and the seed put into the log, each as its own role."""

    def __init__(self, log_as: Callable[[str], EventLog], keys: KeyStore, clock: HandClock) -> None:
        self.log_as, self.keys, self.clock = log_as, keys, clock
        self.log = log_as("motcua_intake")
        seed(self.recorder("motcua_intake"))
        self._enrol(MACHINE, OFFICE)

    def recorder(self, role: str) -> Recorder:
        """Return a recorder that may write what ``role`` may."""
        return Recorder(self.log_as(role), self.keys, self.clock, SERVICE_KEY)

    def deposit(self, dossier: str | None = None, *, machine: str = MACHINE, **other: Json) -> str:
        """A citizen hands in a dossier; returns its id."""
        dossier = dossier or str(uuid.uuid4())
        data: dict[str, Json] = {
            "dossier": dossier, "procedure": "2.000635", "procedure_version": 1, "pouch": "P1",
            "bin": 1, "copies": 1, "papers": ["Tờ khai"], "fee_vnd": 8000,
            "pages": 1, "exemption": None, "lookup": NO_LOOKUP, **other,
        }  # fmt: skip
        fact = Fact(
            type="kiosk.dossier_deposited", data=data, personal={"contact": CONTACT},
            subject=dossier,
        )  # fmt: skip
        self._add("motcua_kiosk_sync", f"kiosk-{machine}-3", fact)
        return dossier

    def load(self, dossier: str, *, machine: str = MACHINE, cell: int = 7) -> None:
        """An official lays the result into a cell."""
        data: dict[str, Json] = {"dossier": dossier, "cell": cell, "staff": "cb001"}
        fact = Fact(type="kiosk.result_loaded", data=data, subject=dossier)
        self._add("motcua_kiosk_sync", f"kiosk-{machine}-3", fact)

    def release(self, dossier: str, *, machine: str = MACHINE, cell: int = 7) -> None:
        """The citizen takes the result."""
        data: dict[str, Json] = {"dossier": dossier, "cell": cell, "grant": str(uuid.uuid4())}
        fact = Fact(type="kiosk.result_released", data=data, subject=dossier)
        self._add("motcua_kiosk_sync", f"kiosk-{machine}-3", fact)

    def journal(self, event_type: str, *, machine: str = MACHINE, **data: Json) -> None:
        """The machine journals something else; its subject is the dossier in ``data``."""
        dossier = data.get("dossier")
        subject = None if dossier is None else str(dossier)
        fact = Fact(type=event_type, data=data, subject=subject)
        self._add("motcua_kiosk_sync", f"kiosk-{machine}-3", fact)

    def settle(self, dossier: str) -> None:
        """Payment holds the fee to be covered."""
        data: dict[str, Json] = {
            "amount_vnd": 8000, "method": "cash", "overpaid_vnd": 0, "paid_vnd": 8000,
        }  # fmt: skip
        fact = Fact(type="payment.settled", data=data, subject=dossier)
        self._add("motcua_payment", f"payment-{dossier}", fact)

    def newest(self, event_type: str) -> RecordedEvent:
        """Return the newest event of a type."""
        return self.log.read_all(0, types=[event_type])[-1]

    def story(self, dossier: str) -> list[str]:
        """Return the types on the dossier's own stream."""
        return [event.type for event in self.log.read_stream(f"dossier-{dossier}")]

    def _enrol(self, serial: str, office: str) -> None:
        data: dict[str, Json] = {
            "serial": serial, "epoch": 3, "office": office, "approved_by": "cb001",
            "sign_key": "2d" * 32, "tls_fingerprint": "1e" * 32,
        }  # fmt: skip
        self._add(
            "motcua_kiosk_sync", f"config-{serial}",
            Fact(type="config.machine_enrolled", data=data),
        )  # fmt: skip

    def _add(self, role: str, stream: str, fact: Fact) -> None:
        change = Change(
            stream=stream, expected_version=self.log.stream_version(stream), facts=(fact,)
        )
        self.recorder(role).record(
            [change], source="test", key=str(uuid.uuid4()), asked=[],
            cause=Cause(correlation_id=str(uuid.uuid4()), actor="test"),
        )  # fmt: skip
