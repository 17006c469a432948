# SPDX-License-Identifier: Apache-2.0
"""Payments, fees, tokens and the ledger."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.sandbox.bank import read_payload
from services.common.money import Vnd
from services.payment.adapters import payos
from services.payment.domain.token import ALPHABET, find_token, make_token, transfer_text
from services.payment.domain.vietqr import dynamic_payload


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


@given(st.sampled_from(sorted(PAYOS)), st.integers(0, 40), st.integers(1, 127))
def test_payos_one_changed_byte_is_refused(name: str, place: int, flip: int) -> None:
    """Any byte of any value: with a bit of it turned, the payload is not payOS's."""
    value = str(PAYOS[name]) or " "
    place %= len(value)
    changed = value[:place] + chr(ord(value[place]) ^ flip) + value[place + 1 :]
    assert not payos.is_signed({**PAYOS, name: changed}, PAYOS_SIGNATURE, PAYOS_KEY)


@given(st.integers(0, 63), st.sampled_from("0123456789abcdefABCDEF "))
def test_payos_one_changed_digit_of_the_signature_is_refused(place: int, digit: str) -> None:
    """The signature itself is compared whole and as it is."""
    changed = PAYOS_SIGNATURE[:place] + digit + PAYOS_SIGNATURE[place + 1 :]
    assert payos.is_signed(PAYOS, changed, PAYOS_KEY) == (changed == PAYOS_SIGNATURE)


@pytest.mark.parametrize("name", sorted(PAYOS))
def test_payos_one_changed_field_is_refused(name: str) -> None:
    """Any changed value breaks the signature."""
    assert not payos.is_signed({**PAYOS, name: "x"}, PAYOS_SIGNATURE, PAYOS_KEY)
