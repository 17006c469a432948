# SPDX-License-Identifier: Apache-2.0
"""Which dossier has a code: from the log, in two reads, however long it has grown."""

from services.common.errors import Refused
from services.common.eventlog.port import EventLog
from services.intake.application.facts import data_of
from services.intake.application.imports import imported_as
from services.intake.domain.dossier_code import read_code


class Codes:
    """Finds dossiers by the code that people know."""

    def __init__(self, log: EventLog) -> None:
        """Bind the log; nothing is read yet."""
        self._log = log
        self._offices: list[str] = []
        self._through = 0

    def learn(self) -> None:
        """Take up offices that were opened since the last time."""
        head = self._log.head()
        opened = self._log.read_all(self._through, types=["office.opened"])
        self._offices += [str(data_of(e)["office"]) for e in opened if e.position <= head]
        self._through = head

    def find(self, code: str) -> str | None:
        """Return the dossier of a code in the form of the law: given by us, then imported."""
        _, day, number = code.split("-")
        for office in self._offices:
            stream = f"office-{office}.codes.{day[-6:]}"
            for event in self._log.read_stream(stream, after_version=int(number) - 1, limit=1):
                data = data_of(event)
                if data["code"] == code:
                    return str(data["dossier"])
        found = (imported_as(self._log, code, office) for office in self._offices)
        return next((dossier for dossier in found if dossier is not None), None)


def dossier_with_code(log: EventLog, words: str) -> str:
    """Return the dossier of a code as people write it.

    Raises:
        Refused: ``not_a_dossier_code``, ``no_such_code``.
    """
    code, codes = read_code(words), Codes(log)
    codes.learn()
    found = codes.find(code)
    if found is None:
        raise Refused("no_such_code", f"no dossier has {code}", f"không có hồ sơ {code}")
    return found
