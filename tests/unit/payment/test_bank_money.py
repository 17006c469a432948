# SPDX-License-Identifier: Apache-2.0
"""Strange money from banks: contradicted, unmatched, returned; nothing is lost on the way."""

import uuid

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.common import contracts
from services.common.errors import Refused
from services.common.eventlog.recording import Cause
from services.payment.application import bank_credits, queries, refunds, worklists
from services.payment.application.commands import RecordBankCredit, record_bank_credit
from services.payment.domain import credit as c
from services.payment.domain.ledger import OWED, SENDER, Ledger
from tests.support.province import Province


@pytest.fixture
def province() -> Province:
    """A fresh province."""
    return Province()


def ask(dossier: str = "") -> refunds.Ask:
    """Return an officer's request with a fresh key."""
    cause = Cause(correlation_id=str(uuid.uuid4()), actor="official:tc001")
    return refunds.Ask(source="http:tc001", key=str(uuid.uuid4()), cause=cause, dossier=dossier)


def does(
    province: Province, command: c.Command, reference: str = "FT0001", provider: str = "payos"
) -> None:
    """An officer does something with a credit."""
    recorder = province.office.recorder("motcua_payment")
    where = {"provider": provider, "reference": reference}
    if isinstance(command, c.PlaceCredit):
        bank_credits.place_credit(recorder, ask(command.dossier), command, **where)
    else:
        bank_credits.handle_credit(recorder, ask(), command, **where)
    province.run()


def balances(province: Province) -> dict[str, int]:
    """Return the ledger; its sum is 0."""
    book = queries.ledger(province.log)
    assert book.total() == 0
    return book.balances()


def told(province: Province, amount: int, token: str | None, reference: str = "FT0001") -> None:
    """The bank tells of a transfer; nobody reacts yet."""
    record_bank_credit(
        province.office.recorder("motcua_payment"),
        RecordBankCredit(
            provider="payos", reference=reference, amount_vnd=amount, token=token,
            account="1234567890", body_digest="ab" * 32,
        ),
        correlation_id=str(uuid.uuid4()),
    )  # fmt: skip


def test_a_contradiction_before_anybody_reacted(province: Province) -> None:
    """The credit is matched although a second content stands behind it on its stream."""
    dossier = province.deposit()
    token = province.payment(dossier).token
    told(province, 8_000, token)
    with pytest.raises(Refused, match="idempotency_key_reused"):
        told(province, 9_000, token)
    province.run()
    assert province.payment(dossier).settled
    assert province.types("payment-bank.payos.FT0001")[-1] == "payment.bank_credit_assigned"


def test_what_was_paid_too_much_is_listed_by_whose_it_is(province: Province) -> None:
    """The most first, until a refund is asked or the dossier ends; together it is the account."""
    first, second, third = (province.deposit(pouch=f"P{n}") for n in range(3))
    province.pays(first, 10_000)
    province.pays(second, 50_000)
    province.pays(third, 8_000)
    assert worklists.overpaid(province.log, 10) == [
        {"dossier": second, "amount_vnd": 42_000}, {"dossier": first, "amount_vnd": 2_000},
    ]  # fmt: skip
    assert balances(province)["overpaid"] == -44_000
    province.pays(third, 1_000)
    assert [row["amount_vnd"] for row in worklists.overpaid(province.log, 2)] == [42_000, 2_000]
    refunds.request_refund(province.office.recorder("motcua_payment"), ask(second), by="tc001")
    province.does(first, "refuse", reason="Sai mẫu")
    assert worklists.overpaid(province.log, 10) == [{"dossier": third, "amount_vnd": 1_000}]
    assert {row["dossier"] for row in worklists.owed(province.log, 10)} == {first, second}


RETURN, AGREE = c.AskReturn(by="tc001", reason="Chuyển nhầm"), c.ApproveReturn(by="tc002")
PAY = c.PayReturn(by="tc001", reference="UNC-9")
CLOSE = c.CloseConflict(by="tc001", reason="Ngân hàng xác nhận")


