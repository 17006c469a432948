# SPDX-License-Identifier: Apache-2.0
"""Who writes what: every category of streams has exactly one writing service.

PostgreSQL enforces this table by login (``category_writer``); the twin uses it directly.
"""

from typing import Final

from services.common.errors import Refused
from services.common.eventlog.record import category_of

ERASER: Final = "motcua_eraser"
CATEGORIES: Final[dict[str, tuple[str, ...]]] = {
    "motcua_intake": ("dossier", "procedure", "office", "calendar"),
    "motcua_payment": ("payment", "cashbox", "receipt"),
    "motcua_notify": ("notification", "subscriber"),
    "motcua_kiosk_sync": ("kiosk", "grant", "config"),
    "motcua_audit": ("access",),
    ERASER: ("subject",),
}
SERVICE_ROLES: Final = tuple(CATEGORIES)


def may_write(role: str, stream: str) -> bool:
    """Say whether the login ``role`` writes the category of ``stream``."""
    return category_of(stream) in CATEGORIES.get(role, ())


def foreign_category(stream: str) -> Refused:
    """Return the refusal for a stream of another service's category."""
    return Refused(
        "foreign_category",
        f"this login does not write streams like {stream}",
        f"tài khoản này không được ghi vào luồng {stream}",
        field="stream",
    )


def not_eraser() -> Refused:
    """Return the refusal for a login that may not erase."""
    return Refused("not_eraser", "this login may not erase", "tài khoản này không được xóa dữ liệu")


def key_reused(source: str, key: str) -> Refused:
    """Return the refusal for a key that was used for another request."""
    return Refused(
        "idempotency_key_reused",
        f"key {key} of {source} was used for another request",
        f"khóa {key} của {source} đã dùng cho yêu cầu khác",
        field="key",
    )
