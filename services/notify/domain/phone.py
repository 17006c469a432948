# SPDX-License-Identifier: Apache-2.0
"""Vietnamese mobile numbers as people type them, and as an SMS centre wants them."""

import re
from typing import Final

_MOBILE: Final = re.compile(r"(?:\+?84|0)([35789]\d{8})")
_SPACING: Final = str.maketrans("", "", " .-()")


def international(typed: str) -> str | None:
    """Return ``84912345678`` for ``0912 345 678`` or ``+84912345678``; None for anything else."""
    match = _MOBILE.fullmatch(typed.translate(_SPACING))
    return None if match is None else f"84{match[1]}"
