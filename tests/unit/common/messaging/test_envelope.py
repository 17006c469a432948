# SPDX-License-Identifier: Apache-2.0
"""The envelope refuses what is not one of ours."""

import pytest

from services.common.errors import Malformed
from services.common.messaging.envelope import parse


@pytest.mark.parametrize("body", [b"", b"\xff\x00", b"[]", b"{}", b'{"id":1}', b"1" * 300_000])
def test_foreign_bytes_are_malformed(body: bytes) -> None:
    """Bytes that are no envelope are Malformed with at least one named problem."""
    with pytest.raises(Malformed) as caught:
        parse(body)
    assert caught.value.problems
