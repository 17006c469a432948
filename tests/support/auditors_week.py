# SPDX-License-Identifier: Apache-2.0
"""A week in which each thing that auditors ask about happens once or twice, and to whom is known.

Monday 23 to Friday 27 November 2026 at VT01 and CT01, written down by hand; nothing is random.
"""

import uuid
from collections.abc import Iterator
from datetime import datetime

from services.common import contracts
from services.common.canonical import Json, canonical_json
from services.common.clock import VIETNAM, to_micros
from services.common.eventlog.record import NewEvent, RecordedEvent
from tests.support.bundles import Recording

BIRTH, LAND = "2.000635", "1.012786"


def number(name: str) -> str:
    """Return the id of the dossier, refund or case with this name."""
    return str(uuid.UUID(bytes=uuid.uuid5(uuid.NAMESPACE_OID, name).bytes, version=4))


def event_number(name: str) -> uuid.UUID:
    """Return the id of an event that others name."""
    return uuid.uuid5(uuid.NAMESPACE_OID, f"event {name}")


class Week:
    """Collects what happens; times are ``23 08:05`` or ``23 08:05:30``, day of November 2026."""

    def __init__(self) -> None:
        self._said: list[tuple[int, int, str, NewEvent]] = []

    def say(
        self, at: str, stream: str, kind: str, /, *, actor: str = "service:test", delay_s: float = 2,
        of: str | None = None, called: str = "", **data: Json,
    ) -> None:  # fmt: skip
        """Let something happen at ``at`` that is recorded ``delay_s`` later."""
        day, time = at.split()
        moment = datetime.fromisoformat(f"2026-11-{day}T{time}").replace(tzinfo=VIETNAM)
        contract = contracts.newest(kind)
        event = NewEvent(
            type=kind, schema=contract.schema, subject=number(of) if of else None,
            data=canonical_json({**contract.example(), **data}),
            meta=canonical_json({"actor": actor, "correlation_id": number(at)}),
            occurred_at_us=to_micros(moment),
            event_id=event_number(called) if called else None,
        )  # fmt: skip
        recorded = to_micros(moment) + int(delay_s * 1_000_000)
        self._said.append((recorded, len(self._said), stream, event))

    def recorded(self) -> Iterator[RecordedEvent]:
        """Yield all in the order in which the centre got to know it."""
        recording = Recording()
        for moment_us, _, stream, event in sorted(self._said, key=lambda one: one[:2]):
            yield recording.record(stream, event, moment_us)


def week() -> Week:
    """Return the whole week."""
    found = Week()
    _rules(found)
    _good(found, "an", "VT01", BIRTH, 1, pouch="VT-001")
    _good(found, "bình", "VT01", BIRTH, 2, pouch="VT-002", minute=10)
    _good(found, "chi", "CT01", LAND, 1, pouch="CT-001", minute=20, late=True)
    _never_finished(found)
    _money(found)
    _people(found)
    _machines(found)
    return found


def events() -> list[RecordedEvent]:
    """Return the week's events."""
    return list(week().recorded())


def _rules(found: Week) -> None:
    for office, name in (("VT", "Vị Thanh"), ("CT", "Châu Thành")):
        found.say("23 06:00", f"office-{office}", "office.opened", office=office, name_vi=name)
    found.say("23 06:01", "calendar-VN", "calendar.day_set", day="2026-11-24", kind="holiday")
    fees: list[Json] = [{"amount_vnd": 8_000, "cap_vnd": None, "kind": "le_phi", "name_vi": "Lệ phí",
                         "rule": "flat", "then_from_page": None, "then_vnd": None}]  # fmt: skip
    for at, amount in (("23 06:02", 8_000), ("25 09:30", 10_000)):
        one = [{**fees[0], "amount_vnd": amount}]  # type: ignore[dict-item]
        found.say(at, f"procedure-{BIRTH}", "procedure.published", actor="official:bt001",
                  code=BIRTH, fees=one, valid_from="2026-12-01" if amount > 8_000 else "2026-01-01")  # fmt: skip
    found.say("23 06:03", f"procedure-{LAND}", "procedure.published", actor="official:bt001",
              code=LAND, fees=fees)  # fmt: skip


def _handed_in(
    found: Week, who: str, machine: str, procedure: str, *, at: str, pouch: str, delay_s: float = 3
) -> None:
    found.say(at, f"kiosk-{machine}-1", "kiosk.dossier_deposited", actor=f"machine:{machine}", of=who,
              dossier=number(who), pouch=pouch, procedure=procedure, delay_s=delay_s)  # fmt: skip
    found.say(at, f"dossier-{number(who)}", "dossier.registered", of=who, delay_s=delay_s + 0.5,
              office=machine[:2], machine=machine, procedure=procedure, pouch=pouch)  # fmt: skip


