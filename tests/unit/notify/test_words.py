# SPDX-License-Identifier: Apache-2.0
"""What a citizen is told at each turn of a dossier's life, through every service's own rules."""

import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from services.common.eventlog.record import RecordedEvent
from services.common.eventlog.recording import facts_of
from services.common.messaging.reactor_runner import Outcome, ReactorRunner
from services.notify.application.reactions import Reactions
from services.notify.application.reminders import Quiet, Reminders
from services.notify.application.words import SAID
from services.notify.domain.templates import TEMPLATES
from tests.support.offices import MACHINE
from tests.support.province import Province

AT_COUNTER = {"result_number": "KQ-1", "return_channel": "counter", "return_machine": None}
NOON = Quiet(from_hour=0, to_hour=0)


class Told:
    """A province and what its citizens are told."""

    def __init__(self) -> None:
        self.province = Province()
        self.recorder = self.province.office.recorder("motcua_notify")
        self.reactions = Reactions(self.recorder.log, self.province.clock)
        self._runner = ReactorRunner(self.reactions.reactor(), self.recorder, self.province.clock)

    def hear(self) -> list[tuple[str, str]]:
        """Deliver everything from the beginning; returns template and text of every message."""
        for event in self.recorder.log.read_all(0, limit=10_000):
            if event.type in self._runner.reactor.handlers:
                assert self._runner.handle(event) is Outcome.HANDLED
        return [_said(event) for event in self.requests()]

    def requests(self) -> list[RecordedEvent]:
        """Return every message asked for."""
        return self.recorder.log.read_all(0, limit=10_000, types=["notification.requested"])

    def accepted(self) -> str:
        """Return a dossier at the agency."""
        dossier = self.province.deposit()
        self.province.pays(dossier, 8_000)
        self.province.does(dossier, "accept")
        self.province.does(dossier, "start", agency="Phòng Tư pháp")
        return dossier

    def in_a_cell(self) -> str:
        """Return a dossier whose result a machine can release."""
        dossier = self.accepted()
        words = {"result_number": "1", "return_channel": "machine", "return_machine": MACHINE}
        self.province.does(dossier, "complete", **words)
        self.province.office.load(dossier)
        self.province.run()
        issued = self.province.office.newest("grant.release_issued")
        self.province.office.journal(
            "kiosk.grant_stored", dossier=dossier, grant=str(issued.data["grant"]), cell=7
        )
        return dossier

    def reminders(self, **other: Any) -> Reminders:
        """Return a replica's timer."""
        return Reminders(
            self.recorder, self.reactions, self.province.clock,
            **{"before": timedelta(hours=24), "quiet": NOON, **other},
        )  # fmt: skip


@pytest.fixture
def told() -> Told:
    """A province."""
    return Told()


def _said(event: RecordedEvent) -> tuple[str, str]:
    data = facts_of([event])[0][1]
    assert isinstance(data["params"], dict)
    params = {name: str(value) for name, value in data["params"].items()}
    template = TEMPLATES[str(data["template"])]
    return template.name, template.render({**params, "otp": "123456"})


def _does(verb: str, **words: Any) -> Callable[[Told, str], object]:
    return lambda told, dossier: told.province.does(dossier, verb, **words)


@pytest.mark.parametrize(
    ("act", "template", "text"),
    [
        (_does("request-supplement", reasons=["Thiếu"], respond_by=None), "supplement",
         "can bo sung giay to truoc 15/12/2026"),
        (_does("ask-fee", le_phi_vnd=1_250_000, phi_vnd=500, reason="x"), "fee_due",
         "phai nop them 1.250.500 d"),
        (_does("withdraw", reason="x"), "withdrawn", "rut ho so H30.12-261116-0001"),
        (_does("stop", reason="x"), "stopped", "da dung giai quyet"),
        (_does("complete", **AT_COUNTER), "ready_at_counter", "nhan tai Bo phan mot cua"),
    ],
)  # fmt: skip
def test_each_turn_is_told_once(
    told: Told, act: Callable[[Told, str], object], template: str, text: str
) -> None:
    """The acceptance and then the turn, in one SMS each, however often events are delivered."""
    dossier = told.accepted()
    act(told, dossier)
    told.hear()
    heard = [one for one in told.hear() if one[0] != "owed"]
    assert [name for name, _ in heard] == ["accepted", template]
    assert text in heard[-1][1]
    assert heard[-1][1].startswith("UBND TP Vi Thanh: ")


def test_a_refused_citizen_without_a_code_knows_which_dossier_and_gets_the_money(
    told: Told,
) -> None:
    """Before the acceptance a dossier is named by machine and day; what was paid is announced."""
    dossier = told.province.deposit()
    told.province.pays(dossier, 8_000)
    told.province.does(dossier, "refuse", reason="Không thuộc thẩm quyền")
    heard = dict(told.hear())
    assert set(heard) == {"refused", "owed"}
    assert "may VT01 ngay 16/11 khong duoc tiep nhan" in heard["refused"]
    assert "hoan lai 8.000 d" in heard["owed"]


def test_nothing_is_owed_and_nothing_is_said(told: Told) -> None:
    """Refused without having paid: one message."""
    told.province.does(told.province.deposit(), "refuse", reason="Không hợp lệ")
    assert [name for name, _ in told.hear()] == ["refused"]


