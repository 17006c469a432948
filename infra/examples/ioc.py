# SPDX-License-Identifier: Apache-2.0
"""Counters for an operations centre (IOC): ``python -m infra.examples.ioc``.

AMQP_URL, QUEUE and STORE (a file) come from the environment. ``… ioc show`` prints the counters of
STORE as JSON: dossiers handed in, accepted, returned and owed by day, đồng by way of payment.
Days are Vietnam's.
"""

import json
import os
import sqlite3
import sys
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Final

from infra.examples.inbox import Event, Inbox, kind_of

VIETNAM: Final = timezone(timedelta(hours=7))
TABLES: Final = (
    "CREATE TABLE IF NOT EXISTS counter"
    " (day TEXT, name TEXT, number INTEGER NOT NULL, PRIMARY KEY (day, name))"
)
COUNTED: Final = {
    "kiosk.dossier_deposited": "handed_in_at_machines",
    "dossier.imported": "handed_in_elsewhere",
    "dossier.accepted": "accepted",
    "dossier.refused": "refused",
    "dossier.rescheduled": "late_with_apology",
    "dossier.completed": "completed",
    "dossier.returned": "returned",
    "office.custody_case_opened": "whereabouts_unknown",
}


def count(store: sqlite3.Connection, event: Event) -> None:
    """Add what ``event`` counts for; types that nobody counts are no error."""
    kind, data = kind_of(event), event["data"]
    day = datetime.fromisoformat(event["time"]).astimezone(VIETNAM).date().isoformat()
    if kind in COUNTED:
        _add(store, day, COUNTED[kind], 1)
    if kind in {"payment.cash_credited", "payment.cash_unplaced"}:
        _add(store, day, "cash_vnd", data["denomination_vnd"])
    if kind == "payment.bank_credit_received":
        _add(store, day, "bank_vnd", data["amount_vnd"])
    if kind == "payment.refund_paid":
        _add(store, day, "refunded_vnd", data["amount_vnd"])


def counters(store: sqlite3.Connection) -> dict[str, dict[str, int]]:
    """Return the counters by day."""
    days: dict[str, dict[str, int]] = {}
    for day, name, number in store.execute("SELECT * FROM counter ORDER BY day, name"):
        days.setdefault(day, {})[name] = number
    return days


def _add(store: sqlite3.Connection, day: str, name: str, number: int) -> None:
    store.execute(
        "INSERT INTO counter VALUES (?, ?, ?)"
        " ON CONFLICT (day, name) DO UPDATE SET number = number + excluded.number",
        (day, name, number),
    )


def main(words: list[str]) -> int:
    """Count for ever, or show."""
    inbox = Inbox(Path(os.environ["STORE"]), TABLES, count)
    if words == ["show"]:
        now = datetime.now(UTC).isoformat(timespec="seconds")
        print(json.dumps({"at": now, "days": counters(inbox.store)}))
        return 0
    inbox.run(os.environ["AMQP_URL"], os.environ["QUEUE"])
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