def _good(
    found: Week, who: str, machine: str, procedure: str, receipt: int, *, pouch: str,
    minute: int = 0, late: bool = False,
) -> None:  # fmt: skip
    """Hand in, pay cash, be accepted; finished in time or a day late, collected or not."""
    dossier, journal, office = f"dossier-{number(who)}", f"kiosk-{machine}-1", machine[:2]
    _handed_in(found, who, machine, procedure, at=f"23 08:{minute:02d}", pouch=pouch)
    note = {"denomination_vnd": 10_000, "dossier": number(who)}
    at = f"23 08:{minute + 2:02d}"
    found.say(at, journal, "kiosk.cash_note_credited", of=who, stacked_count=receipt, **note)
    found.say(at, f"payment-{number(who)}", "payment.cash_credited", of=who, machine=machine,
              denomination_vnd=10_000)  # fmt: skip
    found.say(f"23 08:{minute + 3:02d}", journal, "kiosk.cash_closed", of=who, dossier=number(who),
              notes=1, total_vnd=10_000, reason="done")  # fmt: skip
    found.say(f"23 08:{minute + 3:02d}", f"payment-{number(who)}", "payment.settled", of=who,
              amount_vnd=8_000, paid_vnd=10_000, overpaid_vnd=2_000, called=f"settled {who}")  # fmt: skip
    found.say(f"23 08:{minute + 4:02d}", f"receipt-BL-{office}-2026", "receipt.issued", of=who,
              amount_vnd=8_000, number=receipt, symbol=f"BL-{office}", dossier=number(who),
              settled_event=str(event_number(f"settled {who}")))  # fmt: skip
    code = f"H30.12-261123-{receipt:04d}" if office == "VT" else f"H30.33-261123-{receipt:04d}"
    found.say(f"23 09:{minute + 20:02d}", dossier, "dossier.accepted", actor="official:cb001", of=who,
              code=code, due_at="2026-11-24T16:00:00+07:00", official="cb001")  # fmt: skip
    done = "25 10:30" if late else "24 10:30"
    found.say(done, dossier, "dossier.completed", of=who, code=code, return_channel="machine",
              return_machine=machine)  # fmt: skip
    found.say(f"{done[:2]} 11:{minute:02d}", dossier, "dossier.ready", of=who, machine=machine,
              cell=receipt)  # fmt: skip
    if who == "an":
        found.say("24 15:00", dossier, "dossier.returned", of=who, channel="kiosk", machine=machine)


def _never_finished(found: Week) -> None:
    """One is late and open, one was refused, one needed papers twice, one lies in its pouch."""
    _handed_in(found, "dung", "CT01", LAND, at="23 09:00", pouch="CT-002")
    found.say("23 10:00", f"dossier-{number('dung')}", "dossier.accepted", of="dung",
              code="H30.33-261123-0002", due_at="2026-11-26T11:00:00+07:00")  # fmt: skip
    _handed_in(found, "em", "VT01", BIRTH, at="23 09:30", pouch="VT-003")
    found.say("23 14:00", f"dossier-{number('em')}", "dossier.refused", of="em",
              actor="official:cb002")  # fmt: skip
    _handed_in(found, "giang", "CT01", LAND, at="23 09:40", pouch="CT-003")
    papers = f"dossier-{number('giang')}"
    for asked, given in (("23 15:00", "25 09:00"), ("25 15:00", "26 15:00")):
        found.say(asked, papers, "dossier.supplement_requested", of="giang")
        found.say(given, papers, "dossier.supplement_received", of="giang",
                  code="H30.33-261123-0003", due_at="2026-11-30T16:00:00+07:00")  # fmt: skip
    _handed_in(found, "hoa", "VT01", BIRTH, at="25 20:15", pouch="VT-004")
    for machine, at, pouches, two in (
        ("VT01", "23 09:50", ["VT-001", "VT-002", "VT-003"], "cb002"),
        ("CT01", "24 16:00", ["CT-001", "CT-002", "CT-003"], "cb004"),
    ):
        found.say(at, f"kiosk-{machine}-1", "kiosk.bin_emptied", actor=f"machine:{machine}", bin=1,
                  pouches=pouches, staff="cb003", second_staff=two, seal=f"NP-{machine}")  # fmt: skip


