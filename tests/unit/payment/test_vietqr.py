# SPDX-License-Identifier: Apache-2.0
"""VietQR payloads against published and hand-checked vectors."""

import pytest

from services.common.money import Vnd
from services.payment.domain.vietqr import crc16, dynamic_payload


def test_crc_check_value() -> None:
    """The CRC has the catalogue's check value."""
    assert crc16(b"123456789") == "29B1"


@pytest.mark.parametrize(
    ("bank_bin", "account", "amount", "purpose", "tail"),
    [
        ("970436", "1017595600", 180000, "thanh toan don hang", "70FA"),
        ("970415", "0011001932418", 120000, "ung ho lu lut", "C15C"),
        ("970418", "1234567890", 8000, "TTHC K7F3Q2A9", "7A41"),
    ],
)
def test_vectors(bank_bin: str, account: str, amount: int, purpose: str, tail: str) -> None:
    """A built payload ends in the vector's checksum."""
    built = dynamic_payload(bank_bin=bank_bin, account=account, amount=Vnd(amount), purpose=purpose)
    assert built.endswith("6304" + tail)
