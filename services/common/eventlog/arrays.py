# SPDX-License-Identifier: Apache-2.0
"""One-dimensional PostgreSQL arrays in wire format, packed in one go.

The driver adapts a list element by element in Python, which costs more than everything else a
caller does for an append (docs/performance.md). These five types are all that the log needs.

Source: PostgreSQL ``src/backend/utils/adt/arrayfuncs.c``, ``array_recv``: dimensions, null flag,
element type, then size and lower bound, then each element as length and bytes.
"""

import struct
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Final
from uuid import UUID

import psycopg
from psycopg.adapt import Dumper
from psycopg.pq import Format

_HEAD: Final = struct.Struct(">iiiii")
_EMPTY: Final = struct.Struct(">iii")
_LENGTH: Final = struct.Struct(">i")
_NULL: Final = _LENGTH.pack(-1)
_OID: Final = {"text": 25, "bytea": 17, "int4": 23, "int8": 20, "uuid": 2950}


class Packed:
    """A whole array, ready for the wire; one subclass for each array type."""

    __slots__ = ("data",)

    def __init__(self, data: bytes) -> None:
        """Hold the packed bytes."""
        self.data = data


class _Texts(Packed):
    __slots__ = ()


class _Blobs(Packed):
    __slots__ = ()


class _Ints(Packed):
    __slots__ = ()


class _Longs(Packed):
    __slots__ = ()


class _Uuids(Packed):
    __slots__ = ()


class _PackedDumper(Dumper):
    format = Format.BINARY

    def dump(self, obj: Packed) -> bytes:
        return obj.data


class _TextsDumper(_PackedDumper):
    oid = 1009


class _BlobsDumper(_PackedDumper):
    oid = 1001


class _IntsDumper(_PackedDumper):
    oid = 1007


class _LongsDumper(_PackedDumper):
    oid = 1016


class _UuidsDumper(_PackedDumper):
    oid = 2951


def register(connection: psycopg.Connection) -> None:
    """Teach ``connection`` the packed types."""
    for kind, dumper in (
        (_Texts, _TextsDumper), (_Blobs, _BlobsDumper), (_Ints, _IntsDumper),
        (_Longs, _LongsDumper), (_Uuids, _UuidsDumper),
    ):  # fmt: skip
        connection.adapters.register_dumper(kind, dumper)


def texts(values: Iterable[str | None]) -> Packed:
    """Return ``text[]``; None becomes NULL."""
    return _Texts(_variable("text", [None if v is None else v.encode() for v in values]))


def blobs(values: Sequence[bytes]) -> Packed:
    """Return ``bytea[]``."""
    return _Blobs(_variable("bytea", values))


def ints(values: Sequence[int]) -> Packed:
    """Return ``int4[]``; raises struct.error beyond 32 bits."""
    return _Ints(_fixed("int4", f">{'ii' * len(values)}", 4, values))


def longs(values: Sequence[int]) -> Packed:
    """Return ``int8[]``; raises struct.error beyond 64 bits."""
    return _Longs(_fixed("int8", f">{'iq' * len(values)}", 8, values))


def uuids(values: Sequence[UUID]) -> Packed:
    """Return ``uuid[]``."""
    return _Uuids(_variable("uuid", [value.bytes for value in values]))


def _head(kind: str, count: int, *, nulls: bool = False) -> bytes:
    if not count:
        return _EMPTY.pack(0, 0, _OID[kind])
    return _HEAD.pack(1, int(nulls), _OID[kind], count, 1)


def _variable(kind: str, values: Sequence[bytes | None]) -> bytes:
    parts = [_head(kind, len(values), nulls=None in values)]
    for value in values:
        if value is None:
            parts.append(_NULL)
        else:
            parts += (_LENGTH.pack(len(value)), value)
    return b"".join(parts)


def _fixed(kind: str, layout: str, size: int, values: Sequence[int]) -> bytes:
    flat = chain.from_iterable((size, value) for value in values)
    return _head(kind, len(values)) + struct.pack(layout, *flat)
