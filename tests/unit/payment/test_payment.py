# SPDX-License-Identifier: Apache-2.0
"""One dossier's money: every order, every end, and the ledger beside it."""

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.common import contracts
from services.common.errors import Refused
from services.common.money import Vnd
from services.payment.domain import acts as a
from services.payment.domain.ledger import ADVANCE, OWED, Ledger
from services.payment.domain.payment import Fact, Payment, decide, evolve

E1, R1, R2 = (f"01932b6e-7c00-7000-8000-00000000000{n}" for n in (1, 2, 3))
REQUEST = a.RequestPayment(
    procedure="2.000635", procedure_version=1, le_phi=Vnd(8_000), phi=Vnd(2_000), token="K7F3Q2A9",
    qr="x", machine="VT01",
)  # fmt: skip
DUTY = a.RequestDuty(
    duty_event=E1, le_phi=Vnd(12_000), phi=Vnd(0), token="K7F3Q2A9", qr="x", machine="VT01"
)
ENDS = [a.ClosePayment(because=why, cause_event=E1) for why in ("refused", "withdrawn", "stopped")]
ASK, AGREE = a.RequestRefund(refund=R1, by="tc001"), a.ApproveRefund(refund=R1, by="tc002")
GIVE_UP = a.ReleaseAdvance(by="tc001", reason="Bỏ dở")
PAY = a.PayRefund(refund=R1, by="tc001", reference="UNC-1")


def note(amount: int, name: str = "n1") -> a.CreditCash:
    """Return a stacked note."""
    return a.CreditCash(machine="VT01", denomination=Vnd(amount), note_event=name)


def transfer(amount: int, name: str = "r1") -> a.MatchBankCredit:
    """Return a matched transfer."""
    return a.MatchBankCredit(provider="payos", reference=name, amount=Vnd(amount))


class Books:
    """A payment and the ledger beside it; refused commands change neither."""

    def __init__(self, *commands: a.Command) -> None:
        self.state, self.ledger = Payment(), Ledger()
        self.facts: list[Fact] = []
        for command in commands:
            self.run(command)

    def run(self, command: a.Command) -> None:
        """Decide, evolve and book; every event leaves the ledger at 0."""
        for name, data in decide(command, self.state):
            if name == "payment.bank_credit_matched":
                self.ledger.apply("payment.bank_credit_received", "", data)
            self.state = evolve(self.state, name, data)
            self.ledger.apply(name, "d", data)
            self.facts.append((name, data))
            self.check()

    def check(self) -> None:
        """Fold and ledger say the same about every đồng."""
        accounts, state = self.ledger.accounts, self.state
        assert self.ledger.total() == 0
        assert accounts[f"{ADVANCE}d"] == -state.advance <= 0
        assert accounts[f"{OWED}d"] == -state.owed <= 0
        assert accounts["overpaid"] == -state.overpaid <= 0
        assert (accounts["fee:le_phi"], accounts["fee:phi"]) == (-state.le_phi, -state.phi)
        assert accounts["unplaced"] == 0
        came_in = accounts["cash:VT01"] + accounts["bank:payos"]
        assert came_in == state.paid

    def names(self) -> list[str]:
        """Return the names of what happened."""
        return [name.partition(".")[2] for name, _ in self.facts]


NOTES = [f"01932b6e-7c00-7000-8000-00000000010{n}" for n in range(4)]
COMMANDS = st.one_of(
    st.sampled_from([REQUEST, DUTY, *ENDS, ASK, AGREE, PAY, a.ApproveRefund(refund=R1, by="tc001"),
                     a.RequestRefund(refund=R2, by="tc003"), a.ApproveRefund(refund=R2, by="tc001"),
                     a.PayRefund(refund=R2, by="tc003", reference="UNC-2"), GIVE_UP]),
    st.builds(note, st.sampled_from([10_000, 20_000, 50_000]), st.sampled_from(NOTES)),
    st.builds(transfer, st.integers(1, 30_000), st.sampled_from("efgh")),
)  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(st.lists(COMMANDS, max_size=25))
def test_every_dong_is_in_one_place(commands: Sequence[a.Command]) -> None:
    """Random histories: the ledger sums to 0 after every event and agrees with the fold."""
    books = Books()
    for command in commands:
        before = books.state
        try:
            books.run(command)
        except Refused:
            assert books.state is before
    asked = books.names().count("requested") + books.names().count("duty_requested")
    assert books.names().count("settled") <= asked
    for name, data in books.facts:
        contracts.newest(name).check(data)  # type: ignore[arg-type]  # JSON by contract


