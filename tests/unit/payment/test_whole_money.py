# SPDX-License-Identifier: Apache-2.0
"""Money and dossiers together: further fees, refusals, receipts, refunds, strange transfers."""

import uuid

import pytest

from services.common.errors import Refused
from services.common.eventlog.recording import Cause
from services.payment.application import bank_credits, queries, refunds, worklists
from services.payment.application.commands import RecordBankCredit, record_bank_credit
from services.payment.domain.credit import PlaceCredit
from services.payment.domain.ledger import OWED
from tests.support.province import Province


@pytest.fixture
def province() -> Province:
    """A fresh province."""
    return Province()


def ask(dossier: str, key: str = "") -> refunds.Ask:
    """Return an officer's request."""
    cause = Cause(correlation_id=str(uuid.uuid4()), actor="official:tc001")
    return refunds.Ask(
        source="http:tc001", key=key or str(uuid.uuid4()), cause=cause, dossier=dossier
    )


def balances(province: Province) -> dict[str, int]:
    """Return the ledger; its sum is 0."""
    book = queries.ledger(province.log)
    assert book.total() == 0
    return book.balances()


def test_receipts_have_no_gap(province: Province) -> None:
    """Numbers 1, 2, 3 in the order of settlement, words and parts right, none for free ones."""
    for copies in (1, 2, 3):
        dossier = province.deposit(copies=copies)
        province.pays(dossier, 8_000 * copies)
    province.deposit(procedure="2.000908")
    issued = province.log.read_stream("receipt-BL-2026")
    assert [event.data["number"] for event in issued] == [1, 2, 3]
    assert [event.version for event in issued] == [1, 2, 3]
    assert issued[1].data["amount_words_vi"] == "Mười sáu nghìn đồng"
    assert issued[2].data["lines"] == [{"kind": "le_phi", "amount_vnd": 24_000}]


def test_a_further_fee_is_asked_paid_and_cleared(province: Province) -> None:
    """4 → 6 → 4: asked with a code of its own amount, a receipt of its own, the clock stood still."""
    dossier = province.deposit()
    province.pays(dossier, 8_000)
    province.does(dossier, "accept")
    due = province.does(dossier, "start", agency="Phòng Tư pháp").due_at
    asked = province.does(dossier, "ask-fee", le_phi_vnd=12_000, phi_vnd=500, reason="Thẩm định")
    assert (asked.status, province.payment(dossier).due) == (6, 12_500)
    orders = [e for e in province.log.read_stream("grant-VT01") if e.type.endswith("offered")]
    assert [event.data["amount_vnd"] for event in orders] == [8_000, 12_500]
    province.clock.sleep(2 * 86_400)
    province.pays(dossier, 12_500)
    cleared = province.dossier(dossier)
    assert (cleared.status, cleared.due_at > due) == (4, True)
    receipts = province.log.read_stream("receipt-BL-2026")
    assert [event.data["amount_vnd"] for event in receipts] == [8_000, 12_500]
    assert balances(province)["fee:phi"] == -500


def test_an_old_settlement_does_not_clear_a_further_fee(province: Province) -> None:
    """The first settlement, handled again late, leaves the dossier waiting."""
    dossier = province.deposit()
    province.pays(dossier, 8_000)
    first = province.log.read_all(0, types=["payment.settled"])[-1]
    province.does(dossier, "accept")
    province.does(dossier, "start", agency="Phòng Tư pháp")
    province.does(dossier, "ask-fee", le_phi_vnd=12_000, phi_vnd=0, reason="Thẩm định")
    handler = province.runners[0].reactor.handlers["payment.settled"]
    assert list(handler(first)) == []


@pytest.mark.parametrize("verb", ["refuse", "withdraw"])
def test_paid_and_then_ended(province: Province, verb: str) -> None:
    """What was paid is owed; two officers pay it back; the account is empty then."""
    dossier = province.deposit()
    province.pays(dossier, 10_000)
    assert balances(province)["overpaid"] == -2_000
    province.does(dossier, verb, reason="Không thuộc thẩm quyền")
    assert balances(province)[OWED + dossier] == -10_000
    assert worklists.owed(province.log, 10) == [{"dossier": dossier, "amount_vnd": 10_000}]
    recorder, asked = province.office.recorder("motcua_payment"), ask(dossier)
    refunds.request_refund(recorder, asked, by="tc001")
    assert refunds.request_refund(recorder, asked, by="tc001").duplicate
    with pytest.raises(Refused, match="same_person"):
        refunds.approve_refund(recorder, ask(dossier), refund=asked.key, by="tc001")
    refunds.approve_refund(recorder, ask(dossier), refund=asked.key, by="tc002")
    refunds.pay_refund(recorder, ask(dossier), refund=asked.key, by="tc001", reference="UNC-1")
    assert OWED + dossier not in balances(province)
    assert balances(province)["paid_out"] == -10_000


def test_a_late_transfer_for_a_refused_dossier(province: Province) -> None:
    """The QR was scanned after the refusal: the money is owed, no receipt is issued."""
    dossier = province.deposit()
    province.does(dossier, "refuse", reason="Sai mẫu")
    province.pays(dossier, 8_000)
    assert balances(province)[OWED + dossier] == -8_000
    assert province.types("receipt-BL-2026") == []


def test_a_transfer_without_an_owner_is_placed_by_an_officer(province: Province) -> None:
    """Unmatched, then placed: it leaves the worklist and settles the fee, once."""
    dossier = province.deposit()
    reference = "FT0001"
    _pay_without_token(province, reference, 8_000)
    assert [row["bank_credit"] for row in worklists.unmatched(province.log, 10)] == ["payos.FT0001"]
    recorder, place = province.office.recorder("motcua_payment"), PlaceCredit(dossier=dossier)
    bank_credits.place_credit(recorder, ask(dossier), place, provider="payos", reference=reference)
    province.run()
    assert worklists.unmatched(province.log, 10) == []
    assert province.payment(dossier).settled
    with pytest.raises(Refused, match="credit_not_waiting"):
        bank_credits.place_credit(
            recorder, ask(dossier), place, provider="payos", reference=reference
        )
    with pytest.raises(Refused, match="credit_unknown"):
        bank_credits.place_credit(recorder, ask(dossier), place, provider="payos", reference="FT9")
    assert "unplaced" not in balances(province)


def test_the_same_reference_with_another_amount(province: Province) -> None:
    """The bank is refused, and people find both contents on their list, once."""
    dossier = province.deposit()
    province.pays(dossier, 8_000, "FT0001")
    for _ in range(2):
        with pytest.raises(Refused, match="idempotency_key_reused"):
            province.pays(dossier, 9_000, "FT0001")
    assert [row["other_amount_vnd"] for row in worklists.conflicts(province.log, 10)] == [9_000]
    assert balances(province)["bank:payos"] == 8_000


def _pay_without_token(province: Province, reference: str, amount: int) -> None:
    """Report a transfer whose text the bank ate."""
    record_bank_credit(
        province.office.recorder("motcua_payment"),
        RecordBankCredit(
            provider="payos", reference=reference, amount_vnd=amount, token=None,
            account="1234567890", body_digest="ab" * 32,
        ),
        correlation_id=str(uuid.uuid4()),
    )  # fmt: skip
    province.run()
