# SPDX-License-Identifier: Apache-2.0
"""Offices and machines of a generated log, and what their staff do every day."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any, Final

from infra.generating.world import Process, Told, World, calendar, packed
from services.common.canonical import Json
from services.common.clock import VIETNAM
from services.common.eventlog.recording import Cause
from services.intake.domain.deadline import Term, due_at
from services.intake.seed.load import SOURCE, offices, procedures, streams
from services.kiosk_sync import protocol

EPOCH: Final = 1
CELLS: Final = 200
FIRST_IMPORTED: Final = 1_000_000
EMPTIED_AT: Final = (9, 15)
"""Hours of the day at which a bin is emptied."""
_HOUR_S: Final = 3600.0
_CLOCK_ERROR_S: Final = (0.5, 4.0)
_MISSING_PER_MILLE: Final = 2
Record = tuple[str, Mapping[str, Any], str | None]
"""Type, data and dossier of something that a machine writes down."""


@dataclass(slots=True)
class Machine:
    """A machine: its journal, its bin and its cells.

    Attributes:
        bin: barcode → dossier of the pouches that lie in it.
        emptied: how often the bin was emptied.
    """

    serial: str
    office: str
    head: str
    boot: str
    seq: int = 0
    pouches: int = 0
    stacked: int = 0
    bin: dict[str, str] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    cells: list[int] = field(default_factory=lambda: list(range(1, CELLS + 1)))
    emptied: int = 0


@dataclass(slots=True)
class Town:
    """Everything that dossiers share."""

    world: World
    machines: Sequence[Machine]
    names: Mapping[str, Mapping[str, Any]]
    accepted: Mapping[str, Sequence[Mapping[str, Any]]]
    returned: Mapping[str, Sequence[Mapping[str, Any]]]
    imported: int = 0

    @classmethod
    def founded(cls, world: World, machines: int) -> "Town":
        """Open offices, publish procedures and enrol ``machines``, shared out to the offices."""
        for stream, facts in streams():
            cause = Cause(correlation_id=world.uuid(), actor="system:seed")
            told = [Told(fact.type, fact.data) for fact in facts]
            world.say([(stream, told)], source=SOURCE, key=f"{stream}/1", cause=cause)
        rows = offices()
        by_code = {str(one["code"]): one for one in procedures()}
        made = [_enrolled(world, rows[number % len(rows)], number) for number in range(machines)]
        return cls(
            world, made, {str(one["office"]): one for one in rows},
            {str(o["office"]): [by_code[code] for code in o["accept"]] for o in rows},
            {str(o["office"]): [by_code[code] for code in o["give_back"]] for o in rows},
        )  # fmt: skip

    def journal(
        self, machine: Machine, records: Sequence[Record], session: str,
        personal: Mapping[str, Any] | None = None,
    ) -> list[str]:  # fmt: skip
        """Upload ``records`` as one run; ``personal`` belongs to the first. Returns event ids."""
        world = self.world
        occurred = world.now_us - int(world.between(*_CLOCK_ERROR_S) * 1_000_000)
        clock: dict[str, Json] = {
            "boot": machine.boot, "boot_ms": occurred // 1000 % 10**9, "quality": "unknown",
            "error_ms": 0,
        }  # fmt: skip
        first, told, ids, metas = machine.seq + 1, list[Told](), [], []
        for kind, data, subject in records:
            machine.seq += 1
            ids.append(protocol.event_id(machine.serial, EPOCH, machine.seq, occurred))
            metas.append(_meta(machine, session, clock))
            schema = world.schema(kind)
            record = protocol.Record(
                seq=machine.seq, type=kind, schema=schema, occurred_at_us=occurred, clock=clock,
                session=session, subject=subject, data=data, prev=machine.head,
            )  # fmt: skip
            machine.head = protocol.record_hash(packed(record.as_json(machine.serial, EPOCH)))
            told.append(Told(kind, data, subject, {} if told else personal or {}))
        return world.say(
            [(protocol.stream(machine.serial, EPOCH), told)],
            source=protocol.source(machine.serial, EPOCH),
            key=f"{first}-{machine.seq}-{machine.head}",
            cause=Cause(correlation_id=session, actor=f"machine:{machine.serial}"),
            occurred_us=occurred, identifiers=ids, metas=metas,
        )  # fmt: skip

    def emptying(self, machine: Machine) -> Process:
        """Empty the machine's bin twice each working day, by two officials."""
        world = self.world
        while True:
            yield _until_next(world.now())
            if calendar().is_working(world.today()):
                event = self._empty(machine)
                if machine.missing:
                    world.start(self._case(machine, event))

    def _empty(self, machine: Machine) -> str:
        world, lost = self.world, dict[str, str]()
        for pouch in list(machine.bin):
            if world.chance(_MISSING_PER_MILLE):
                lost[pouch] = machine.bin.pop(pouch)
        data = {
            "bin": 1, "staff": self.clerk(), "second_staff": "cb000", "pouches": list(machine.bin),
            "seal": f"NP-{world.dice.randrange(10**6):06d}",
        }  # fmt: skip
        machine.bin, machine.missing = {}, {**machine.missing, **lost}
        machine.emptied += 1
        return self.journal(machine, [("kiosk.bin_emptied", data, None)], world.uuid())[0]

    def _case(self, machine: Machine, event: str) -> Process:
        """Open a case for each pouch that is missing; it is found the next day, in the office."""
        world, office = self.world, machine.office
        yield world.between(0.1, 0.6)
        stream, missing = f"office-{office}.case.{event}", machine.missing
        machine.missing = {}
        due = due_day(world, 1)
        cause = Cause(correlation_id=world.uuid(), actor="service:intake", causation_id=event)
        opened = [
            Told("office.custody_case_opened", {
                "case": f"{event}.{number}", "office": office, "item": f"papers/{dossier}",
                "kind": "pouch", "because": "missing_in_bag", "machine": machine.serial,
                "place": f"bin:{machine.serial}/1", "pouch": pouch, "dossier": dossier,
                "owner": office, "due_at": due,
            }, dossier)
            for number, (pouch, dossier) in enumerate(sorted(missing.items()), start=1)
        ]  # fmt: skip
        world.say([(stream, opened)], source="intake.reactions", key=event, cause=cause)
        yield world.to_opening()
        official = self.clerk()
        for fact in opened:
            closed = {
                "case": fact.data["case"], "official": official, "found": "office",
                "found_at": "Sau thùng chứa số 1",
            }  # fmt: skip
            world.say(
                [(stream, [Told("office.custody_case_closed", closed, fact.subject)])],
                source=f"http:{official}", key=world.uuid(),
                cause=Cause(correlation_id=world.uuid(), actor=f"official:{official}"),
            )  # fmt: skip
        world.close(stream)

    def next_imported(self) -> int:
        """Return a number for the code of a counter's dossier; machines' numbers lie below."""
        self.imported += 1
        return FIRST_IMPORTED + self.imported

    def clerk(self) -> str:
        """Return one of the officials."""
        return f"cb{self.world.dice.randrange(1, 40):03d}"


