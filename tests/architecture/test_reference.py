# SPDX-License-Identifier: Apache-2.0
"""The generated pages are what the code makes today."""

import pytest

from infra import reference
from services.common import contracts

FILES = reference.files()


@pytest.mark.parametrize("path", sorted(FILES), ids=str)
def test_page_is_what_the_code_makes(path: reference.Path) -> None:
    """A stored page that differs is out of date."""
    same = path.is_file() and path.read_text(encoding="utf-8") == FILES[path]
    assert same, f"{path} is out of date: run `make docs`"


def test_no_page_is_left_over() -> None:
    """A family of events that is gone has no page."""
    assert reference.stored() == set(FILES)


def test_every_version_has_its_section_and_example() -> None:
    """Nothing that may be in the log is missing from the pages."""
    for contract in contracts.all_contracts():
        page = FILES[reference.EVENTS / f"{contract.type.partition('.')[0]}.md"]
        section = page.partition(f"### `{contract.wire_name}`")[2].partition("\n#")[0]
        assert contract.vi in page
        assert "```json" in section
        assert all(f"| `{name}` |" in section for name in contract.fields().fields)
