# SPDX-License-Identifier: Apache-2.0
"""The fold of ``intake.dossiers`` as one query over columns; equal to ``changes`` row by row.

Which event says what is taken from the contracts, so a new one needs no second word here.
"""

from collections.abc import Iterable

from services.common import contracts
from services.intake.domain.transitions import TRANSITIONS


def having(taken: Iterable[str], not_from: Iterable[str]) -> dict[str, list[str]]:
    """Return the event types that have a field of each name in ``taken``, without ``not_from``."""
    others = [kind for kind in TRANSITIONS if kind not in set(not_from)]
    return {
        name: [kind for kind in others if name in contracts.newest(kind).fields().fields]
        for name in taken
    }


def vector(creates: Iterable[str], taken: Iterable[str], not_from: Iterable[str]) -> str:
    """Return the query.

    Args:
        creates: event types that make a row.
        taken: columns that any event sets which has a field of that name …
        not_from: … but these.
    """
    fields = having(taken, not_from)
    telling = {"dossier.opened", "dossier.ready", *(k for kinds in fields.values() for k in kinds)}
    quiet = [kind for kind, row in TRANSITIONS.items() if row.target is None
             and kind not in telling | {"dossier.recalled"}]  # fmt: skip
    targets = " ".join(
        f"WHEN '{kind}' THEN {row.target}"
        for kind, row in TRANSITIONS.items() if row.target is not None
    )  # fmt: skip
    return f"""
        WITH step AS MATERIALIZED (
            SELECT subject, position, recorded_us, type, type IN ({_words(creates)}) AS creates,
                CASE WHEN creates THEN data->>'office' END AS office,
                CASE WHEN creates THEN data->>'procedure' END AS procedure,
                CASE WHEN creates THEN coalesce(data->>'machine', '') END AS machine,
                CASE type {targets} END AS target, type IN ({_words(quiet)}) AS quiet,
                CASE WHEN type IN ({_words(fields["code"])}) THEN data->>'code' END AS code,
                CASE WHEN type IN ({_words(fields["due_at"])}) THEN data->>'due_at' END AS due_at,
                CASE WHEN type IN ({_words(fields["return_machine"])})
                    THEN coalesce(data->>'return_machine', '')
                    WHEN type = 'dossier.recalled' THEN '' END AS return_machine,
                CASE WHEN type = 'dossier.ready'
                    THEN concat(data->>'machine', '/', data->>'cell')
                    WHEN type IN ('dossier.recalled', 'dossier.returned') THEN '' END AS ready_at
            FROM event WHERE type IN ({_words(TRANSITIONS)})
        ), born AS (
            SELECT subject, min(position) AS since, arg_min(office, position) AS office,
                arg_min(procedure, position) AS procedure, arg_min(machine, position) AS machine,
                arg_min(recorded_us, position) AS registered_at
            FROM step WHERE creates GROUP BY subject
        ), now AS (
            SELECT subject, arg_max(target, position) AS status,
                max(CASE WHEN target IS NOT NULL OR quiet THEN recorded_us END) AS moved_at,
                arg_max(code, position) AS code, arg_max(due_at, position) AS due_at,
                bool_or(type = 'dossier.opened') AS opened,
                arg_max(return_machine, position) AS return_machine,
                arg_max(ready_at, position) AS ready_at,
                CAST(count(*) FILTER (type = 'dossier.report_disputed')
                    - count(*) FILTER (type = 'dossier.report_resolved') AS integer) AS disputed
            FROM step JOIN born USING (subject) WHERE position >= since GROUP BY subject
        )
        SELECT subject AS dossier, office, coalesce(status, 0) AS status, code, procedure,
            nullif(machine, '') AS machine, registered_at, coalesce(moved_at, 0) AS moved_at,
            epoch_us(CAST(due_at AS timestamptz)) AS due_at, opened,
            nullif(return_machine, '') AS return_machine, nullif(ready_at, '') AS ready_at, disputed
        FROM now JOIN born USING (subject)
    """  # noqa: S608 - own names


def _words(names: Iterable[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)
