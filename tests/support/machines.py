# SPDX-License-Identifier: Apache-2.0
"""A whole machine on simulated devices in a folder, for tests; made again it is the same one."""

from collections.abc import Callable
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from services.common.canonical import canonical_json
from services.common.clock import SystemClock, to_micros
from services.kiosk_sync import protocol
from services.kiosk_sync.application.orders import code_hash
from services.kiosk_sync.edge.agent.lease import LEASE
from services.kiosk_sync.edge.agent.machine import Machine
from services.kiosk_sync.edge.control import Hands
from services.kiosk_sync.edge.devices.simulators import (
    Mechanics,
    SimulatedIntake,
    SimulatedLocks,
    SimulatedPrinter,
    SimulatedValidator,
)
from services.kiosk_sync.edge.store.store import Identity, Store

SERIAL, EPOCH = "VT01", 3
CENTRE_SIGN = Ed25519PrivateKey.from_private_bytes(b"c" * 32)
CENTRE_BOX = X25519PrivateKey.from_private_bytes(b"x" * 32)
MACHINE_SIGN = Ed25519PrivateKey.from_private_bytes(b"m" * 32)
PROCEDURE = {
    "code": "2.000815", "version": 1, "name_vi": "Chứng thực bản sao", "accept": True,
    "return": True, "exemptions": [{"code": "poor", "text_vi": "Hộ nghèo", "kinds": ["le_phi"]}],
    "fees": [{
        "kind": "le_phi", "name_vi": "Lệ phí", "rule": "per_copy", "amount_vnd": 2000,
        "then_from_page": None, "then_vnd": None, "cap_vnd": None,
    }],
}  # fmt: skip


def no_fault(step: str) -> None:
    """Nothing goes wrong."""


def lease(seconds: float, *, after_s: float = 0, serial: str = SERIAL) -> dict:
    """Return the centre's word that the machine may take money for ``seconds``."""
    now_us = to_micros(SystemClock().now())
    terms = protocol.Lease(
        from_us=now_us + int(after_s * 1e6), until_us=now_us + int((after_s + seconds) * 1e6)
    )
    return protocol.sign_lease(CENTRE_SIGN, serial, terms)


def open_store(folder: Path, store_type: type[Store] = Store) -> Store:
    """Open the machine's file."""
    identity = Identity(SERIAL, EPOCH, CENTRE_BOX.public_key())
    return store_type(folder / "machine.db", identity, clock=SystemClock())


def machine_in(
    folder: Path, *, fault: Callable[[str], None] = no_fault, store_type: type[Store] = Store,
    lease_s: float | None = 86_400,
) -> Hands:  # fmt: skip
    """Return the machine of ``folder`` with one procedure in its catalogue and a money lease."""
    store = open_store(folder, store_type)
    with store.transaction() as tx:
        tx.rows(
            "INSERT OR REPLACE INTO catalogue VALUES (?, ?)",
            str(PROCEDURE["code"]), canonical_json(PROCEDURE),
        )  # fmt: skip
        if lease_s is not None:
            tx.rows(
                "INSERT OR REPLACE INTO meta VALUES (?, ?)",
                LEASE, canonical_json(lease(lease_s)).decode(),
            )  # fmt: skip
    mechanics = Mechanics(folder / "mechanics.json", fault)
    intake, locks = SimulatedIntake(mechanics), SimulatedLocks(mechanics)
    validator = SimulatedValidator(mechanics)
    machine = Machine(
        store=store, intake=intake, cash=validator, printer=SimulatedPrinter(mechanics),
        locks=locks, clock=store.clock,
        staff=frozenset({"CB01", "CB02"}),
        centre_sign_key=CENTRE_SIGN.public_key().public_bytes_raw(),
    )  # fmt: skip
    return Hands(machine, mechanics, intake, validator, locks)


def application(pouch: str = "P0000001") -> dict[str, object]:
    """Return what a citizen hands in."""
    return {
        "procedure": PROCEDURE["code"], "copies": 2, "papers": ["Bản chính"],
        "name": "Nguyễn Thị An", "phone": "0912345678", "pouch": pouch,
    }  # fmt: skip


def order(cseq: int, order_type: str, data: dict, **more: object) -> dict:
    """Return an order signed by the centre for the machine."""
    document = {"cseq": cseq, "type": order_type, "data": data, **more}
    return protocol.sign_order(CENTRE_SIGN, SERIAL, document)


def release_order(
    cseq: int, dossier: str, *, cell: int = 7, code: str = "123456",
    not_after: str = "2099-01-01T00:00:00+00:00", grant: str = "",
) -> dict:  # fmt: skip
    """Return the right to release a result."""
    data = {
        "grant": grant or f"00000000-0000-4000-8000-{cseq:012d}", "dossier": dossier,
        "cell": cell, "not_after": not_after,
    }  # fmt: skip
    return order(cseq, "grant.release_issued", data, code_hash=code_hash(code, b"s" * 16))
