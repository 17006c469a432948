# SPDX-License-Identifier: Apache-2.0
"""The province's one-stop software, in the 2020 shape of the national portal's interface.

``POST {session, madonvi, service, …}``; ``error_code`` 0 is success; instants are
``yyyyMMddHHmmss`` in Vietnam time. ``DongBoHoSoMC`` upserts a dossier, ``CapNhatTienDoHoSoMC``
moves its status, ``LayHoSoTraQuaMay`` lists results to be returned at a machine (the last one is
this project's name for what every province's software offers under its own).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Final

import requests

from services.common.clock import VIETNAM
from services.common.errors import Unavailable
from services.intake.application.ports import CounterDossier, NotTakenError

_TIMEOUT_S: Final = (3.0, 10.0)
_OK: Final = ("0", "00")
_REFUSALS: Final = {
    "404": "the dossier is not known there",
    "409": "the step is not allowed there",
    "500": "the data are incorrect",
}
"""The answer would always be the same; their own words may quote what nobody should keep."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReturnOrder:
    """The one-stop system wants this result returned at this machine."""

    code: str
    result_number: str
    machine: str
    counter: CounterDossier | None = None


class OneStop:
    """Client of the one-stop system; every call is safe to repeat."""

    def __init__(self, url: str, session: str, agency: str) -> None:
        """Bind address, session secret and agency identifier."""
        self._url = url
        self._session = session
        self._agency = agency

    def upsert(
        self, code: str, *, procedure: str, accepted_at: datetime, due_at: datetime, status: int
    ) -> str:
        """Make the dossier known; returns the system's reference.

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
        rows = answer.get("result")
        if not isinstance(rows, list):
            raise Unavailable("one_stop", "LayHoSoTraQuaMay: no list in the answer")
        orders = []
        for row in rows:
            if not isinstance(row, dict) or not {"MaHoSo", "SoKetQua", "MaMay"} <= set(row):
                raise Unavailable("one_stop", "LayHoSoTraQuaMay: a row lacks its fields")
            orders.append(
                ReturnOrder(
                    code=str(row["MaHoSo"]),
                    result_number=str(row["SoKetQua"]),
                    machine=str(row["MaMay"]),
                    counter=_counter(row),
                )
            )
        return orders

    def _reference(self, service: str, body: Mapping[str, object]) -> str:
        answer = self._call(service, body)
        reference = answer.get("reference")
        if not isinstance(reference, str) or not reference:
            raise Unavailable("one_stop", f"{service}: no reference in the answer")
        return reference

    def _call(self, service: str, body: Mapping[str, object]) -> dict[str, object]:
        envelope = {"session": self._session, "madonvi": self._agency, "service": service}
        try:
            response = requests.post(
                f"{self._url}/api",
                json={**envelope, **body},
                timeout=_TIMEOUT_S,
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


def _counter(row: Mapping[str, object]) -> CounterDossier | None:
    """Return the dossier in a row; None where the system leaves a part of it out."""
    texts = [str(row.get(name) or "").strip() for name in ("MaTTHC", "ChuHoSo", "SoDienThoai")]
    times = [_instant(row.get(name)) for name in ("NgayTiepNhan", "NgayHenTra")]
    if not all(texts) or times[0] is None or times[1] is None:
        return None
    procedure, name, phone = texts
    return CounterDossier(
        procedure=procedure, accepted_at=times[0], due_at=times[1], name=name, phone=phone
    )


def _instant(stamp: object) -> datetime | None:
    try:
        return datetime.strptime(str(stamp), "%Y%m%d%H%M%S").replace(tzinfo=VIETNAM)
    except ValueError:
        return None


def _stamp(instant: datetime) -> str:
    return instant.astimezone(VIETNAM).strftime("%Y%m%d%H%M%S")
