# SPDX-License-Identifier: Apache-2.0
"""Payments, fees, tokens and the ledger."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.sandbox.bank import read_payload
from services.common.errors import Refused
from services.common.money import Vnd
from services.payment.adapters import payos
from services.payment.domain import payment as p
from services.payment.domain.fees import fee_of
from services.payment.domain.ledger import Ledger
from services.payment.domain.token import ALPHABET, find_token, make_token, transfer_text
from services.payment.domain.vietqr import dynamic_payload

REQUEST = p.RequestPayment(
    procedure="2.000635", procedure_version=1, le_phi=Vnd(8_000), phi=Vnd(2_000), token="K7F3Q2A9",
    qr="", machine="VT01",
)  # fmt: skip


def run(commands: list[p.Command]) -> tuple[p.Payment, list[p.Fact]]:
    """Decide and evolve ``commands``; refused ones change nothing."""
    state, facts = p.Payment(), []
    for command in commands:
        try:
            decided = p.decide(command, state)
        except Refused:
            continue
        for fact in decided:
            state = p.evolve(state, *fact)
        facts += decided
    return state, facts


NOTES = st.lists(st.sampled_from([10_000, 20_000, 50_000]), max_size=3)
TRANSFERS = st.lists(st.integers(1, 30_000), max_size=3)


@given(NOTES, TRANSFERS, st.randoms(use_true_random=False))
def test_any_order_settles_once_and_sums_to_nought(
    notes: list[int], transfers: list[int], dice: random.Random
) -> None:
    """However request, notes and transfers are ordered and repeated, the account is the same."""
    commands: list[p.Command] = [REQUEST]
    commands += [
        p.CreditCash(machine="VT01", denomination=Vnd(note), note_event=f"n{place}")
        for place, note in enumerate(notes)
    ]
    commands += [
        p.MatchBankCredit(provider="payos", reference=f"r{place}", amount=Vnd(amount))
        for place, amount in enumerate(transfers)
    ]
    commands += commands[: dice.randrange(len(commands) + 1)]
    dice.shuffle(commands)
    state, facts = run(commands)
    total = sum(notes) + sum(transfers)
    assert state.paid == total
    assert [name for name, _ in facts].count("payment.settled") == (total >= 10_000)
    ledger = Ledger()
    for place, amount in enumerate(transfers):
        received = {"provider": "payos", "reference": f"r{place}", "amount_vnd": amount}
        ledger.apply("payment.bank_credit_received", "", received)
        assert ledger.total() == 0
    for name, data in facts:
        ledger.apply(name, "d", data)
        assert ledger.total() == 0
    balances = ledger.balances()
    if total >= 10_000:
        assert balances["fee:le_phi"] == -8_000
        assert balances.get("overpaid", 0) == 10_000 - total
        assert "advance:d" not in balances
    assert balances.get("cash:VT01", 0) == sum(notes)


def test_request_twice_is_refused() -> None:
    """A fee is asked once."""
    state, _ = run([REQUEST])
    with pytest.raises(Refused, match="already_requested"):
        p.decide(REQUEST, state)


@pytest.mark.parametrize(
    ("rule", "le_phi", "phi", "copies", "total"),
    [
        ("none", 0, 0, 5, 0), ("flat", 100_000, 0, 1, 100_000), ("flat", 100_000, 0, 9, 100_000),
        ("flat", 12_000, 810_000, 1, 822_000), ("per_copy", 8_000, 0, 1, 8_000),
        ("per_copy", 8_000, 0, 3, 24_000), ("per_copy", 0, 2_000, 10, 20_000),
        ("per_copy", 1_000, 500, 4, 6_000), ("flat", 0, 18_000, 2, 18_000),
        ("none", 5_000, 5_000, 2, 0),
    ],
)  # fmt: skip
def test_fees_counted_by_hand(rule: str, le_phi: int, phi: int, copies: int, total: int) -> None:
    """Fee rules agree with amounts counted by hand."""
    fee = fee_of(rule, le_phi=Vnd(le_phi), phi=Vnd(phi), copies=copies)
    assert fee.total == total


def test_unknown_rule_is_refused() -> None:
    """A rule nobody knows costs nobody anything."""
    with pytest.raises(Refused, match="unknown_fee_rule"):
        fee_of("by_weather", le_phi=Vnd(1), phi=Vnd(1), copies=1)


@given(st.uuids(), st.integers(0, 5))
def test_tokens_survive_what_banks_do(dossier: object, attempt: int) -> None:
    """A token is found again in cut, prefixed and lower-case texts."""
    token = make_token(b"k" * 32, str(dossier), attempt)
    assert set(token) <= set(ALPHABET)
    for text in (
        transfer_text(token), f"MBVCB.123.{transfer_text(token)}.CT tu 0123", f"tthc{token.lower()}",
        f"IBFT TTHC  {token}-CHUYEN TIEN",
    ):  # fmt: skip
        assert find_token(text) == token
    assert find_token("chuyen tien an trua") is None


@given(st.integers(1, 10**9))
def test_an_independent_reader_understands_our_codes(amount: int) -> None:
    """The bank's own parser, written from the standard, reads every payload."""
    payload = dynamic_payload(
        bank_bin="970418", account="1234567890", amount=Vnd(amount), purpose="TTHC K7F3Q2A9"
    )
    assert read_payload(payload) == {
        "bin": "970418", "account": "1234567890", "amount": str(amount),
        "purpose": "TTHC K7F3Q2A9",
    }  # fmt: skip


PAYOS_KEY = "1a54716c8f0efb2744fb28b6e38b25da7f67a925d98bc1c18bd8faaecadd7675"
PAYOS: dict[str, payos.Value] = {
    "orderCode": 123, "amount": 3000, "description": "VQRIO123", "accountNumber": "12345678",
    "reference": "TF230204212323", "transactionDateTime": "2023-02-04 18:25:00",
    "currency": "VND", "paymentLinkId": "124c33293c43417ab7879e14c8d9eb18", "code": "00",
    "desc": "Thành công", "counterAccountBankId": "", "counterAccountBankName": "",
    "counterAccountName": "", "counterAccountNumber": "", "virtualAccountName": "",
    "virtualAccountNumber": "",
}  # fmt: skip
PAYOS_SIGNATURE = "412e915d2871504ed31be63c8f62a149a4410d34c4c42affc9006ef9917eaa03"


def test_payos_published_vector() -> None:
    """payOS's own example verifies; null counts as the empty text."""
    assert payos.sign(PAYOS, PAYOS_KEY) == PAYOS_SIGNATURE
    assert payos.is_signed({**PAYOS, "virtualAccountName": None}, PAYOS_SIGNATURE, PAYOS_KEY)


@pytest.mark.parametrize("name", sorted(PAYOS))
def test_payos_one_changed_field_is_refused(name: str) -> None:
    """Any changed value breaks the signature."""
    assert not payos.is_signed({**PAYOS, name: "x"}, PAYOS_SIGNATURE, PAYOS_KEY)
