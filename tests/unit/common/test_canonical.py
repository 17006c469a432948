# SPDX-License-Identifier: Apache-2.0
"""Canonical JSON against an independent implementation of RFC 8785."""

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from services.common.canonical import Json, NotCanonicalError, canonical_json, parse_json

KEYS = st.text(st.characters(max_codepoint=126, min_codepoint=32), max_size=8)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
LEAVES = st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | TEXT
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4)
)


@given(VALUES)
def test_is_rfc_8785(value: Json) -> None:
    """Within the allowed subset the bytes are those of RFC 8785, and reading gives the value."""
    data = canonical_json(value)
    assert data == rfc8785.dumps(value)
    assert parse_json(data) == value


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ({"a": [1, 1.5]}, "$.a[1]"),
        ({"a": {"ngày": 1}}, "$.a"),
        ({"n": 2**53}, "$.n"),
        ({1: "x"}, "$"),
        ({"x": b"y"}, "$.x"),
        ("\ud800", "$"),
    ],
)
def test_refuses_what_has_no_canonical_form(value: Json, path: str) -> None:
    """Floats, non-ASCII keys, big integers, bytes and lone surrogates are refused by place."""
    with pytest.raises(NotCanonicalError) as caught:
        canonical_json(value)
    assert caught.value.path == path
