# SPDX-License-Identifier: Apache-2.0
"""A one-stop system of its own: takes dossiers, lets its officials finish them, keeps its book.

It has two doors to one book, ``/api`` as of 2020 and ``/lgsp/…`` as of 2026, and misbehaves as
``POST /control/faults`` orders.

``python -m infra.sandbox.one_stop --port N --book FILE --session-file FILE``
"""

import argparse
import hmac
import re
import sys
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from infra.sandbox.book import Book
from infra.sandbox.http import Body, Route, serve
from infra.sandbox.one_stop_2026 import Lgsp
from infra.sandbox.one_stop_faults import Faults
from services.common.clock import VIETNAM

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS dossier (
    code TEXT PRIMARY KEY, procedure TEXT NOT NULL, accepted TEXT NOT NULL, due TEXT NOT NULL,
    status INTEGER NOT NULL, result_number TEXT, machine TEXT, owner TEXT, phone TEXT,
    subject TEXT);
CREATE TABLE IF NOT EXISTS history (
    id INTEGER PRIMARY KEY, code TEXT NOT NULL, status INTEGER NOT NULL, at TEXT NOT NULL,
    received TEXT NOT NULL, reference TEXT NOT NULL);
"""
_STAMP: Final = re.compile(r"\d{14}", re.ASCII)
_CODE: Final = re.compile(r"[GH]\d\d(\.\d{1,3}){0,3}-\d{6}(\d{2})?-\d{4,7}", re.ASCII)
_TELLING: Final = ("DongBoHoSoMC", "CapNhatTienDoHoSoMC")
_SUBJECTS: Final = {"1": "citizen", "2": "enterprise or household_business"}
"""LoaiDoiTuong as of 2020; 2026 counts from 0 and has three."""
_UNKNOWN_SESSION, _BAD_DATA, _NOT_FOUND, _NOT_ALLOWED = 101, 500, 404, 409


class OneStop:
    """The system's rules; every call may be repeated."""

    def __init__(self, book: Book, session: str, faults: Faults) -> None:
        """Bind book, session secret and the faults that are ordered."""
        self._book = book
        self._session = session
        self._faults = faults

    def api(self, body: Body) -> tuple[int, object]:
        """Answer ``POST /api`` in the shape of 2020: always 200, the outcome in error_code."""
        given = str(body.get("session", "")).encode()
        if not hmac.compare_digest(given, self._session.encode()):
            return 200, {"error_code": _UNKNOWN_SESSION, "message": "session"}
        data = body.get("data")
        rows = data if isinstance(data, list) else []
        told = [_with_subject(row) for row in rows if isinstance(row, dict)]
        return 200, self.serve(str(body.get("service")), {**body, "data": told})

    def serve(self, service: str, body: Body) -> dict[str, object]:
        """Carry out what either door was asked."""
        services = {
            "DongBoHoSoMC": self._upsert,
            "CapNhatTienDoHoSoMC": self._progress,
            "LayHoSoTraQuaMay": self._to_return,
        }
        do = services.get(service)
        if do is None:
            return {"error_code": _BAD_DATA, "message": "service"}
        if service in _TELLING and self._faults.take("refuse"):
            return {"error_code": _BAD_DATA, "message": "ordered"}
        return do(body)

    def register(self, body: Body) -> tuple[int, object]:
        """Its officials take a dossier at their counter: status 4."""
        names = ("MaHoSo", "MaTTHC", "NgayTiepNhan", "NgayHenTra", "ChuHoSo", "SoDienThoai")
        code, procedure, accepted, due, owner, phone = (str(body.get(n) or "") for n in names)
        right = _CODE.fullmatch(code) and _time(accepted) and _time(due)
        if not (right and procedure and owner and phone):
            return 422, {"error": f"needs {', '.join(names)}"}
        with self._book.writing() as rows:
            new = rows.execute(
                "INSERT INTO dossier (code, procedure, accepted, due, status, owner, phone)"
                " VALUES (?, ?, ?, ?, 4, ?, ?) ON CONFLICT (code) DO NOTHING",
                (code, procedure, accepted, due, owner, phone),
            )
            if new.rowcount:
                _note(rows, code, 4, accepted)
        return 200, {"MaHoSo": code}

    def finish(self, body: Body) -> tuple[int, object]:
        """Its officials finish a dossier: status 9, to be returned at a machine.

        With ``NgayHenTra`` they wait until they see that day: 409 before.
        """
        code, machine = str(body.get("MaHoSo", "")), str(body.get("machine", ""))
        number = str(body.get("result_number") or f"KQ-{code}")
        with self._book.writing() as rows:
            row = rows.execute("SELECT status, due FROM dossier WHERE code = ?", (code,)).fetchone()
            if row is None or not machine:
                return 404, {"error": "MaHoSo or machine unknown"}
            if str(body.get("NgayHenTra") or row["due"]) != row["due"]:
                return 409, {"error": f"due {row['due']}"}
            if row["status"] not in {2, 4, 9, 10}:
                return 409, {"error": f"status {row['status']} is not finished"}
            if row["status"] in {2, 4}:
                rows.execute(
                    "UPDATE dossier SET status = 9, result_number = ?, machine = ? WHERE code = ?",
                    (number, machine, code),
                )
                _note(rows, code, 9, datetime.now(VIETNAM).strftime("%Y%m%d%H%M%S"))
        return 200, {"MaHoSo": code}

    def book(self, _body: Body) -> tuple[int, object]:
        """Return everything in the book."""
        return 200, {
            "dossiers": self._book.rows("SELECT * FROM dossier ORDER BY code"),
            "history": self._book.rows("SELECT * FROM history ORDER BY id"),
        }

    def _upsert(self, body: Body) -> dict[str, object]:
        row = _only(body)
        stamps = [str(row.get(name, "")) for name in ("NgayTiepNhan", "NgayHenTra")]
        code, procedure = str(row.get("MaHoSo", "")), str(row.get("MaTTHC", ""))
        status = str(row.get("TrangThaiHoSo", ""))
        known_status = status in {"2", "4"}
        subject = row.get("subject")
        named = _CODE.fullmatch(code) and procedure and subject
        if not (named and known_status and all(map(_time, stamps))):
            return {"error_code": _BAD_DATA, "message": "data"}
        with self._book.writing() as rows:
            known = rows.execute(
                "INSERT INTO dossier (code, procedure, accepted, due, status, subject)"
                " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (code) DO NOTHING",
                (code, procedure, *stamps, int(status), subject),
            )
            if known.rowcount:
                return _ok(_note(rows, code, int(status), stamps[0]))
            # A step is told by itself; what a known dossier brings is when it is due from now on.
            rows.execute("UPDATE dossier SET due = ? WHERE code = ?", (stamps[1], code))
            first = rows.execute(
                "SELECT reference FROM history WHERE code = ? ORDER BY id LIMIT 1", (code,)
            )
            return _ok(str(first.fetchone()["reference"]))

    def _progress(self, body: Body) -> dict[str, object]:
        row = _only(body)
        code, status = str(row.get("MaHoSo", "")), str(row.get("TrangThaiHoSo", ""))
        at = str(row.get("ThoiDiemXuLy", ""))
        if not re.fullmatch(r"[2-9]|10", status) or not _time(at):
            return {"error_code": _BAD_DATA, "message": "TrangThaiHoSo"}
        with self._book.writing() as rows:
            known = rows.execute("SELECT status FROM dossier WHERE code = ?", (code,)).fetchone()
            if known is None:
                return {"error_code": _NOT_FOUND, "message": "MaHoSo"}
            told = _reference(rows, code, int(status), at)
            if status == "10" and known["status"] != 9 and told is None:  # noqa: PLR2004
                return {"error_code": _NOT_ALLOWED, "message": "only 9 becomes 10"}
            # What comes late is history, not news: a finished dossier only goes on, or back by one.
            follows = {9: told is None and status == "10", 10: told is None and status == "9"}
            if follows.get(known["status"], at >= _last_time(rows, code)):
                rows.execute("UPDATE dossier SET status = ? WHERE code = ?", (int(status), code))
            return _ok(told or _note(rows, code, int(status), at))

    def _to_return(self, _body: Body) -> dict[str, object]:
        rows = self._book.rows(
            "SELECT code AS MaHoSo, result_number AS SoKetQua, machine AS MaMay,"
            " procedure AS MaTTHC, accepted AS NgayTiepNhan, due AS NgayHenTra,"
            " owner AS ChuHoSo, phone AS SoDienThoai FROM dossier"
            " WHERE status = 9 AND machine IS NOT NULL ORDER BY code"
        )
        return {"error_code": 0, "result": rows * (1 + self._faults.take("duplicate_orders"))}


