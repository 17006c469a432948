# SPDX-License-Identifier: Apache-2.0
"""Signatures checked with the standard library alone, against another implementation."""

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from motcua_subscriber.ed25519 import verify

_L = 2**252 + 27742317777372353535851937790883648493


@settings(max_examples=20, deadline=None)
@given(st.binary(min_size=32, max_size=32), st.binary(max_size=200), st.integers(0, 511))
def test_agrees_with_another_implementation(seed: bytes, message: bytes, bit: int) -> None:
    """What it signs is good; with one bit changed in signature or message it is not."""
    private = Ed25519PrivateKey.from_private_bytes(seed)
    public = private.public_key().public_bytes_raw()
    signature = private.sign(message)
    assert verify(public, message, signature)
    changed = bytearray(signature)
    changed[bit // 8] ^= 1 << bit % 8
    assert not verify(public, message, bytes(changed))
    assert not verify(public, message + b"x", signature)


def test_a_second_spelling_of_a_signature_is_refused() -> None:
    """S + L satisfies the equation and is not a signature (RFC 8032); nor are odd lengths."""
    private = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    public, signature = private.public_key().public_bytes_raw(), private.sign(b"m")
    scalar = int.from_bytes(signature[32:], "little") + _L
    assert not verify(public, b"m", signature[:32] + scalar.to_bytes(32, "little"))
    assert not verify(public, b"m", signature[:63])
    assert not verify(b"\xff" * 32, b"m", signature)
