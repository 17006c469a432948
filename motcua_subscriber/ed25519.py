# SPDX-License-Identifier: Apache-2.0
"""Ed25519 signatures are checked here with the standard library alone (RFC 8032, section 5.1.7).

Checking handles nothing secret, so constant time is not needed. Nothing here signs.
"""

import hashlib

_P = 2**255 - 19
_L = 2**252 + 27742317777372353535851937790883648493
_D = -121665 * pow(121666, -1, _P) % _P
_ROOT = pow(2, (_P - 1) // 4, _P)
_POINT_BYTES = 32
_SIGNATURE_BYTES = 64

Point = tuple[int, int, int, int]
"""Extended coordinates (X, Y, Z, T) with x = X/Z, y = Y/Z, T = XY/Z."""


def verify(public: bytes, message: bytes, signature: bytes) -> bool:
    """Say whether ``signature`` of ``message`` was made with the key of ``public`` (32 bytes)."""
    if len(public) != _POINT_BYTES or len(signature) != _SIGNATURE_BYTES:
        return False
    key, point = _decoded(public), _decoded(signature[:_POINT_BYTES])
    scalar = int.from_bytes(signature[_POINT_BYTES:], "little")
    if key is None or point is None or scalar >= _L:
        return False
    digest = hashlib.sha512(signature[:_POINT_BYTES] + public + message).digest()
    factor = int.from_bytes(digest, "little") % _L
    return _same(_times(scalar, _BASE), _sum(point, _times(factor, key)))


def _recovered(y: int, sign: int) -> int | None:
    if y >= _P:
        return None
    square = (y * y - 1) * pow(_D * y * y + 1, -1, _P) % _P
    if square == 0:
        return None if sign else 0
    x = pow(square, (_P + 3) // 8, _P)
    if (x * x - square) % _P:
        x = x * _ROOT % _P
    if (x * x - square) % _P:
        return None
    return _P - x if x & 1 != sign else x


def _decoded(raw: bytes) -> Point | None:
    number = int.from_bytes(raw, "little")
    y = number & ((1 << 255) - 1)
    x = _recovered(y, number >> 255)
    return None if x is None else (x, y, 1, x * y % _P)


def _sum(a: Point, b: Point) -> Point:
    one = (a[1] - a[0]) * (b[1] - b[0]) % _P
    two = (a[1] + a[0]) * (b[1] + b[0]) % _P
    three = 2 * a[3] * b[3] * _D % _P
    four = 2 * a[2] * b[2] % _P
    e, f, g, h = two - one, four - three, four + three, two + one
    return e * f % _P, g * h % _P, f * g % _P, e * h % _P


def _times(factor: int, point: Point) -> Point:
    result: Point = (0, 1, 1, 0)
    while factor:
        if factor & 1:
            result = _sum(result, point)
        point = _sum(point, point)
        factor >>= 1
    return result


def _same(a: Point, b: Point) -> bool:
    return (a[0] * b[2] - b[0] * a[2]) % _P == 0 and (a[1] * b[2] - b[1] * a[2]) % _P == 0


def _base() -> Point:
    y = 4 * pow(5, -1, _P) % _P
    x = _recovered(y, 0)
    assert x is not None, "the base point is on the curve"
    return x, y, 1, x * y % _P


_BASE = _base()
