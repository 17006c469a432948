# SPDX-License-Identifier: Apache-2.0
"""Vietnamese mobile numbers as people type them, and as an SMS centre wants them."""

import re
from typing import Final

_MOBILE: Final = re.compile(r"(?:(?:\+|00)?840?|0)([35789][0-9]{8})")
_SPACING: Final = re.compile(r"[\s.()\-‐-―−]")


def international(typed: str) -> str | None:
    """Return ``84912345678`` for ``0912 345 678`` or ``+84912345678``; None for anything else."""
    match = _MOBILE.fullmatch(_SPACING.sub("", typed))
    return None if match is None else f"84{match[1]}"
