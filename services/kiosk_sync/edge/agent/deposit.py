# SPDX-License-Identifier: Apache-2.0
"""Taking a pouch in. "ĐÃ NHẬN" is on the screen only after the deposit is on disk.

Order of acts: intent on disk → the slot opens → barcode read inside → deposit on disk → bin →
slip. Cut off before the deposit, the pouch in the tray belongs to nobody the machine knows: it is
stowed and reported, never guessed.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, cast
from uuid import UUID, uuid4

from services.common import contracts, lookup
from services.common.canonical import Json, canonical_json, parse_json
from services.common.clock import to_millis
from services.common.errors import Refused
from services.common.fees import fee_of
from services.common.ids import new_id
from services.common.phone import international
from services.kiosk_sync.edge.agent.machine import (
    BIN,
    BIN_DEVICE,
    Intent,
    Machine,
    finish,
    intend,
    intent_of,
)
from services.kiosk_sync.edge.devices.ports import DeviceError

_DEVICE: Final = "intake"
_DEPOSITED: Final = "kiosk.dossier_deposited"
_LOOKUP_KEY: Final = "lookup_key"
_BARCODE: Final = re.compile(r"[!-~]{1,32}")
_REASON_MAX: Final = 100
_ANY_STUB: Final[dict[str, Json]] = {
    "key": str(UUID(int=0)), "digest": "0" * 64, "commitment": "0" * 32,
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Application:
    """What a citizen hands in.

    Attributes:
        procedure: national code, from the machine's catalogue.
        copies: how many copies the citizen wants.
        papers: names of the papers in the pouch.
        name: whose dossier it is.
        phone: where the answer goes.
        pouch: barcode on the pouch; the same pouch twice is the same deposit.
        pages: pages to be copied or certified, where the fee counts them.
        exemption: reason in the procedure's list for which the citizen claims to pay nothing.
    """

    procedure: str
    copies: int
    papers: Sequence[str]
    name: str
    phone: str
    pouch: str
    pages: int = 1
    exemption: str | None = None


@dataclass(frozen=True, slots=True)
class Deposited:
    """What the slip says: whose deposit it is, and how to ask for it."""

    dossier: str
    session: str
    code: str
    secret: str


def deposit(machine: Machine, application: Application) -> Deposited:
    """Take a pouch in; when this returns, the deposit is on disk.

    Raises:
        Refused: ``procedure_not_here``, ``no_pouch``, ``contact_invalid``, ``intake_blocked``,
            ``bin_open``.
        Malformed: copies or papers do not satisfy the contract; nothing was opened.
        NotCanonicalError: half a surrogate in name or papers; nothing was opened.
    """
    with machine.busy:
        held = by_pouch(machine, application.pouch)
        if held is not None:
            return held
        procedure = _procedure(machine, application.procedure)
        _check(application)
        if intent_of(machine.store, BIN_DEVICE) is not None:
            raise Refused("bin_open", "the bin is being emptied", "đang lấy hồ sơ khỏi thùng chứa")
        settle_intake(machine)
        session, dossier = str(uuid4()), str(new_id(to_millis(machine.clock.now())))
        secret = _secret(machine, dossier)
        data = _data(application, procedure, dossier, lookup.digest(secret, UUID(dossier)))
        with machine.store.transaction() as tx:
            intend(tx, Intent(device=_DEVICE, verb="take", session=session, dossier=dossier,
                              detail=application.pouch))  # fmt: skip
        pouch = _take(machine)
        if pouch != application.pouch:
            settle_intake(machine)
            raise Refused("no_pouch", "the pouch is not there", "không thấy túi hồ sơ")
        code = _journal(machine, application, data, session)
        machine.intake.stow(pouch)
        done = Deposited(dossier, session, code, secret)
        _slip(machine, done)
        return done


def by_pouch(machine: Machine, pouch: str) -> Deposited | None:
    """Return the deposit of a pouch that was taken in already."""
    found = machine.store.rows("SELECT dossier, session, seq FROM deposit WHERE pouch = ?", pouch)
    if not found:
        return None
    dossier, session, seq = found[0]
    code, secret = _code(machine, cast("int", seq)), _secret(machine, str(dossier))
    return Deposited(str(dossier), str(session), code, secret)


def settle_intake(machine: Machine) -> None:
    """Finish what a cut left in the tray: stow what is journalled, report what is not."""
    pouch = machine.intake.in_tray()
    intent = intent_of(machine.store, _DEVICE)
    known = pouch is not None and (
        by_pouch(machine, pouch) is not None
        or machine.store.rows("SELECT 1 FROM odd_pouch WHERE pouch = ?", pouch)
    )
    with machine.store.transaction() as tx:
        if pouch is not None and not known:
            session = intent.session if intent else machine.boot_session
            record = tx.append(
                "kiosk.custody_unknown",
                {
                    "dossier": None,
                    "place": "intake",
                    "reason": f"no deposit of pouch {pouch}"[:_REASON_MAX],
                    "pouch": readable(pouch),
                },
                session=session,
            )
            tx.rows("INSERT INTO odd_pouch VALUES (?, ?)", pouch, record.seq)
        finish(tx, _DEVICE)
    if pouch is not None:
        machine.intake.stow(pouch)


def readable(pouch: str) -> str | None:
    """Return a barcode that the contract takes; a stranger's may be anything."""
    return pouch if _BARCODE.fullmatch(pouch) else None


