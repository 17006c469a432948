# SPDX-License-Identifier: Apache-2.0
"""The table of planted faults still fits the code, so that `make mutants` cannot rot unseen."""

from pathlib import Path

import pytest

from tests.mutants.table import MUTANTS, Mutant


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_fault_can_be_planted(mutant: Mutant) -> None:
    """Its text stands exactly once, it changes something, and the tests that it names exist."""
    assert Path(mutant.file).read_text(encoding="utf-8").count(mutant.old) == 1
    assert mutant.old != mutant.new
    for node in mutant.caught_by:
        file, _, test = node.partition("::")
        assert f"def {test.partition('[')[0]}" in Path(file).read_text(encoding="utf-8")


def test_there_are_enough_faults_with_names_of_their_own() -> None:
    """Every promise has its saboteur."""
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS) >= 20
