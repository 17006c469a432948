# SPDX-License-Identifier: Apache-2.0
"""What machines ask about the fleet: the catalogue of the office where they stand."""

import threading
from collections.abc import Mapping
from datetime import date

from services.common import contracts
from services.common.canonical import Json
from services.common.eventlog.port import EventLog

_PAGE = 5000
_PUBLISHED = "procedure.published"
_OFFERED = "office.procedure_offered"


class Catalogues:
    """Procedures and offers as the log has them; reads only what is new since the last look."""

    def __init__(self, log: EventLog) -> None:
        """Bind the log."""
        self._log = log
        self._lock = threading.Lock()
        self._through = 0
        self._versions: dict[str, list[Mapping[str, Json]]] = {}
        self._offers: dict[tuple[str, str], list[Mapping[str, Json]]] = {}

    def of_office(self, office: str, day: date) -> list[dict[str, Json]]:
        """Return what the office's machines take or give back on ``day``, as they keep it.

        Of each procedure the newest version that is in force; one that is offered neither way is
        left out.
        """
        with self._lock:
            self._learn()
            rows = []
            for code in sorted(self._versions):
                number = _in_force(self._versions[code], day)
                offered = self._offers.get((office, code), [])
                place = _in_force(offered, day)
                if number and place:
                    rows.append(_row(number, self._versions[code][number - 1], offered[place - 1]))
            return [row for row in rows if row["accept"] or row["return"]]

    def _learn(self) -> None:
        while events := self._log.read_all(
            self._through, limit=_PAGE, types=[_PUBLISHED, _OFFERED]
        ):
            for event in events:
                data = contracts.current(event.type, event.schema, event.data)
                if event.type == _PUBLISHED:
                    self._versions.setdefault(str(data["code"]), []).append(data)
                else:
                    key = (str(data["office"]), str(data["procedure"]))
                    self._offers.setdefault(key, []).append(data)
            self._through = events[-1].position


def _in_force(versions: list[Mapping[str, Json]], day: date) -> int:
    """Return the number (from 1) of the last of ``versions`` that holds on ``day``; 0 for none."""
    today = day.isoformat()
    return max(
        (n for n, data in enumerate(versions, start=1) if str(data["valid_from"]) <= today),
        default=0,
    )


def _row(
    version: int, published: Mapping[str, Json], offered: Mapping[str, Json]
) -> dict[str, Json]:
    return {
        "code": published["code"],
        "version": version,
        "name_vi": published["name_vi"],
        "field_vi": published["field_vi"],
        "accept": bool(published["accept_at_machine"] and offered["accept"]),
        "return": bool(published["return_at_machine"] and offered["give_back"]),
        "fees": published["fees"],
        "exemptions": published["exemptions"],
        "checklist": published["checklist"],
        "working_days": published["working_days"],
    }
