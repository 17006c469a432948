# SPDX-License-Identifier: Apache-2.0
"""Dossier codes."""

from datetime import date

import pytest

from services.common.errors import Refused
from services.intake.domain.dossier_code import make_code, read_code


def test_codes() -> None:
    """Codes are made in the law's form and read tolerantly."""
    assert make_code("H30.12", date(2024, 2, 13), 1) == "H30.12-240213-0001"
    for typed in (" h30.12-240213-0001", "H30.12\u2013240213\u20130001", "000.00.12.H30-240213-0001",
                  "G09.20-20260609-0092637", "H15.50.05.13-261008-0975"):  # fmt: skip
        assert read_code(typed)
    for wrong in ("", "H30.12-24021-0001", "X30-240213-0001", "H30.12-240213-1"):
        with pytest.raises(Refused):
            read_code(wrong)