def test_money_of_nobody_goes_back(province: Province) -> None:
    """Two officers send it back; it leaves one list, stands on the other, and is gone at last."""
    told(province, 7_000, None)
    province.run()
    (row,) = worklists.unmatched(province.log, 10)
    assert (row["bank_credit"], row["amount_vnd"], row["reason"]) == (
        "payos.FT0001", 7_000, "no_token",
    )  # fmt: skip
    does(province, RETURN)
    assert worklists.unmatched(province.log, 10) == []
    assert [row["approved"] for row in worklists.returns(province.log, 10)] == [False]
    assert balances(province)[f"{SENDER}payos/FT0001"] == -7_000
    with pytest.raises(Refused, match="same_person"):
        does(province, c.ApproveReturn(by="tc001"))
    does(province, AGREE)
    does(province, PAY)
    assert worklists.returns(province.log, 10) == []
    assert balances(province) == {"bank:payos": 7_000, "paid_out": -7_000}


def test_placed_by_an_officer_for_a_refused_dossier(province: Province) -> None:
    """The dossier ended meanwhile: what is placed on it is owed at once."""
    dossier = province.deposit()
    told(province, 8_000, "ZZZZZZZZ")
    province.run()
    province.does(dossier, "refuse", reason="Sai mẫu")
    does(province, c.PlaceCredit(dossier=dossier))
    assert balances(province)[OWED + dossier] == -8_000


def test_a_conflict_stays_listed_until_an_officer_has_looked(province: Province) -> None:
    """Both amounts are on the list; closing takes it off and moves no money."""
    told(province, 8_000, None)
    with pytest.raises(Refused):
        told(province, 9_000, None)
    province.run()
    (row,) = worklists.conflicts(province.log, 10)
    assert (row["amount_vnd"], row["other_amount_vnd"]) == (8_000, 9_000)
    before = balances(province)
    does(province, CLOSE)
    assert worklists.conflicts(province.log, 10) == []
    assert balances(province) == before


def test_an_abandoned_visit(province: Province) -> None:
    """A note short of the fee is listed with what is missing, given up, and paid back."""
    dossier = province.deposit(procedure="1.001612")
    province.pays(dossier, 20_000)
    (row,) = worklists.abandoned(province.log, 10)
    assert row == {
        "dossier": dossier, "amount_vnd": 20_000, "due_vnd": 100_000, "short_vnd": 80_000,
        "visit": None,
    }  # fmt: skip
    recorder = province.office.recorder("motcua_payment")
    refunds.release_advance(recorder, ask(dossier), by="tc001", reason="Bỏ dở")
    assert worklists.abandoned(province.log, 10) == []
    assert worklists.owed(province.log, 10) == [{"dossier": dossier, "amount_vnd": 20_000}]


def notes(province: Province, dossier: str, *denominations: int, reason: str = "done") -> None:
    """A cash session at the machine, from the first note to its end."""
    journal = province.office.journal
    for count, note in enumerate(denominations, start=1):
        journal("kiosk.cash_note_credited", dossier=dossier, denomination_vnd=note,
                stacked_count=count)  # fmt: skip
    journal("kiosk.cash_closed", dossier=dossier, notes=len(denominations),
            total_vnd=sum(denominations), reason=reason)  # fmt: skip
    province.run()


def test_notes_left_short_of_the_fee_stay_the_dossiers(province: Province) -> None:
    """A citizen who walks away is listed as short; the rest by QR settles and ends the list."""
    dossier = province.deposit(procedure="1.001612")
    notes(province, dossier, 10_000, 10_000, reason="abandoned")
    assert balances(province) == {"cash:VT01": 20_000, f"advance:{dossier}": -20_000}
    (row,) = worklists.abandoned(province.log, 10)
    assert (row["amount_vnd"], row["short_vnd"], row["visit"]) == (20_000, 80_000, "abandoned")
    province.pays(dossier, 80_000)
    assert province.payment(dossier).settled
    assert worklists.abandoned(province.log, 10) == []


def test_the_machine_gives_no_change_and_the_surplus_is_paid_back(province: Province) -> None:
    """What notes bring above the fee stands apart and leaves only to the citizen."""
    dossier = province.deposit(procedure="1.001612")
    notes(province, dossier, 100_000, 50_000)
    assert balances(province)["overpaid"] == -50_000
    recorder = province.office.recorder("motcua_payment")
    refunds.request_refund(recorder, ask(dossier), by="tc001")
    after = balances(province)
    assert ("overpaid" in after, after[OWED + dossier]) == (False, -50_000)


