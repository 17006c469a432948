# SPDX-License-Identifier: Apache-2.0
"""The province's one-stop software, in the 2020 shape of the national portal's interface.

``POST {session, madonvi, service, …}``; ``error_code`` 0 is success; instants are
``yyyyMMddHHmmss`` in Vietnam time. ``DongBoHoSoMC`` upserts a dossier, ``CapNhatTienDoHoSoMC``
moves its status.
"""

from collections.abc import Mapping
from datetime import datetime
from http import HTTPStatus
from typing import Final

import requests

from services.common.clock import VIETNAM
from services.common.errors import Unavailable
from services.intake.adapters import one_stop
from services.intake.adapters.one_stop import SUBJECTS, ReturnOrder, orders_in, reference_in
from services.intake.application.ports import NotTakenError

_OK: Final = ("0", "00")
_REFUSALS: Final = {
    "404": "the dossier is not known there",
    "409": "the step is not allowed there",
    "500": "the data are incorrect",
}
"""The answer would always be the same; their own words may quote what nobody should keep."""


class OneStop2020:
    """Client of the one-stop system; every call is safe to repeat."""

    def __init__(self, url: str, session: str, agency: str) -> None:
        """Bind address, session secret and agency identifier."""
        self._url = url
        self._session = session
        self._agency = agency

    def upsert(
        self, code: str, *, procedure: str, accepted_at: datetime, due_at: datetime, status: int
    ) -> str:
        """Make the dossier, or its new due time, known; returns the system's reference.

        Raises:
            Unavailable: down, slow, or an answer that is not an acknowledgement.
            NotTakenError: the data or the step is refused for good.
        """
        dossier = {
            "MaHoSo": code,
            "MaTTHC": procedure,
            "NgayTiepNhan": _stamp(accepted_at),
            "NgayHenTra": _stamp(due_at),
            "TrangThaiHoSo": str(status),
            "HinhThuc": "1",
            "LoaiDoiTuong": SUBJECTS["citizen"].y2020,
        }
        return self._reference("DongBoHoSoMC", {"isUpdating": "True", "data": [dossier]})

    def progress(self, code: str, *, status: int, at: datetime) -> str:
        """Report a status; returns the system's reference. Raises as ``upsert``."""
        step = {"MaHoSo": code, "TrangThaiHoSo": str(status), "ThoiDiemXuLy": _stamp(at)}
        return self._reference("CapNhatTienDoHoSoMC", {"data": [step]})

    def to_return(self) -> list[ReturnOrder]:
        """Return every result that is to be returned at a machine. Raises Unavailable."""
        try:
            answer = self._call("LayHoSoTraQuaMay", {})
        except NotTakenError as refusal:
            raise Unavailable("one_stop", str(refusal)) from refusal
        return orders_in(answer.get("result"), _instant)

    def _reference(self, service: str, body: Mapping[str, object]) -> str:
        return reference_in(self._call(service, body), service)

    def _call(self, service: str, body: Mapping[str, object]) -> dict[str, object]:
        envelope = {"session": self._session, "madonvi": self._agency, "service": service}
        try:
            response = requests.post(
                f"{self._url}/api",
                json={**envelope, **body},
                timeout=one_stop.TIMEOUT_S,
                allow_redirects=False,  # the session secret goes nowhere else
            )
            answer = response.json() if response.status_code == HTTPStatus.OK else None
        except (requests.RequestException, ValueError) as error:
            raise Unavailable("one_stop", f"{service}: {type(error).__name__}") from error
        code = str(answer.get("error_code")) if isinstance(answer, dict) else "not an object"
        if code in _REFUSALS:
            raise NotTakenError(f"{service}: {code} {_REFUSALS[code]}")
        if not isinstance(answer, dict) or code not in _OK:
            raise Unavailable("one_stop", f"{service}: error_code {code}")
        return answer


def _instant(stamp: object) -> datetime | None:
    try:
        return datetime.strptime(str(stamp), "%Y%m%d%H%M%S").replace(tzinfo=VIETNAM)
    except ValueError:
        return None


def _stamp(instant: datetime) -> str:
    return instant.astimezone(VIETNAM).strftime("%Y%m%d%H%M%S")
