# SPDX-License-Identifier: Apache-2.0
"""What the auditors' pages are called, and who enters."""

from typing import Final

from services.common.web.pages import Area
from services.common.web.people import AUDITOR

AREA: Final = Area(
    name="audit", roles=(AUDITOR,), package="services.auditing.web",
    pages=(
        ("audit.home", "nav.dossiers"), ("audit.access", "nav.access"),
        ("audit.checks", "nav.checks"), ("audit.seals", "nav.seals"), ("audit.help", "nav.help"),
    ),
)  # fmt: skip
