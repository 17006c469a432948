# SPDX-License-Identifier: Apache-2.0
"""The one-stop software in the 2026 shape, over the provincial integration platform (LGSP).

A token for client and secret, then one path for each service with ``Authorization: Bearer``.
``NoiHoSo`` makes a dossier known; a status is first a step of its course (``CapNhatTienTrinh``),
then its state (``CapNhatTrangThai``). HTTP's code is the outcome; instants are ISO 8601 with
Vietnam's offset. There is no undo: 10 → 9 is one more ``CapNhatTrangThai``.
"""

import threading
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
from services.intake.domain.transitions import NAMES

_REFUSALS: Final = {
    (404, "NOT_FOUND"): "the dossier is not known there",
    (400, "STATUS_NOT_ALLOWED"): "the step is not allowed there",
    (400, "DATA_INCORRECT"): "the data are incorrect",
}
"""The answer would always be the same; any other one is a fault of the way there."""
_WHO: Final = "Một Cửa 24/7"


class OneStop2026:
    """Client of the one-stop system; every call is safe to repeat."""

    def __init__(self, url: str, *, client: str, secret: str, agency: str) -> None:
        """Bind address, the client's name and secret, and the agency identifier."""
        self._url = url
        self._client = client
        self._secret = secret
        self._agency = agency
        self._lock = threading.Lock()
        self._token = ""

    def upsert(
        self, code: str, *, procedure: str, accepted_at: datetime, due_at: datetime, status: int
    ) -> str:
        """Make the dossier, or its new due time, known; returns the system's reference.

        Raises:
            Unavailable: down, slow, or an answer that is not an acknowledgement.
            NotTakenError: the data or the step is refused for good.
        """
        dossier = {
            "IDHoSo": code,
            "MaHoSo": code,
            "MaTTHC": procedure,
            "MaDonVi": self._agency,
            "LoaiDoiTuong": SUBJECTS["citizen"].y2026,
            "NgayTiepNhan": _iso(accepted_at),
            "NgayHenTra": _iso(due_at),
            "TrangThai": str(status),
        }
        return reference_in(self._call("NoiHoSo", dossier), "NoiHoSo")

    def progress(self, code: str, *, status: int, at: datetime) -> str:
        """Report a status; returns the system's reference. Raises as ``upsert``."""
        state = {
            "IDHoSo": code,
            "MaHoSo": code,
            "TrangThai": str(status),
            "ThoiDiemXuLy": _iso(at),
        }
        step = {
            **state,
            "NguoiXuLy": _WHO,
            "PhongBanXuLy": self._agency,
            "NoiDungXuLy": NAMES[status][1],
            "NgayBatDau": _iso(at),
        }
        self._call("CapNhatTienTrinh", step)
        return reference_in(self._call("CapNhatTrangThai", state), "CapNhatTrangThai")

    def to_return(self) -> list[ReturnOrder]:
        """Return every result that is to be returned at a machine. Raises Unavailable."""
        try:
            answer = self._call("LayHoSoTraQuaMay", {"MaDonVi": self._agency})
        except NotTakenError as refusal:
            raise Unavailable("one_stop", str(refusal)) from refusal
        return orders_in(answer.get("data"), _instant)

    def _call(self, service: str, body: Mapping[str, object]) -> dict[str, object]:
        token = self._fresh_token("")
        http, answer = self._post(service, body, token)
        if http == HTTPStatus.UNAUTHORIZED:  # tokens end; once with a new one, then it is a fault
            http, answer = self._post(service, body, self._fresh_token(token))
        why = _REFUSALS.get((http, str(answer.get("code"))))
        if why is not None:
            raise NotTakenError(f"{service}: {http} {why}")
        if http != HTTPStatus.OK or answer.get("status") != 1:
            raise Unavailable("one_stop", f"{service}: HTTP {http}")
        return answer

    def _fresh_token(self, stale: str) -> str:
        """Return a token other than ``stale``; one thread asks, the others wait for it."""
        with self._lock:
            if self._token and self._token != stale:
                return self._token
            self._token = ""
            asked = {
                "client_id": self._client,
                "client_secret": self._secret,
                "grant_type": "client_credentials",
            }
            http, answer = self._post("token", asked, "")
            token = answer.get("access_token")
            if http != HTTPStatus.OK or not isinstance(token, str) or not token.isascii():
                raise Unavailable("one_stop", f"token: HTTP {http}")
            self._token = token
            return token

    def _post(
        self, service: str, body: Mapping[str, object], token: str
    ) -> tuple[int, dict[str, object]]:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        try:
            response = requests.post(
                f"{self._url}/lgsp/{service}",
                json=body,
                headers=headers,
                timeout=one_stop.TIMEOUT_S,
                allow_redirects=False,  # secret and token go nowhere else
            )
            answer = response.json()
        except (requests.RequestException, ValueError) as error:
            raise Unavailable("one_stop", f"{service}: {type(error).__name__}") from error
        if not isinstance(answer, dict):
            raise Unavailable("one_stop", f"{service}: not an object")
        return response.status_code, answer


def _instant(text: object) -> datetime | None:
    try:
        instant = datetime.fromisoformat(str(text))
        return None if instant.tzinfo is None else instant.astimezone(VIETNAM)
    except (ValueError, OverflowError):
        return None


def _iso(instant: datetime) -> str:
    return instant.astimezone(VIETNAM).replace(microsecond=0).isoformat()
