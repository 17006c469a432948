# SPDX-License-Identifier: Apache-2.0
"""What people ask about messages, from the read model ``notify.notification``."""

from dataclasses import dataclass
from typing import Final

import psycopg
from psycopg.rows import class_row

LISTED_MAX: Final = 1_000
_OPEN: Final = """
    SELECT m.notification::text, m.dossier::text, m.code, m.template, m.owner, m.due_at
    FROM notify.notification AS m
    WHERE m.state = 'outcome_unknown' AND (%s = '' OR m.owner = %s)
      AND NOT EXISTS (
        SELECT FROM notify.notification AS later
        WHERE later.dossier = m.dossier AND later.asked > m.asked
          AND later.template <> 'reminder')
    ORDER BY m.due_at NULLS FIRST, m.asked LIMIT %s
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unknown:
    """A message of which nobody knows whether it went out.

    Attributes:
        notification: its id.
        dossier: what it is about.
        code: how the citizen knows the dossier.
        template: what was to be said.
        owner: office that asks the citizen.
        due_at: until when (RFC 3339); None for messages from before that was kept.
    """

    notification: str
    dossier: str
    code: str
    template: str
    owner: str
    due_at: str | None


def unknown_outcomes(connection: psycopg.Connection, *, office: str = "") -> list[Unknown]:
    """Return the open unknown outcomes of ``office`` (empty: of all), most urgent first.

    One is settled as soon as its dossier's citizen is sent another message, as by ``tell-again``;
    a reminder does not count. At most 1,000.
    """
    with connection.cursor(row_factory=class_row(Unknown)) as cursor:
        return cursor.execute(_OPEN, (office, office, LISTED_MAX)).fetchall()