def test_the_apology_comes_once_with_the_new_day(told: Told) -> None:
    """A later day is told with an apology."""
    dossier = told.accepted()
    day = (told.province.clock.at + timedelta(days=14)).date()
    told.province.does(dossier, "reschedule", due_on=day, reason="Chờ xác minh")
    name, text = told.hear()[-1]
    assert name == "rescheduled"
    assert "Xin loi" in text
    assert f"{day:%d/%m/%Y}" in text


def test_a_recalled_result_is_at_the_counter(told: Told) -> None:
    """Whoever did not come in time is told where the result is now."""
    dossier = told.in_a_cell()
    told.province.office.journal("kiosk.result_recalled", dossier=dossier, cell=7, staff="cb001")
    told.province.run()
    assert [name for name, _ in told.hear()] == ["accepted", "result_ready", "recalled"]


def test_an_official_has_the_last_message_sent_again(told: Told) -> None:
    """The same words with the same code, as a message of its own; again for each request."""
    dossier = told.in_a_cell()
    told.hear()
    for _ in range(2):
        told.province.does(dossier, "tell-again", reason="Không nhận được tin nhắn")
        told.hear()
    requests = told.requests()
    assert [name for name, _ in told.hear()] == ["accepted", *["result_ready"] * 3]
    assert len({event.stream for event in requests}) == 4
    assert len({str(event.data["code_event"]) for event in requests[1:]}) == 1


def test_who_was_reminded_and_asks_again_gets_the_code(told: Told) -> None:
    """A reminder speaks of a code sent before; what is said again is the message with the code."""
    told.in_a_cell()
    told.hear()
    told.province.clock.sleep(49 * 3_600)
    assert told.reminders().once() == 1
    dossier = str(told.requests()[-1].subject)
    told.province.does(dossier, "tell-again", reason="Mất tin nhắn")
    assert [name for name, _ in told.hear()][-2:] == ["reminder", "result_ready"]
    assert told.requests()[-1].data["code_event"] is not None


def test_who_was_told_nothing_is_not_told_again(told: Told) -> None:
    """There is no message to repeat: the reaction says so, nothing is made up."""
    dossier = told.province.deposit()
    told.province.does(dossier, "tell-again", reason="x")
    event = told.province.office.newest("dossier.notice_repeated")
    runner = ReactorRunner(told.reactions.reactor(), told.recorder, told.province.clock)
    assert runner.handle(event) is Outcome.REFUSED


def test_a_reminder_comes_once_in_time_by_one_of_two_replicas(told: Told) -> None:
    """72 hours are given; the reminder comes 24 hours before they are over."""
    told.in_a_cell()
    told.hear()
    first, second = told.reminders(), told.reminders()
    assert (first.once(), second.once()) == (0, 0)
    told.province.clock.sleep(49 * 3_600)
    assert (first.once(), second.once(), first.once(), told.reminders().once()) == (1, 0, 0, 0)
    name, text = told.hear()[-1]
    assert name == "reminder"
    assert "may VT01 den 19/11/2026" in text
    assert told.requests()[-1].data["code_event"] is None


@pytest.mark.parametrize("gone", ["kiosk.result_released", "kiosk.result_recalled"])
def test_nobody_is_reminded_of_what_is_gone(told: Told, gone: str) -> None:
    """Collected or recalled: no reminder, also for a replica that starts afterwards."""
    dossier, running = told.in_a_cell(), told.reminders()
    running.once()
    more = {"grant": str(uuid.uuid4())} if gone.endswith("released") else {"staff": "cb001"}
    told.province.office.journal(gone, dossier=dossier, cell=7, **more)
    told.province.clock.sleep(60 * 3_600)
    assert (running.once(), told.reminders().once()) == (0, 0)


def test_nobody_is_reminded_at_night_or_too_late(told: Told) -> None:
    """Within quiet hours a reminder waits; once the right has run out it never comes."""
    told.in_a_cell()
    told.province.clock.sleep(62 * 3_600)  # 22:00
    night = told.reminders(quiet=Quiet())
    assert night.once() == 0
    told.province.clock.sleep(9 * 3_600 + 1)
    assert night.once() == 1
    late = Told()
    late.in_a_cell()
    late.province.clock.sleep(80 * 3_600)
    assert late.reminders().once() == 0


@pytest.mark.parametrize(
    ("quiet", "hour", "expected"),
    [(Quiet(), 20, False), (Quiet(), 21, True), (Quiet(), 23, True), (Quiet(), 0, True),
     (Quiet(), 6, True), (Quiet(), 7, False), (Quiet(from_hour=12, to_hour=13), 12, True),
     (Quiet(from_hour=12, to_hour=13), 13, False), (NOON, 0, False)],
)  # fmt: skip
def test_quiet_hours(told: Told, quiet: Quiet, hour: int, expected: bool) -> None:
    """They may go over midnight; equal hours are none."""
    assert quiet.at(told.province.clock.at.replace(hour=hour)) is expected


def test_every_event_that_is_told_has_a_queue() -> None:
    """What the table names is bound to the queue, or nobody would ever be told."""
    from services.common.messaging.topology import BINDINGS

    assert set(SAID) <= set(BINDINGS["notify.reactions"])
