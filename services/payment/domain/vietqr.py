# SPDX-License-Identifier: Apache-2.0
"""VietQR payloads (EMVCo, NAPAS 1.5.2): dynamic, to an account, in whole đồng."""

from typing import Final

from services.common.money import Vnd

_GUID: Final = "A000000727"
_FIELD_MAX: Final = 99
_PURPOSE_MAX: Final = 25


def crc16(data: bytes) -> str:
    """Return CRC16-CCITT-FALSE of ``data`` as four upper-case hexadecimal digits."""
    crc = 0xFFFF
    for byte in data:
        crc ^= byte << 8
        for _ in range(8):
            crc = ((crc << 1) ^ 0x1021 if crc & 0x8000 else crc << 1) & 0xFFFF
    return f"{crc:04X}"


def dynamic_payload(*, bank_bin: str, account: str, amount: Vnd, purpose: str) -> str:
    """Return the payload of one transfer; ``purpose`` is field 62-08, unaccented ASCII.

    Raises:
        ValueError: a value that the format cannot carry.
    """
    if not (len(bank_bin) == 6 and bank_bin.isascii() and bank_bin.isdigit()):  # noqa: PLR2004
        msg = "a bank's BIN has six digits"
        raise ValueError(msg)
    if amount <= 0 or not purpose.isascii() or len(purpose) > _PURPOSE_MAX:
        msg = "amount must be positive and the purpose at most 25 ASCII characters"
        raise ValueError(msg)
    bank = _field("00", bank_bin) + _field("01", account)
    merchant = _field("00", _GUID) + _field("01", bank) + _field("02", "QRIBFTTA")
    body = (
        _field("00", "01") + _field("01", "12") + _field("38", merchant) + _field("53", "704")
        + _field("54", str(amount)) + _field("58", "VN") + _field("62", _field("08", purpose))
        + "6304"
    )  # fmt: skip
    return body + crc16(body.encode("ascii"))


def _field(tag: str, value: str) -> str:
    if len(value) > _FIELD_MAX:
        msg = f"field {tag} is longer than 99 characters"
        raise ValueError(msg)
    return f"{tag}{len(value):02d}{value}"
