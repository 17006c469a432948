# SPDX-License-Identifier: Apache-2.0
"""Every message that crosses a service border, with its example and its upcasters."""

from services.common.contracts import (
    catalogue,
    custody,
    dossier,
    kiosk,
    notification,
    payment,
    subject,
    subscriber,
)
from services.common.contracts.registry import (
    EventContract,
    all_contracts,
    current,
    lookup,
    newest,
    problems_of,
)

__all__ = [
    "EventContract", "all_contracts", "catalogue", "current", "custody", "dossier", "kiosk",
    "lookup", "newest", "notification", "payment", "problems_of", "subject",
    "subscriber",
]  # fmt: skip
