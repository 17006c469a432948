# SPDX-License-Identifier: Apache-2.0
"""Lines of a bundle: written and read back; whatever else comes is refused, never a crash."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.common.integrity.bundle import line_of, parse_line
from services.common.integrity.checker import Leaf, LogChecker

CONTENT = (
    b'{"data":{"version":1,"stream":"x-1"},"event_id":"e","log_id":93,"meta":{"actor":"a"},'
    b'"occurred_at":1,"schema":1,"stream":"dossier-1","subject":null,"type":"t","version":1}'
)


def test_there_and_back() -> None:
    """Byte for byte."""
    line = line_of(CONTENT, 7, -5)
    assert parse_line(line) == (CONTENT, 7, -5)


@pytest.mark.parametrize(
    "line",
    [b"", b"{}\n", line_of(CONTENT, 7, 5)[:-1], line_of(CONTENT, 2**63, 5),
     line_of(CONTENT, 7, 2**63), line_of(CONTENT, 7, 5).replace(b":7,", b": 7,"),
     line_of(CONTENT, 7, 5).replace(b":7,", b":07,"), b"x" + line_of(CONTENT, 7, 5),
     line_of(CONTENT, 7, 5).replace(b":7,", b":" + b"9" * 5_000 + b",")],
)  # fmt: skip
def test_what_is_no_line(line: bytes) -> None:
    """Refused, never guessed."""
    with pytest.raises(ValueError, match=r"line|found|int|digits"):
        parse_line(line)


def test_the_outer_names_count() -> None:
    """Stream and version are the event's own, also where its data have such names."""
    checker = LogChecker(93, [], [])
    checker.event(Leaf(1, 1, CONTENT))
    assert checker.end().findings == []
    assert checker.versions == {b"dossier-1": 1}


@given(st.binary(max_size=300), st.integers(0, 2**63 - 1), st.integers(-(2**63), 2**63 - 1))
def test_any_content_is_checked(content: bytes, position: int, recorded: int) -> None:
    """Noise is found, and nothing else happens."""
    checker = LogChecker(93, [], [])
    checker.event(Leaf(position, recorded, content))
    assert not checker.end().good