def loose(province: Province, amount: int) -> str:
    """A machine stacks a note outside a session; returns the reference payment gives it."""
    province.office.journal("kiosk.cash_note_unplaced", denomination_vnd=amount, stacked_count=9)
    stacked = province.office.newest("kiosk.cash_note_unplaced")
    province.run()
    (row,) = worklists.unmatched(province.log, 10)
    assert row == {
        "bank_credit": f"cash.{stacked.event_id}", "amount_vnd": amount, "reason": "no_session",
        "machine": "VT01", "since": stacked.occurred_at.isoformat(),
    }  # fmt: skip
    assert balances(province)["cash:VT01"] == amount
    assert balances(province)["unplaced"] == -amount
    return str(stacked.event_id)


def test_a_note_outside_a_session_is_placed_by_an_officer(province: Province) -> None:
    """Booked and on the list at once; placed, it pays as cash and is placed no second time."""
    dossier = province.deposit()
    reference = loose(province, 10_000)
    does(province, c.PlaceCredit(dossier=dossier), reference, "cash")
    assert worklists.unmatched(province.log, 10) == []
    assert balances(province) == {"cash:VT01": 10_000, "fee:le_phi": -8_000, "overpaid": -2_000}
    paid = province.payment(dossier)
    assert (paid.settled, paid.cash, paid.bank) == (True, 10_000, 0)
    settled = province.office.newest("payment.settled")
    assert settled.data["method"] == "cash"
    with pytest.raises(Refused, match="credit_not_waiting"):
        does(province, c.PlaceCredit(dossier=dossier), reference, "cash")


def test_a_note_outside_a_session_goes_back_by_two_officers(province: Province) -> None:
    """Nobody's after all: given back like a bank's credit."""
    reference = loose(province, 20_000)
    for act in (RETURN, AGREE, PAY):
        does(province, act, reference, "cash")
    assert balances(province) == {"cash:VT01": 20_000, "paid_out": -20_000}


def test_a_discrepancy_without_an_amount_is_still_read(province: Province) -> None:
    """Records of machines that journalled counts alone book nothing and stop nothing."""
    province.office.journal("kiosk.cash_discrepancy", stacked_count=2, journalled_count=1)
    province.run()
    assert balances(province) == {}


MONEY = {"provider": "payos", "reference": "r", "amount_vnd": 5_000}
FIRST = ("payment.bank_credit_received", {**MONEY, "token": None})
LATER = st.sampled_from([
    ("payment.bank_credit_unmatched", {"reason": "no_token"}),
    ("payment.bank_callback_conflict", MONEY),
    c.PlaceCredit(dossier="d"), RETURN, AGREE, PAY, CLOSE, c.ApproveReturn(by="tc001"),
])  # fmt: skip


def happens(act: c.Command | c.Fact, credit: c.Credit) -> c.Fact | None:
    """Return what comes of an act; None where it is refused or makes no sense."""
    if isinstance(act, tuple):
        late = act[0] == "payment.bank_credit_unmatched" and credit.state != c.RECEIVED
        return None if late else act
    try:
        name, data = c.decide(act, credit)
    except Refused:
        return None
    whole = {**data, "dossier": str(uuid.UUID(int=1))} if "dossier" in data else data
    contracts.newest(name).check(whole)  # type: ignore[arg-type]  # JSON by contract
    return name, data


@settings(max_examples=300, deadline=None)
@given(st.lists(LATER, max_size=12))
def test_a_credit_ends_once(story: list[c.Command | c.Fact]) -> None:
    """Random acts: placed or returned, never both, never by one officer; the ledger sums to 0."""
    credit, book, done = c.Credit(), Ledger(), []
    for act in (FIRST, *story):
        fact = happens(act, credit)
        if fact is None:
            continue
        credit = c.evolve(credit, *fact)
        done.append(fact[0].removeprefix("payment.bank_credit_"))
        book.apply(fact[0], "", fact[1])
        if fact[0] == "payment.bank_credit_assigned":
            book.apply("payment.bank_credit_matched", "d", MONEY)
        assert book.total() == 0
    assert done.count("assigned") + done.count("return_requested") <= 1
    assert ("return_approved" in done) <= ("return_requested" in done)
    assert -book.balances().get("unplaced", 0) == (
        5_000 if credit.state in {c.RECEIVED, c.UNMATCHED} else 0
    )