def test_a_note_before_the_fee_is_asked() -> None:
    """Offline machines credit first; the request settles at once."""
    books = Books(note(20_000), REQUEST)
    assert books.names() == ["cash_credited", "requested", "settled"]
    assert (books.state.overpaid, books.state.advance) == (10_000, 0)


def test_nothing_due_settles_at_once() -> None:
    """A procedure without a fee is settled by asking."""
    free = a.RequestPayment(
        procedure="2.000908", procedure_version=1, le_phi=Vnd(0), phi=Vnd(0), token="K7F3Q2A9",
        qr="", machine="VT01",
    )  # fmt: skip
    books = Books(free)
    assert books.facts[-1][1]["method"] == "none"


def test_two_transfers_for_one_fee() -> None:
    """The second is the citizen's: it lies in overpaid and can be claimed."""
    books = Books(REQUEST, transfer(10_000, "r1"), transfer(10_000, "r2"))
    assert (books.names().count("settled"), books.state.overpaid) == (1, 10_000)
    books.run(ASK)
    books.run(AGREE)
    books.run(PAY)
    assert (books.state.overpaid, books.state.owed) == (0, 0)
    assert books.ledger.balances()["paid_out"] == -10_000


def test_a_further_fee_is_settled_by_new_money_only() -> None:
    """What was overpaid earlier stays the citizen's; the further fee is asked and paid apart."""
    books = Books(REQUEST, transfer(15_000), DUTY)
    assert (books.state.settled, books.state.due, books.state.overpaid) == (False, 12_000, 5_000)
    books.run(note(20_000))
    assert (books.state.settled, books.state.overpaid) == (True, 13_000)
    assert books.state.le_phi == 20_000


@pytest.mark.parametrize(
    ("end", "owed", "fees"), [(ENDS[0], 20_000, 0), (ENDS[1], 20_000, 0), (ENDS[2], 10_000, 10_000)]
)
def test_how_a_dossier_ends(end: a.ClosePayment, owed: int, fees: int) -> None:
    """Refused or withdrawn: all goes back. Stopped: the fee was earned, the rest goes back."""
    books = Books(REQUEST, note(20_000), end)
    assert (books.state.owed, books.state.le_phi + books.state.phi) == (owed, fees)


def test_money_after_the_end_is_owed() -> None:
    """A transfer that comes after the refusal is the citizen's at once, nothing is settled."""
    books = Books(REQUEST, ENDS[0], transfer(10_000))
    assert (books.state.owed, books.state.settled) == (10_000, False)


def test_given_up_and_paid_in_full_later() -> None:
    """Too little was put in and the citizen left: it is owed; the whole fee is still to be paid."""
    books = Books(note(5_000), REQUEST, GIVE_UP)
    assert (books.state.owed, books.state.advance, books.state.settled) == (5_000, 0, False)
    books.run(transfer(10_000))
    assert (books.state.owed, books.state.settled) == (5_000, True)


@pytest.mark.parametrize(
    ("before", "command", "code"),
    [
        ([REQUEST], REQUEST, "already_requested"),
        ([ENDS[0]], REQUEST, "payment_closed"),
        ([ENDS[0]], DUTY, "payment_closed"),
        ([ENDS[0]], ENDS[1], "already_closed"),
        ([note(10_000)], note(10_000), "already_credited"),
        ([transfer(10_000)], transfer(10_000), "already_credited"),
        ([REQUEST, note(10_000)], ASK, "nothing_owed"),
        ([note(10_000), ENDS[0], ASK], a.RequestRefund(refund=R2, by="tc003"), "nothing_owed"),
        ([note(10_000), ENDS[0], ASK], a.ApproveRefund(refund=R1, by="tc001"), "same_person"),
        ([note(10_000), ENDS[0], ASK], PAY, "refund_not_open"),
        ([note(10_000), ENDS[0], ASK, AGREE], AGREE, "refund_not_open"),
        ([note(10_000), ENDS[0], ASK, AGREE, PAY], PAY, "refund_not_open"),
        ([], AGREE, "refund_unknown"),
        ([REQUEST], GIVE_UP, "nothing_short"),
        ([REQUEST, note(10_000)], GIVE_UP, "nothing_short"),
    ],
)
def test_what_is_not_allowed(before: list[a.Command], command: a.Command, code: str) -> None:
    """Each act out of its order is refused with its code, in two languages."""
    books = Books(*before)
    with pytest.raises(Refused) as caught:
        decide(command, books.state)
    assert (caught.value.code, bool(caught.value.vi)) == (code, True)