def main(words: list[str]) -> int:
    """Run until SIGTERM."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--book", type=Path, required=True)
    parser.add_argument("--session-file", type=Path, required=True)
    flags = parser.parse_args(words)
    book = Book(flags.book, _SCHEMA)
    faults, secret = Faults(), flags.session_file.read_text().strip()
    system = OneStop(book, secret, faults)
    second = Lgsp(system.serve, secret)
    doors: dict[tuple[str, str], Route] = {("POST", "/api"): system.api, **second.routes()}
    routes: dict[tuple[str, str], Route] = {
        **{door: faults.around(route) for door, route in doors.items()},
        ("POST", "/control/faults"): faults.order,
        ("POST", "/control/expire-tokens"): second.expire,
        ("POST", "/control/finish"): system.finish,
        ("POST", "/control/register"): system.register,
        ("GET", "/control/book"): system.book,
    }
    serve(flags.port, routes, book.close)
    return 0


def _only(body: Body) -> dict[str, Any]:
    data = body.get("data")
    row = data[0] if isinstance(data, list) and len(data) == 1 else {}
    return row if isinstance(row, dict) else {}


def _with_subject(row: dict[str, Any]) -> dict[str, Any]:
    return {**row, "subject": _SUBJECTS.get(str(row.get("LoaiDoiTuong")))}


def _time(stamp: str) -> bool:
    try:
        datetime.strptime(stamp, "%Y%m%d%H%M%S").replace(tzinfo=VIETNAM)
    except ValueError:
        return False
    return _STAMP.fullmatch(stamp) is not None


def _ok(reference: str) -> dict[str, object]:
    return {"error_code": 0, "reference": reference}


def _note(rows: Any, code: str, status: int, at: str) -> str:
    reference = uuid.uuid4().hex
    rows.execute(
        "INSERT INTO history (code, status, at, received, reference) VALUES (?, ?, ?, ?, ?)",
        (code, status, at, datetime.now(UTC).isoformat(), reference),
    )
    return reference


def _reference(rows: Any, code: str, status: int, at: str) -> str | None:
    """Return what was answered when this step was told before, None for a new one."""
    row = rows.execute(
        "SELECT reference FROM history WHERE code = ? AND status = ? AND at = ?",
        (code, status, at),
    ).fetchone()
    return None if row is None else str(row["reference"])


def _last_time(rows: Any, code: str) -> str:
    row = rows.execute("SELECT max(at) AS at FROM history WHERE code = ?", (code,)).fetchone()
    return str(row["at"])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
