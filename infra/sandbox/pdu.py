# SPDX-License-Identifier: Apache-2.0
"""SMPP 3.4 protocol units, from the specification: header and the few bodies a centre needs."""

import struct
from dataclasses import dataclass
from typing import Final

HEADER: Final = struct.Struct(">IIII")
LENGTH_MAX: Final = 65_536
RESPONSE: Final = 0x80000000
GENERIC_NACK: Final = 0x80000000
BINDS: Final = frozenset({0x1, 0x2, 0x9})
SUBMIT_SM, DELIVER_SM, UNBIND, ENQUIRE_LINK = 0x4, 0x5, 0x6, 0x15
OK, INVALID_LENGTH, INVALID_COMMAND, NOT_BOUND = 0x0, 0x2, 0x3, 0x4
BIND_FAILED, INVALID_SOURCE, INVALID_DESTINATION, SUBMIT_FAILED = 0xD, 0xA, 0xB, 0x45
THROTTLED: Final = 0x58


class BrokenError(Exception):
    """A body that does not hold what its command needs."""


@dataclass(frozen=True, slots=True)
class Submit:
    """What a submit_sm says."""

    sender: str
    destination: str
    coding: int
    text: bytes


def pack(command: int, status: int, sequence: int, body: bytes = b"") -> bytes:
    """Return a whole protocol unit."""
    return HEADER.pack(HEADER.size + len(body), command, status, sequence) + body


def text(value: str) -> bytes:
    """Return a C-octet string."""
    return value.encode("ascii", "replace") + b"\x00"


def read_bind(body: bytes) -> tuple[str, str]:
    """Return system_id and password."""
    system_id, rest = _text(body)
    password, _ = _text(rest)
    return system_id, password


def read_submit(body: bytes) -> Submit:
    """Return sender, destination, coding and text."""
    _service, rest = _text(body)
    sender, rest = _text(_skip(rest, 2))
    destination, rest = _text(_skip(rest, 2))
    rest = _skip(rest, 3)  # esm_class, protocol_id, priority_flag
    _schedule, rest = _text(rest)
    _validity, rest = _text(rest)
    if len(rest) < 5:  # noqa: PLR2004 - registered_delivery … sm_length
        raise BrokenError
    coding, length = rest[2], rest[4]
    if len(rest) < 5 + length:
        raise BrokenError
    return Submit(sender, destination, coding, rest[5 : 5 + length])


def receipt(sequence: int, destination: str, sender: str, content: str) -> bytes:
    """Return a deliver_sm that carries a delivery receipt (esm_class 0x04)."""
    data = content.encode("ascii")
    body = (
        text("") + b"\x01\x01" + text(destination) + b"\x05\x00" + text(sender)
        + b"\x04\x00\x00" + text("") + text("") + b"\x00\x00\x00\x00" + bytes([len(data)]) + data
    )  # fmt: skip
    return pack(DELIVER_SM, OK, sequence, body)


def _text(data: bytes) -> tuple[str, bytes]:
    value, end, rest = data.partition(b"\x00")
    if not end:
        raise BrokenError
    return value.decode("ascii", "replace"), rest


def _skip(data: bytes, count: int) -> bytes:
    if len(data) < count:
        raise BrokenError
    return data[count:]
