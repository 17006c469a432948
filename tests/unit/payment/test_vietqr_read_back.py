# SPDX-License-Identifier: Apache-2.0
"""What a banking app sees: the picture read by another reader, the payload by another parser."""

import io
from typing import Any

import pytest
import segno
import zxingcpp
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.sandbox.bank import NotACodeError, read_payload
from services.common.money import Vnd
from services.payment.domain.token import find_token, make_token, transfer_text
from services.payment.domain.vietqr import crc16, dynamic_payload

VECTORS = [
    (("00020101021238540010A00000072701240006970436011010175956000208QRIBFTTA5303704540618000"
     "05802VN62230819thanh toan don hang630470FA"),
     {"bin": "970436", "account": "1017595600", "amount": "180000",
      "purpose": "thanh toan don hang"}),
    (("00020101021238570010A00000072701270006970415011300110019324180208QRIBFTTA530370454061200"
     "005802VN62170813ung ho lu lut6304C15C"),
     {"bin": "970415", "account": "0011001932418", "amount": "120000",
      "purpose": "ung ho lu lut"}),
    (("00020101021238540010A00000072701240006970418011012345678900208QRIBFTTA5303704540480005802"
     "VN62170813TTHC K7F3Q2A963047A41"),
     {"bin": "970418", "account": "1234567890", "amount": "8000", "purpose": "TTHC K7F3Q2A9"}),
    (("00020101021238540010A00000072701240006970418011012345678900208QRIBFTTA530370454061000005802"
     "VN62390118H30.12-240213-00010813TTHC K7F3Q2A96304F273"),
     {"bin": "970418", "account": "1234567890", "amount": "100000", "purpose": "TTHC K7F3Q2A9"}),
]  # fmt: skip
"""Published payloads, and what they say."""
NOT_DYNAMIC = [
    "00020101021138570010A00000072701270006970403011200110123456780208QRIBFTTA53037045802VN6304F4E5",
    "00020101021138600010A00000072701300006970403011697040311012345670208QRIBFTTC53037045802VN63044F52",
]
BILL = (
    "00020101021238570010A00000072701270006970403011300110123456780208QRIBFTTA53037045406180000"
    "5802VN62340107NPS68690819thanh toan don hang63042E2E"
)
"""Dynamic, with a bill number before the purpose."""


def seen(payload: str) -> str:
    """Draw the code as a machine's screen does, and read it as a telephone does."""
    picture = io.BytesIO()
    code = segno.make(payload, error="m", micro=False)
    code.save(picture, kind="pam", scale=4, border=4, light="white")
    width, height = code.symbol_size(scale=4, border=4)
    pixels = picture.getvalue()[-width * height :]
    image: Any = memoryview(bytes(255 * pixel for pixel in pixels)).cast("B", (height, width))
    (found,) = zxingcpp.read_barcodes(image)
    assert found.format == zxingcpp.BarcodeFormat.QRCode
    return str(found.text)


@pytest.mark.parametrize(("payload", "said"), VECTORS)
def test_published_payloads(payload: str, said: dict[str, str]) -> None:
    """Reader and parser agree with the publishers; ours builds the same where it can."""
    assert read_payload(seen(payload)) == said
    built = dynamic_payload(
        bank_bin=said["bin"], account=said["account"], amount=Vnd(int(said["amount"])),
        purpose=said["purpose"],
    )  # fmt: skip
    assert read_payload(built) == said
    assert built == payload or "H30.12" in payload


def test_a_bill_number_is_somebody_elses_field() -> None:
    """What stands beside the purpose is read over, not into it."""
    assert read_payload(seen(BILL)) == {
        "bin": "970403", "account": "0011012345678", "amount": "180000",
        "purpose": "thanh toan don hang",
    }  # fmt: skip


@pytest.mark.parametrize("payload", [*(one for one, _ in VECTORS), *NOT_DYNAMIC, BILL])
def test_every_published_checksum_is_ours(payload: str) -> None:
    """Static, to a card, dynamic: our CRC is the publishers', also where 6304 stands twice."""
    assert crc16(payload[:-4].encode()) == payload[-4:]


def test_a_checksums_own_tag_inside_a_value() -> None:
    """``6304`` in an account and in the purpose is no end of the payload."""
    payload = dynamic_payload(
        bank_bin="970418", account="63046304", amount=Vnd(6304), purpose="TTHC 6304"
    )
    said = {"bin": "970418", "account": "63046304", "amount": "6304", "purpose": "TTHC 6304"}
    assert read_payload(seen(payload)) == said


@pytest.mark.parametrize("payload", NOT_DYNAMIC)
def test_a_code_without_an_amount_is_not_ours(payload: str) -> None:
    """A static code is no request for a certain amount; one names its account a digit too short."""
    with pytest.raises(NotACodeError, match=r"not a dynamic|fields"):
        read_payload(seen(payload))


@settings(max_examples=40, deadline=None)
@given(
    bank=st.from_regex(r"\A[0-9]{6}\Z"),
    account=st.from_regex(r"\A[0-9A-Z]{1,19}\Z"),
    amount=st.integers(1, 10**12),
    seed=st.binary(min_size=32, max_size=32),
)
def test_whatever_we_draw_is_read_back(bank: str, account: str, amount: int, seed: bytes) -> None:
    """Every payload that a machine can show says what was asked, to somebody else's eyes."""
    token = make_token(seed, "d", 0)
    payload = dynamic_payload(
        bank_bin=bank, account=account, amount=Vnd(amount), purpose=transfer_text(token)
    )
    assert read_payload(seen(payload)) == {
        "bin": bank, "account": account, "amount": str(amount), "purpose": transfer_text(token),
    }  # fmt: skip
    assert find_token(read_payload(payload)["purpose"]) == token


@given(st.integers(0, len(VECTORS[2][0]) - 1), st.sampled_from("0123456789ABCDEFZ"))
def test_one_changed_character_is_noticed(place: int, character: str) -> None:
    """The checksum covers every character."""
    payload = VECTORS[2][0]
    changed = payload[:place] + character + payload[place + 1 :]
    if changed != payload:
        with pytest.raises(NotACodeError):
            read_payload(changed)
