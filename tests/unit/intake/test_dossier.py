# SPDX-License-Identifier: Apache-2.0
"""A dossier's ten states: every allowed step, every other refused, laws over random histories."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.common import contracts
from services.common.errors import Refused
from services.common.lookup import NO_LOOKUP
from services.intake.domain import acts as a
from services.intake.domain.dossier import Dossier, decide, evolve
from services.intake.domain.transitions import NAMES, TRANSITIONS

AT, DUE = "2026-11-23T09:00:00+07:00", "2026-11-25T17:00:00+07:00"
E1, E2 = "01932b6e-7c00-7000-8000-000000000a01", "01932b6e-7c00-7000-8000-000000000a02"
CODE = "H30.12-261123-0001"
STUB = {"key": E1, "digest": "0" * 64, "commitment": "0" * 32}

REGISTER = a.RegisterDossier(
    procedure="2.000635", procedure_version=1, office="VT", machine="VT01", pouch="P1", copies=1,
    papers=("Tờ khai",), contact_event=E1, pages=1, exemption=None, lookup=NO_LOOKUP,
)  # fmt: skip
IMPORT = a.ImportDossier(
    code=CODE, procedure="1.012783", procedure_version=1, office="VT", channel="counter", due_at=DUE
)
OPEN = a.OpenPouch(official="cb001", as_listed=True)
ACCEPT = a.AcceptDossier(
    code=CODE, official="cb001", due_at=DUE, working_days=1, fee_settled=True
)  # fmt: skip
REFUSE = a.RefuseDossier(official="cb001", reason="Không thuộc thẩm quyền")
ASK = a.RequestSupplement(
    official="cb001", reasons=("Thiếu bản sao",), respond_by=DUE, requested_at=AT, policy="pause"
)
RECEIVE = a.ReceiveSupplement(official="cb001", code=CODE, due_at=DUE, fee_settled=True)
START = a.StartProcessing(official="cb001", agency="Phòng Tư pháp")
ASK_FEE = a.AskFurtherFee(
    official="cb001", le_phi_vnd=12_000, phi_vnd=0, reason="Lệ phí", requested_at=AT
)
CLEAR = a.ClearFee(payment_event=E1, due_at=DUE)
WITHDRAW = a.WithdrawDossier(official="cb001", reason="Không còn nhu cầu")
STOP = a.StopDossier(official="cb001", reason="Tranh chấp")
MOVE = a.Reschedule(official="cb001", reason="Chờ xác minh", due_at=DUE, in_time=True)
COMPLETE = a.CompleteDossier(result_number="KQ1", return_channel="machine", return_machine="VT01")
READY = a.MarkReady(machine="VT01", cell=3, loaded_event=E1)
RECALL = a.RecallResult(machine="VT01", cell=3, staff="cb001", recalled_event=E2)
RETURN = a.ReturnDossier(
    channel="kiosk", proof="grant", machine="VT01", grant=E1, released_event=E2
)
HAND_OVER = a.ReturnDossier(channel="counter", proof="Ký nhận", official="cb001")
REVERSE = a.ReverseReturn(official="cb001", reason="Giao nhầm", incident="SC-1")
REPORT = a.RecordReport(status=2, reference="r", reported=E1)
DISPUTE = a.DisputeReport(status=2, error="409", owner="VT", due_at=DUE, reported=E2)
RESOLVE = a.ResolveReport(official="cb001", reason="Đã sửa", reported=E2)
AGAIN = a.RepeatNotice(official="cb001", reason="Không nhận được tin nhắn")
ACTS: list[a.Act] = [
    REGISTER, IMPORT, OPEN, ACCEPT, REFUSE, ASK, RECEIVE, START, ASK_FEE, CLEAR, WITHDRAW, STOP,
    MOVE, COMPLETE, READY, RECALL, RETURN, HAND_OVER, REVERSE, REPORT, DISPUTE, RESOLVE,
    AGAIN,
]  # fmt: skip

ALLOWED = {
    # the portal's states as the law moves them, written down apart from the program's own table
    (0, 1), (0, 4), (1, 2), (1, 3), (1, 5), (2, 4), (4, 5), (4, 6), (4, 8), (5, 4), (6, 4), (5, 3),
    (5, 8), (1, 7), (2, 7), (4, 7), (5, 7), (6, 7), (4, 9), (9, 10), (10, 9),
}  # fmt: skip
LEADS: dict[str, dict[int, int | str]] = {
    # where each act leads from each state, or its refusal; what is not named is a wrong status
    "dossier.registered": {0: 1},
    "dossier.imported": {0: 4},
    "dossier.opened": {1: 1},
    "dossier.accepted": {1: 2},
    "dossier.refused": {1: 3, 5: 3},
    "dossier.supplement_requested": {1: 5, 4: 5},
    "dossier.supplement_received": {5: 4},
    "dossier.processing_started": {2: 4},
    "dossier.fee_due": {4: 6},
    "dossier.fee_cleared": {6: 4},
    "dossier.withdrawn": {1: 7, 2: 7, 4: 7, 5: 7, 6: 7},
    "dossier.stopped": {4: 8, 5: 8},
    "dossier.rescheduled": {2: 2, 4: 4},
    "dossier.completed": {2: 9, 4: 9, 9: 9},
    "dossier.ready": {9: 9},
    "dossier.recalled": {9: "not_ready"},
    "dossier.returned": {9: "not_ready"},
    "dossier.return_reversed": {10: 9},
    "dossier.notice_repeated": {status: status for status in range(1, 11)},
    "dossier.reported": {2: 2, 4: 4, 5: 5, 6: 6, 8: 8, 9: 9, 10: 10},
    "dossier.report_disputed": {2: 2, 4: 4, 5: 5, 6: 6, 8: 8, 9: 9, 10: 10},
    "dossier.report_resolved": dict.fromkeys(range(1, 11), "not_disputed"),
}
PATHS: dict[int, list[a.Act]] = {
    0: [],
    1: [REGISTER],
    2: [REGISTER, ACCEPT],
    3: [REGISTER, REFUSE],
    4: [REGISTER, ACCEPT, START],
    5: [REGISTER, ACCEPT, START, ASK],
    6: [REGISTER, ACCEPT, START, ASK_FEE],
    7: [REGISTER, WITHDRAW],
    8: [REGISTER, ACCEPT, START, STOP],
    9: [REGISTER, ACCEPT, START, COMPLETE],
    10: [REGISTER, ACCEPT, START, COMPLETE, READY, RETURN],
}


def given_(*commands: a.Act) -> Dossier:
    """Return the dossier after ``commands``, each event checked against its contract."""
    state = Dossier()
    for command in commands:
        state = after(command, state)
    return state


def after(command: a.Act, state: Dossier) -> Dossier:
    """Return the state after one command."""
    for event_type, data in decide(command, state):
        whole = {**data, "contact": STUB} if event_type == "dossier.imported" else data
        contracts.newest(event_type).check(whole)  # type: ignore[arg-type]  # JSON by contract
        state = evolve(state, event_type, data)
    return state


def test_every_state_is_reached() -> None:
    """The ways written above lead where they say, and every state has a name in two languages."""
    for status, path in PATHS.items():
        assert given_(*path).status == status
    assert set(NAMES) == set(PATHS)


def test_the_table_is_the_laws() -> None:
    """No row leads where the law does not, and nothing of the law is missing."""
    rows = {
        (source, row.target)
        for row in TRANSITIONS.values()
        for source in row.sources
        if row.target is not None
    }
    assert rows == ALLOWED


@pytest.mark.parametrize("status", PATHS)
@pytest.mark.parametrize("act", ACTS, ids=lambda act: f"{act.event}-{len(str(act))}")
def test_every_act_in_every_state(status: int, act: a.Act) -> None:
    """What the law has leads where it says; everything else is refused with its code, both ways."""
    state = given_(*PATHS[status])
    expected = LEADS[act.event].get(status, "wrong_status" if status else "not_registered")
    if act is HAND_OVER and status == 9:
        expected = 10  # over the counter it needs no cell
    if act in {REGISTER, IMPORT} and status:
        expected = "already_registered"
    if isinstance(expected, int):
        before = state
        for fact in decide(act, state):
            assert before.status in TRANSITIONS[fact[0]].sources
            moved = evolve(before, *fact)
            assert moved.status == before.status or (before.status, moved.status) in ALLOWED
            before = moved
        assert before.status == expected
        return
    with pytest.raises(Refused) as caught:
        decide(act, state)
    assert caught.value.code == expected
    assert caught.value.en
    assert caught.value.vi


@pytest.mark.parametrize(
    ("before", "command", "code"),
    [
        ([], ACCEPT, "not_registered"),
        ([REGISTER], REGISTER, "already_registered"),
        ([REGISTER], IMPORT, "already_registered"),
        ([REGISTER], COMPLETE, "wrong_status"),
        ([REGISTER], replace(ACCEPT, fee_settled=False), "fee_unpaid"),
        ([REGISTER, OPEN], OPEN, "already_opened"),
        ([REGISTER, ASK], replace(RECEIVE, fee_settled=False), "fee_unpaid"),
        (PATHS[4] + [ASK, RECEIVE], ASK, "already_guided"),
        (PATHS[4] + [MOVE], MOVE, "already_rescheduled"),
        (PATHS[9], RETURN, "not_ready"),
        (PATHS[9], replace(READY, machine="CT01"), "other_machine"),
        ([*PATHS[9], READY], READY, "already_ready"),
        ([*PATHS[9], READY], HAND_OVER, "lies_in_machine"),
        (PATHS[9], RECALL, "not_ready"),
        ([*PATHS[9], READY, RECALL], READY, "other_machine"),
        (PATHS[10], RETURN, "wrong_status"),
        (PATHS[10], COMPLETE, "wrong_status"),
        (PATHS[1], REPORT, "wrong_status"),
        (PATHS[2], replace(REPORT, status=10), "wrong_status"),
        ([*PATHS[2], DISPUTE], DISPUTE, "already_disputed"),
        (PATHS[2], RESOLVE, "not_disputed"),
    ],
)
def test_what_is_not_allowed(before: list[a.Act], command: a.Act, code: str) -> None:
    """Every act out of its order is refused with its code."""
    with pytest.raises(Refused) as caught:
        decide(command, given_(*before))
    assert caught.value.code == code
    assert caught.value.vi


def test_a_wrong_status_names_both_states() -> None:
    """The refusal says where the dossier is and where the act belongs."""
    with pytest.raises(Refused) as caught:
        decide(ACCEPT, given_(*PATHS[4]))
    assert "status 4 (being processed)" in caught.value.en
    assert "1 (newly registered)" in caught.value.en
    assert "đang xử lý" in caught.value.vi


def test_completion_tells_of_a_hand_over_that_nobody_recorded() -> None:
    """Finished while only accepted: the hand-over is recorded with it, states 2, 4, 9."""
    facts = decide(COMPLETE, given_(*PATHS[2]))
    assert [name for name, _ in facts] == ["dossier.processing_started", "dossier.completed"]
    assert decide(COMPLETE, given_(*PATHS[9])) == []


def test_a_supplement_before_acceptance_gives_code_and_due_time() -> None:
    """The clock had not begun; it begins when the papers are complete."""
    asked = given_(REGISTER, ASK)
    assert (asked.clock, asked.code) == ("not_started", "")
    received = after(RECEIVE, asked)
    assert (received.status, received.code, received.due_at) == (4, CODE, DUE)


def test_a_recalled_result_is_had_at_the_counter() -> None:
    """Out of the cell, it is neither in a machine nor bound to one."""
    recalled = given_(*PATHS[9], READY, RECALL)
    assert (recalled.ready_at, recalled.return_channel) == ("", "counter")
    assert after(HAND_OVER, recalled).status == 10


def test_a_reversed_return_is_reported_again() -> None:
    """After a reversal the status 10 counts as not yet told."""
    told = after(replace(REPORT, status=10, reported=E2), given_(*PATHS[10]))
    reversed_ = after(REVERSE, told)
    assert (reversed_.status, 10 in reversed_.reported) == (9, False)
    again = after(HAND_OVER, reversed_)
    assert again.status == 10


def test_a_report_is_recorded_once() -> None:
    """The same acknowledged event is one event, however often it is acknowledged."""
    assert len(decide(REPORT, given_(*PATHS[2]))) == 1
    assert decide(REPORT, given_(*PATHS[2], REPORT)) == []
    assert len(decide(replace(REPORT, reported=E2), given_(*PATHS[2], REPORT))) == 1


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(ACTS), max_size=40))
def test_random_histories_stay_lawful(commands: list[a.Act]) -> None:
    """Whatever is tried in whatever order: only the law's steps, and the state says no nonsense."""
    state = Dossier()
    for command in commands:
        before = state
        try:
            state = after(command, state)
        except Refused:
            assert state is before
            continue
        assert state.version >= before.version
        assert bool(state.code) or state.status in {0, 1, 3, 5, 7, 8}
        assert not state.ready_at or state.status == 9
        assert (state.status == 5) <= bool(state.stopped_at)
        assert before.reported <= state.reported | {10}
