# SPDX-License-Identifier: Apache-2.0
"""Dossier codes: ``H30.12-240213-0001`` (Circular 01/2018/TT-VPCP article 19, Decision 20/2020).

Read tolerantly, because people type them: spaces, lower case, en dashes from phones, and the
longer forms that ministries use. Old codes stay valid for ever.
"""

import re
from datetime import date
from typing import Final

from services.common.errors import Refused

_AGENCY: Final = r"(?:000\.\d\d\.\d\d\.[GH]\d\d|[GH]\d\d(?:\.\d{1,3}){0,3})"
_CODE: Final = re.compile(rf"^({_AGENCY})-(\d{{8}}|\d{{6}})-(\d{{4,7}})$", re.ASCII)
_NAME: Final = re.compile(rf"^{_AGENCY}$", re.ASCII)
_DASHES: Final = re.compile("[‐-―−]")


def is_agency_code(text: str) -> bool:
    """Say whether codes can begin with ``text``: ``H30.12``, ``000.00.12.H30``."""
    return _NAME.fullmatch(text) is not None


def make_code(agency_code: str, day: date, number: int) -> str:
    """Return the code of the ``number``-th dossier (from 1) that an agency accepts on ``day``."""
    return f"{agency_code}-{day:%y%m%d}-{number:04d}"


def read_code(text: str) -> str:
    """Return ``text`` in the form of the law.

    Raises:
        Refused: ``not_a_dossier_code``.
    """
    plain = _DASHES.sub("-", re.sub(r"\s", "", text)).upper()
    if _CODE.match(plain) is None:
        raise Refused(
            "not_a_dossier_code",
            "a dossier code looks like H30.12-240213-0001",
            "mã hồ sơ có dạng H30.12-240213-0001",
            field="code",
        )
    return plain
