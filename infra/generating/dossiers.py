# SPDX-License-Identifier: Apache-2.0
"""The life of one dossier in a generated log, from the machine or the counter to its end."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

from infra.generating.messages import Message, asked_for
from infra.generating.purse import Purse
from infra.generating.town import Machine, Town, due_day
from infra.generating.world import Changes, Process, Told
from services.common.eventlog.recording import Cause
from services.common.fees import Fee, fee_of
from services.common.money import Vnd
from services.intake.application.push import TOLD
from services.intake.domain import acts
from services.intake.domain.dossier import Dossier, decide, evolve
from services.intake.domain.dossier_code import make_code
from services.intake.domain.transitions import ACCEPTED, PROCESSING, target_of
from services.notify.application.words import SAID, day

DAY_S: Final = 86_400.0
CONTACT_BYTES: Final = 58
CODE_BYTES: Final = 8
_ONE_STOP: Final = "intake.one_stop"
_FURTHER: Final = Fee(le_phi=Vnd(12_000), phi=Vnd(0))
_EXEMPT, _DIFFERENT, _DISPUTED, _WRONG_CODE, _UNCOLLECTED, _AT_COUNTER = 60, 60, 4, 30, 50, 100
"""Per mille: fee exemptions, pouches not as listed, reports refused, wrong codes at a machine,
results that nobody collects there, results returned at the counter."""
_HANDED_OVER: Final = 700
"""Per mille: officials who record the hand-over; for others the result is the first to tell."""
_FIRST: Final = {"refused": 30, "supplement": 60}
_LATER: Final = {"withdrawn": 8, "stopped": 10, "rescheduled": 25, "further_fee": 20}
"""Per mille: what becomes of a pouch on the desk, and of a dossier at its agency."""


class Story:
    """One dossier; ``handed_in`` and ``imported`` are its two beginnings."""

    def __init__(self, town: Town, machine: Machine) -> None:
        """Bind; ``machine`` is where it is handed in or returned."""
        self._town, self._world, self._machine = town, town.world, machine
        self._id, self._session = town.world.uuid(), town.world.uuid()
        self._stream = f"dossier-{self._id}"
        self._known = Dossier()
        self._purse = Purse(town, machine, self._id, self._session)
        self._contact = self._place = self._lookup = ""

    def handed_in(self) -> Process:
        """A citizen lays a pouch into the machine, pays, and an official looks at it."""
        world, machine = self._world, self._machine
        procedure = world.dice.choice(self._town.accepted[machine.office])
        exemption = self._exemption(procedure)
        copies, pages = world.dice.choice((1, 1, 1, 2, 3)), world.dice.randint(1, 12)
        fee = fee_of(procedure, copies=copies, pages=pages, exemption=exemption)
        pouch = self._deposit(procedure, fee, copies, pages, exemption)
        yield world.between(0.2, 3)
        register = acts.RegisterDossier(
            procedure=procedure["code"], procedure_version=1, office=machine.office,
            machine=machine.serial, pouch=pouch, copies=copies, papers=_papers(procedure),
            contact_event=self._contact, pages=pages, exemption=exemption, lookup=self._lookup,
        )  # fmt: skip
        registered = self._react(register, self._contact)
        yield from self._purse.ask(fee, (procedure["code"], 1), registered)
        emptied = machine.emptied
        while machine.emptied == emptied or not self._purse.state.settled:
            yield DAY_S / 6
        yield from self._on_desk(procedure)

    def imported(self) -> Process:
        """The one-stop software wants a result of a counter's dossier returned by the machine."""
        world, office = self._world, self._machine.office
        procedure = world.dice.choice(self._town.returned[office])
        agency = str(self._town.names[office]["agency_code"])
        code = make_code(agency, world.today(), self._town.next_imported())
        contact = world.sealed(CONTACT_BYTES)
        act = acts.ImportDossier(
            code=code, procedure=procedure["code"], procedure_version=1, office=office,
            channel="counter", due_at=due_day(world, 1),
        )  # fmt: skip
        (kind, data) = self._decided(act)[0]
        first = Told(kind, {**data, "contact": contact.stub()}, self._id, {"contact": contact})
        done = [Told(k, d, self._id) for k, d in self._decided(self._completion("machine"))]
        given = {"office": office, "code": code, "dossier": self._id}
        changes: Changes = [
            (self._stream, [first, *done]),
            (f"office-{office}.imported.{code}", [Told("office.code_imported", given, self._id)]),
        ]
        ids = world.say(
            changes, source="timer:one_stop_pull", key=f"{code}/9",
            cause=Cause(correlation_id=self._session, actor="system:one_stop"),
        )  # fmt: skip
        self._contact, self._place = ids[0], ""
        world.close(f"office-{office}.imported.{code}")
        yield from self._at_machine()
        self._end()

    # --- at the office ---------------------------------------------------------------------------

    def _on_desk(self, procedure: Mapping[str, Any]) -> Process:
        world = self._world
        yield world.to_opening()
        official = self._town.clerk()
        different = ("Thiếu bản sao căn cước",) if world.chance(_DIFFERENT) else ()
        self._by(official, acts.OpenPouch(
            official=official, as_listed=not different, differences=different))  # fmt: skip
        yield world.between(60, 1_800)
        match self._lot(_FIRST):
            case "refused":
                act = acts.RefuseDossier(official=official, reason="Không thuộc thẩm quyền")
                yield from self._ended(official, act)
            case "supplement":
                yield from self._guided(official, procedure)
                yield from self._at_agency(official, procedure)
            case _:
                code, given = self._new_code()
                self._by(official, acts.AcceptDossier(
                    code=code, official=official, due_at=due_day(world, procedure["working_days"]),
                    working_days=procedure["working_days"], fee_settled=True), given)  # fmt: skip
                yield from self._at_agency(official, procedure)
        self._end()

    def _guided(self, official: str, procedure: Mapping[str, Any]) -> Process:
        world = self._world
        self._by(official, acts.RequestSupplement(
            official=official, reasons=("Thiếu bản sao căn cước",), respond_by=due_day(world, 30),
            requested_at=world.now().isoformat(), policy=procedure["supplement_clock"],
        ))  # fmt: skip
        yield world.between(DAY_S, 6 * DAY_S) + world.to_opening()
        code, given = self._new_code()
        self._by(official, acts.ReceiveSupplement(
            official=official, code=code, due_at=due_day(world, procedure["working_days"]),
            fee_settled=True), given)  # fmt: skip

    def _at_agency(self, official: str, procedure: Mapping[str, Any]) -> Process:
        world = self._world
        if self._known.status == ACCEPTED and world.chance(_HANDED_OVER):
            yield world.between(600, 7_200)
            self._by(official, acts.StartProcessing(official=official, agency="Phòng Kinh tế"))
        yield procedure["working_days"] * world.between(0.3, 1.0) * DAY_S + world.between(900, 9e3)
        match self._lot(_LATER):
            case "withdrawn":
                yield from self._ended(official, acts.WithdrawDossier(
                    official=official, reason="Không còn nhu cầu"))  # fmt: skip
                return
            case "stopped" if self._known.status == PROCESSING:
                yield from self._ended(official, acts.StopDossier(
                    official=official, reason="Đất đang tranh chấp"))  # fmt: skip
                return
            case "rescheduled":
                self._by(official, acts.Reschedule(
                    official=official, reason="Chờ xác minh", due_at=due_day(world, 5),
                    in_time=True))  # fmt: skip
                yield 3 * DAY_S
            case "further_fee" if self._known.status == PROCESSING:
                yield from self._further_fee(official)
            case _:
                pass
        yield from self._resolved(official)

    def _further_fee(self, official: str) -> Process:
        world = self._world
        event = self._by(official, acts.AskFurtherFee(
            official=official, le_phi_vnd=_FURTHER.le_phi, phi_vnd=_FURTHER.phi,
            reason="Lệ phí cấp giấy chứng nhận", requested_at=world.now().isoformat()))  # fmt: skip
        yield from self._purse.ask_further(_FURTHER, event)
        settled = self._purse.settled_event
        self._react(acts.ClearFee(payment_event=settled, due_at=due_day(world, 3)), settled)

    def _resolved(self, official: str) -> Process:
        at_counter = self._world.chance(_AT_COUNTER)
        self._by(official, self._completion("counter" if at_counter else "machine"))
        if at_counter:
            yield from self._over_the_counter(official)
        else:
            yield from self._at_machine()

    def _over_the_counter(self, official: str) -> Process:
        yield self._world.between(DAY_S / 2, 8 * DAY_S) + self._world.to_opening()
        self._by(official, acts.ReturnDossier(
            channel="counter", proof="Ký nhận", official=official))  # fmt: skip

    def _ended(self, official: str, act: acts.Act) -> Process:
        """It ends without a result; the money follows."""
        event = self._by(official, act)
        yield self._world.between(0.05, 0.3)
        closed, data = self._purse.close(act.event.partition(".")[2], event)
        self._announce("payment.closed", data, closed)
        yield from self._purse.pay_back(closed)

    # --- at the machine --------------------------------------------------------------------------

    def _at_machine(self) -> Process:
        """The result lies in a cell until its citizen comes, or is taken out again."""
        world, machine = self._world, self._machine
        yield world.to_opening()
        while not machine.cells:
            yield DAY_S / 4
        cell, staff = machine.cells.pop(0), self._town.clerk()
        where = {"dossier": self._id, "cell": cell}
        (loaded,) = self._journal(("kiosk.result_loaded", {**where, "staff": staff}, self._id))
        yield world.between(0.2, 3)
        ready = self._react(acts.MarkReady(machine=machine.serial, cell=cell, loaded_event=loaded),
                            loaded)  # fmt: skip
        yield world.between(0.05, 0.3)
        grant = {"grant": world.uuid(), **where}
        self._granted(grant, ready)
        if world.chance(_UNCOLLECTED):
            yield 4 * DAY_S + world.to_opening()
            yield from self._recalled(staff, where)
        else:
            yield world.between(1_800, 3 * DAY_S)
            yield from self._collected(grant)
        machine.cells.append(cell)

    def _granted(self, grant: dict[str, Any], ready: str) -> None:
        world, serial, code = self._world, self._machine.serial, self._world.sealed(CODE_BYTES)
        until = (world.now() + timedelta(hours=72)).isoformat(timespec="seconds")
        told = Told(
            "grant.release_issued", {**grant, "not_after": until, "code": code.stub()}, self._id,
            {"code": code},
        )  # fmt: skip
        cause = Cause(correlation_id=self._session, actor="service:kiosk_sync", causation_id=ready)
        (issued,) = world.say(
            [(f"grant-{serial}", [told])], source="kiosk_sync.reactions", key=ready, cause=cause
        )
        (stored,) = self._journal(("kiosk.grant_stored", grant, self._id))
        params = {"machine": serial, "until": day(until), "not_after": until}
        self._message("result_ready", params, stored, issued)

    def _collected(self, grant: dict[str, Any]) -> Process:
        world = self._world
        if world.chance(_WRONG_CODE):
            wrong = {"grant": grant["grant"], "dossier": self._id, "reason": "wrong_code",
                     "tries_left": 4}  # fmt: skip
            self._journal(("kiosk.release_refused", wrong, self._id))
            yield world.between(10, 60)
        _, released = self._journal(
            ("kiosk.release_authorised", grant, self._id),
            ("kiosk.result_released", grant, self._id),
        )
        yield world.between(0.2, 3)
        self._react(acts.ReturnDossier(
            channel="kiosk", proof=f"grant {grant['grant']}", machine=self._machine.serial,
            grant=grant["grant"], released_event=released), released)  # fmt: skip

    def _recalled(self, staff: str, where: Mapping[str, Any]) -> Process:
        (taken,) = self._journal(("kiosk.result_recalled", {**where, "staff": staff}, self._id))
        yield self._world.between(0.2, 3)
        self._react(acts.RecallResult(
            machine=self._machine.serial, cell=where["cell"], staff=staff, recalled_event=taken),
            taken)  # fmt: skip
        yield from self._over_the_counter(staff)

    # --- how it is recorded ----------------------------------------------------------------------

    def _deposit(
        self, procedure: Mapping[str, Any], fee: Fee, copies: int, pages: int,
        exemption: str | None,
    ) -> str:  # fmt: skip
        world, machine = self._world, self._machine
        machine.pouches += 1
        pouch = f"{machine.serial}-{machine.pouches:06d}"
        contact, self._lookup = world.sealed(CONTACT_BYTES), world.hex32()
        data = {
            "dossier": self._id, "procedure": procedure["code"], "procedure_version": 1,
            "pouch": pouch, "bin": 1, "copies": copies, "papers": _papers(procedure),
            "fee_vnd": int(fee.total), "contact": contact.stub(), "pages": pages,
            "exemption": exemption, "lookup": self._lookup,
        }  # fmt: skip
        machine.bin[pouch] = self._id
        slip = {"dossier": self._id, "kind": "deposit"}
        self._contact, _ = self._town.journal(
            machine,
            (
                ("kiosk.dossier_deposited", data, self._id),
                ("kiosk.receipt_printed", slip, self._id),
            ),
            self._session, {"contact": contact},
        )  # fmt: skip
        self._place = f"may {machine.serial} ngay {world.today():%d/%m}"
        return pouch

    def _journal(self, *records: tuple[str, Mapping[str, Any], str]) -> list[str]:
        return self._town.journal(self._machine, records, self._session)

    def _decided(self, act: acts.Act) -> list[tuple[str, Mapping[str, Any]]]:
        decided = list[tuple[str, Mapping[str, Any]]](decide(act, self._known))
        for kind, data in decided:
            self._known = evolve(self._known, kind, data)
        return decided

    def _by(self, official: str, act: acts.Act, *given: tuple[str, list[Told]]) -> str:
        cause = Cause(correlation_id=self._world.uuid(), actor=f"official:{official}")
        return self._record(act, given, f"http:{official}", self._world.uuid(), cause)

    def _react(self, act: acts.Act, event: str) -> str:
        cause = Cause(
            correlation_id=self._session, actor="service:intake", causation_id=event
        )  # fmt: skip
        return self._record(act, (), "intake.reactions", event, cause)

    def _record(
        self, act: acts.Act, given: Changes, source: str, key: str, cause: Cause
    ) -> str:  # fmt: skip
        """Record what the dossier's own rules decide, tell the citizen and the one-stop system."""
        decided = self._decided(act)
        told = [Told(kind, data, self._id) for kind, data in decided]
        changes = [(self._stream, told), *given]
        ids = self._world.say(changes, source=source, key=key, cause=cause)
        for (kind, data), event in zip(decided, ids, strict=False):
            self._announce(kind, data, event)
            if kind in TOLD and self._known.code:
                self._report(event, target_of(kind, self._known.status))
        return ids[len(decided) - 1]

    def _report(self, event: str, status: int) -> None:
        world = self._world
        cause = Cause(correlation_id=self._session, actor="service:intake", causation_id=event)
        act: acts.Act = acts.RecordReport(
            status=status, reference=f"r-{world.dice.getrandbits(32):08x}",
            reported=event,
        )  # fmt: skip
        if world.chance(_DISPUTED):
            act = acts.DisputeReport(
                status=status, error="409 only 9 becomes 10",
                owner=self._known.office, due_at=due_day(world, 1), reported=event,
            )  # fmt: skip
        told = [Told(kind, data, self._id) for kind, data in self._decided(act)]
        world.say([(self._stream, told)], source=_ONE_STOP, key=event, cause=cause)

    def _announce(self, kind: str, data: Mapping[str, Any], event: str) -> None:
        say = SAID.get(kind)
        words = None if say is None else say(data)
        if words is not None:
            self._message(*words, event, None)

    def _message(
        self, template: str, params: Mapping[str, str], event: str, code_event: str | None
    ) -> None:
        office = self._known.office
        name = str(self._town.names[office]["name_sms"])
        told = {"office": name, "code": self._known.code or self._place, **params}
        command = asked_for(self._id, template, told, self._contact, code_event)
        message = Message(self._world, command, event, office, self._session)
        self._world.start(message.send())

    def _completion(self, channel: str) -> acts.CompleteDossier:
        number = f"{self._world.dice.randrange(1, 10**6)}/KQ"
        machine = self._machine.serial if channel == "machine" else None
        return acts.CompleteDossier(
            result_number=number, return_channel=channel, return_machine=machine
        )

    def _new_code(self) -> tuple[str, tuple[str, list[Told]]]:
        world, office = self._world, self._machine.office
        today = world.today()
        stream = f"office-{office}.codes.{today:%y%m%d}"
        agency = str(self._town.names[office]["agency_code"])
        code = make_code(agency, today, world.version(stream) + 1)
        assigned = {"office": office, "code": code, "dossier": self._id}
        return code, (stream, [Told("office.code_assigned", assigned, self._id)])

    def _exemption(self, procedure: Mapping[str, Any]) -> str | None:
        known = [one["code"] for one in procedure["exemptions"]]
        return self._world.dice.choice(known) if known and self._world.chance(_EXEMPT) else None

    def _lot(self, chances: Mapping[str, int]) -> str:
        drawn = self._world.dice.randrange(1000)
        for name, per_mille in chances.items():
            if drawn < per_mille:
                return name
            drawn -= per_mille
        return ""

    def _end(self) -> None:
        self._world.close(self._stream, f"payment-{self._id}")


def _papers(procedure: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(str(one["name_vi"]) for one in procedure["checklist"])
