# SPDX-License-Identifier: Apache-2.0
"""The sandbox's second door, as of 2026: a token, one path for each service, HTTP's own codes.

Behind it are the same officials and the same book as behind the door of 2020.
"""

import hmac
import re
import secrets
import threading
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final

from infra.sandbox.http import Body, Route
from services.common.clock import VIETNAM

CLIENT: Final = "motcua247"
Serve = Callable[[str, Body], dict[str, object]]
_SUBJECTS: Final = {"0": "citizen", "1": "enterprise", "2": "household_business"}
_SHAPE: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+07:00", re.ASCII)
_CODES: Final[dict[object, tuple[int, str]]] = {
    404: (404, "NOT_FOUND"), 409: (400, "STATUS_NOT_ALLOWED"), 500: (400, "DATA_INCORRECT"),
}  # fmt: skip


class Lgsp:
    """The door: translates to the book's words and back."""

    def __init__(self, serve: Serve, secret: str) -> None:
        """Bind what is behind the door, and the client's secret."""
        self._serve = serve
        self._secret = secret
        self._lock = threading.Lock()
        self._tokens: set[str] = set()
        self._steps: set[tuple[str, str]] = set()

    def routes(self) -> dict[tuple[str, str], Route]:
        """Return what a caller may call."""
        services: Mapping[str, Callable[[Body], tuple[int, object]]] = {
            "NoiHoSo": self._join,
            "CapNhatTienTrinh": self._step,
            "CapNhatTrangThai": self._status,
            "LayHoSoTraQuaMay": self._to_return,
        }
        named = {("POST", f"/lgsp/{name}"): self._guarded(do) for name, do in services.items()}
        return {("POST", "/lgsp/token"): self._token, **named}

    def expire(self, _body: Body) -> tuple[int, object]:
        """Forget every token, as time does."""
        with self._lock:
            self._tokens.clear()
        return 200, {}

    def _token(self, body: Body) -> tuple[int, object]:
        given = str(body.get("client_secret", "")).encode()
        right = hmac.compare_digest(given, self._secret.encode())
        if body.get("client_id") != CLIENT or not right:
            return 401, {"status": 0, "code": "AUTHEN_ERROR"}
        token = secrets.token_hex(16)
        with self._lock:
            self._tokens.add(token)
        return 200, {"access_token": token, "token_type": "Bearer", "expires_in": 3600}

    def _guarded(self, route: Route) -> Route:
        def answer(body: Body) -> tuple[int, object]:
            scheme, _, token = str(body.get("authorization", "")).partition(" ")
            with self._lock:
                known = scheme == "Bearer" and token in self._tokens
            return route(body) if known else (401, {"status": 0, "code": "AUTHEN_ERROR"})

        return answer

    def _join(self, body: Body) -> tuple[int, object]:
        row = {
            "MaHoSo": body.get("MaHoSo"),
            "MaTTHC": body.get("MaTTHC"),
            "NgayTiepNhan": _stamp(body.get("NgayTiepNhan")),
            "NgayHenTra": _stamp(body.get("NgayHenTra")),
            "TrangThaiHoSo": body.get("TrangThai"),
            "subject": _SUBJECTS.get(str(body.get("LoaiDoiTuong"))),
        }
        return self._answer("DongBoHoSoMC", row)

    def _step(self, body: Body) -> tuple[int, object]:
        needed = ("IDHoSo", "MaHoSo", "NguoiXuLy", "PhongBanXuLy", "NoiDungXuLy", "TrangThai")
        at = _stamp(body.get("ThoiDiemXuLy"))
        if not (at and all(body.get(name) for name in needed)):
            return 400, {"status": 0, "code": "DATA_INCORRECT"}
        with self._lock:
            self._steps.add((str(body["MaHoSo"]), f"{body['TrangThai']}/{at}"))
        return 200, {"status": 1}

    def _status(self, body: Body) -> tuple[int, object]:
        code, at = str(body.get("MaHoSo")), _stamp(body.get("ThoiDiemXuLy"))
        status = str(body.get("TrangThai"))
        with self._lock:
            stepped = (code, f"{status}/{at}") in self._steps
        if not stepped:  # no status without the step that leads to it
            return 400, {"status": 0, "code": "STEP_MISSING"}
        row = {"MaHoSo": code, "TrangThaiHoSo": status, "ThoiDiemXuLy": at}
        return self._answer("CapNhatTienDoHoSoMC", row)

    def _to_return(self, _body: Body) -> tuple[int, object]:
        rows = self._serve("LayHoSoTraQuaMay", {})["result"]
        assert isinstance(rows, list), "the book lists its orders"
        told = [
            {**row, **{name: _iso(str(row[name])) for name in ("NgayTiepNhan", "NgayHenTra")}}
            for row in rows
        ]
        return 200, {"status": 1, "data": told}

    def _answer(self, service: str, row: Body) -> tuple[int, object]:
        answer = self._serve(service, {"data": [row]})
        if answer["error_code"] in _CODES:
            http, code = _CODES[answer["error_code"]]
            return http, {"status": 0, "code": code, "message": answer.get("message")}
        return 200, {"status": 1, "reference": answer["reference"]}


def _stamp(text: object) -> str:
    """Return an instant in the book's form, empty for what is none."""
    if not isinstance(text, str) or not _SHAPE.fullmatch(text):
        return ""
    try:
        return datetime.fromisoformat(text).strftime("%Y%m%d%H%M%S")
    except ValueError:
        return ""


def _iso(stamp: str) -> str:
    return datetime.strptime(stamp, "%Y%m%d%H%M%S").replace(tzinfo=VIETNAM).isoformat()