def _fee_vnd(procedure: Mapping[str, Json], application: Application) -> int:
    """Return the fee the machine shows; the centre computes the one that counts."""
    return fee_of(
        procedure,
        copies=application.copies,
        pages=application.pages,
        exemption=application.exemption,
    ).total


def _journal(
    machine: Machine, application: Application, data: Mapping[str, Json], session: str
) -> str:
    dossier = str(data["dossier"])
    with machine.store.transaction() as tx:
        record = tx.append(
            _DEPOSITED,
            data,
            session=session,
            subject=dossier,
            personal={"contact": {"name": application.name, "phone": application.phone}},
        )
        finish(tx, _DEVICE)
    return _code(machine, record.seq)


def _data(
    application: Application, procedure: Mapping[str, Json], dossier: str, lookup_digest: str
) -> dict[str, Json]:
    data: dict[str, Json] = {
        "dossier": dossier,
        "procedure": application.procedure,
        "procedure_version": procedure["version"],
        "pouch": application.pouch,
        "bin": BIN,
        "copies": application.copies,
        "papers": list(application.papers),
        "fee_vnd": _fee_vnd(procedure, application),
        "pages": application.pages,
        "exemption": application.exemption,
        "lookup": lookup_digest,
    }
    # Before the slot opens: what the contract refuses must not lie in the tray.
    contracts.newest(_DEPOSITED).check({**data, "contact": _ANY_STUB})
    canonical_json([data, application.name])
    return data


def _take(machine: Machine) -> str | None:
    try:
        return machine.intake.take()
    except DeviceError as error:
        settle_intake(machine)
        raise Refused("intake_blocked", str(error), "khe nhận hồ sơ đang kẹt") from error


def _slip(machine: Machine, done: Deposited) -> None:
    try:
        machine.printer.print_slip(["ĐÃ NHẬN", done.code, done.secret, done.dossier])
    except DeviceError:
        return  # the code is on the screen; a missing slip never undoes a deposit
    with machine.store.transaction() as tx:
        tx.append(
            "kiosk.receipt_printed", {"dossier": done.dossier, "kind": "deposit"},
            session=done.session, subject=done.dossier,
        )  # fmt: skip


def _code(machine: Machine, seq: int) -> str:
    return f"{machine.store.identity.serial}-{machine.store.identity.epoch}-{seq:06d}"


def _secret(machine: Machine, dossier: str) -> str:
    key = machine.store.meta(_LOOKUP_KEY)
    if key is None:
        key = lookup.new_key().hex()
        machine.store.note(_LOOKUP_KEY, key)
    return lookup.secret_of(bytes.fromhex(key), UUID(dossier))


def _procedure(machine: Machine, code: str) -> Mapping[str, Json]:
    found = machine.store.rows("SELECT body FROM catalogue WHERE code = ?", code)
    procedure = cast("Mapping[str, Json]", parse_json(cast("bytes", found[0][0]))) if found else {}
    if not procedure.get("accept"):
        raise Refused(
            "procedure_not_here",
            "this machine does not take this procedure",
            "máy này không nhận thủ tục này",
            field="procedure",
        )
    return procedure


def _check(application: Application) -> None:
    if not application.name.strip():
        raise Refused("contact_invalid", "the name is missing", "thiếu họ tên", field="name")
    if international(application.phone) is None:
        # The message with the code goes there: a wrong number would be found out at the end.
        raise Refused(
            "contact_invalid", "this is no Vietnamese mobile number",
            "số điện thoại di động không đúng", field="phone",
        )  # fmt: skip