def _money(found: Week) -> None:
    """A note without a receipt, a gap, a refund by one person, a contradicting bank."""
    lost = number("lan")
    found.say("25 19:00", "kiosk-VT01-1", "kiosk.cash_note_credited", of="lan", dossier=lost,
              denomination_vnd=20_000, stacked_count=3)  # fmt: skip
    found.say(
        "25 19:05", "kiosk-VT01-1", "kiosk.cash_discrepancy", journalled_count=3, stacked_count=4
    )
    found.say("25 10:00", f"payment-{number('minh')}", "payment.settled", of="minh", method="bank_transfer",
              amount_vnd=8_000, paid_vnd=8_000, overpaid_vnd=0, called="settled minh")  # fmt: skip
    found.say("25 11:00", f"payment-{number('nga')}", "payment.settled", of="nga", method="bank_transfer",
              amount_vnd=8_000, paid_vnd=8_000, overpaid_vnd=0, called="settled nga")  # fmt: skip
    found.say("25 11:01", "receipt-BL-VT-2026", "receipt.issued", of="nga", number=5, symbol="BL-VT",
              dossier=number("nga"), settled_event=str(event_number("settled nga")))  # fmt: skip
    for who, at, approver in (("em", "23", "tc001"), ("phong", "24", "tc002")):
        payment, refund = f"payment-{number(who)}", number(f"refund {who}")
        found.say(
            f"{at} 14:01", payment, "payment.closed", of=who, owed_vnd=8_000, because="refused"
        )
        found.say(f"{at} 15:00", payment, "payment.refund_requested", of=who, refund=refund,
                  amount_vnd=8_000, by="tc001")  # fmt: skip
        found.say(
            f"{at} 16:00", payment, "payment.refund_approved", of=who, refund=refund, by=approver
        )
        if who == "phong":
            found.say(
                "25 09:00", payment, "payment.refund_paid", of=who, refund=refund, amount_vnd=8_000
            )
    for reference, closed in (("FT1", True), ("FT2", False)):
        bank = f"payment-bank.payos.{reference}"
        found.say(
            "25 08:00", bank, "payment.bank_credit_received", reference=reference, amount_vnd=8_000
        )
        found.say(
            "25 08:05",
            bank,
            "payment.bank_callback_conflict",
            reference=reference,
            amount_vnd=9_000,
        )
        if closed:
            found.say("25 09:00", bank, "payment.bank_callback_conflict_closed", by="tc001")


def _people(found: Week) -> None:
    """Readers in and out of hours, an erasure, messages, a lost pouch, a refused status."""
    for at, reader in (("23 10:00", "cb001"), ("23 22:47", "cb007"), ("24 10:00", "cb001"),
                       ("27 06:59", "cb007")):  # fmt: skip
        found.say(at, f"access-{number('an')}", "access.personal_read", actor=f"official:{reader}",
                  reader=reader, dossier=number("an"))  # fmt: skip
    found.say(
        "26 09:00", f"subject-{number('an')}", "subject.erased", of="an", dossier=number("an")
    )
    for name, last in (
        ("message 1", "notification.outcome_unknown"),
        ("message 2", "notification.delivered"),
    ):
        stream = f"notification-{number(name)}"
        found.say("23 11:00", stream, "notification.requested", of="an", dossier=number("an"))
        found.say("23 11:01", stream, "notification.attempted", of="an")
        found.say("23 11:02", stream, "notification.outcome_unknown", of="an", owner="VT")
        if last == "notification.delivered":
            found.say("23 12:00", stream, last, of="an")
    for case, due in (("one", "24"), ("two", "30"), ("found", "24")):
        found.say("23 16:00", "office-VT", "office.custody_case_opened", case=number(case), office="VT",
                  due_at=f"2026-11-{due}T17:00:00+07:00")  # fmt: skip
    found.say("24 09:00", "office-VT", "office.custody_case_closed", case=number("found"))
    for who, settled in (("chi", False), ("bình", True)):
        found.say("24 08:00", f"dossier-{number(who)}", "dossier.report_disputed", of=who,
                  event=number(f"report {who}"), status=9)  # fmt: skip
        if settled:
            found.say("24 09:00", f"dossier-{number(who)}", "dossier.report_resolved", of=who,
                      event=number(f"report {who}"), status=9)  # fmt: skip


def _machines(found: Week) -> None:
    """VT01 is cut off for an evening; a wrong code thrice; one person empties a bin."""
    _handed_in(found, "quỳnh", "VT01", BIRTH, at="26 18:00", pouch="VT-005", delay_s=5_400)
    found.say(
        "26 18:01", "kiosk-VT01-1", "kiosk.receipt_printed", delay_s=5_340, dossier=number("quỳnh")
    )
    for minute, left in ((0, 2), (1, 1), (2, 0)):
        found.say(f"25 17:0{minute}", "kiosk-CT01-1", "kiosk.release_refused", of="chi", tries_left=left,
                  dossier=number("chi"))  # fmt: skip
    found.say("27 07:30", "kiosk-VT01-1", "kiosk.bin_emptied", bin=1, pouches=["VT-004", "VT-005"],
              staff="cb003", second_staff="cb003", seal="NP-VT02")  # fmt: skip
    found.say("27 17:00", "kiosk-VT01-1", "kiosk.booted")