def due_day(world: World, working_days: int) -> str:
    """Return the due time of what begins now."""
    local = world.now().astimezone(VIETNAM)
    return _due(local.replace(minute=0, second=0, microsecond=0), working_days)


@lru_cache(maxsize=10_000)
def _due(hour: datetime, working_days: int) -> str:
    return due_at(hour, Term(working_days), calendar()).isoformat()


def _until_next(now: datetime) -> float:
    local = now.astimezone(VIETNAM)
    passed = local.hour + local.minute / 60 + local.second / 3600 + local.microsecond / 3.6e9
    hours = [hour - passed for hour in (*EMPTIED_AT, EMPTIED_AT[0] + 24)]
    return next(one for one in hours if one > 0) * _HOUR_S


def _enrolled(world: World, office: Mapping[str, Any], number: int) -> Machine:
    name = str(office["office"])
    serial = f"{name}{number // len(offices()) + 1:02d}"
    data = {
        "serial": serial, "epoch": EPOCH, "office": name, "tls_fingerprint": world.hex32(),
        "sign_key": world.hex32(), "approved_by": "qt001",
    }  # fmt: skip
    world.say(
        [(f"config-{serial}", [Told("config.machine_enrolled", data)])], source="cli:enrol",
        key=f"{serial}/{EPOCH}", cause=Cause(correlation_id=world.uuid(), actor="official:qt001"),
    )  # fmt: skip
    return Machine(serial, name, protocol.genesis(serial, EPOCH), world.uuid())


def _meta(machine: Machine, session: str, clock: Json) -> bytes:
    return packed(
        {
            "actor": f"machine:{machine.serial}", "correlation_id": session,
            "journal": {"clock": clock, "prev": machine.head},
        }
    )  # fmt: skip
