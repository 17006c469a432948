# SPDX-License-Identifier: Apache-2.0
"""A bank of its own: reads payment codes, keeps accounts, notifies like payOS until it is heard.

``python -m infra.sandbox.bank --port N --book FILE --callback URL --checksum-key-file FILE``

``POST /control/faults`` orders faults; ``GET /statement?account=…&after=<number>`` lists credits,
each signed like a notification, for whoever signs the question with the checksum key.
"""

import argparse
import hashlib
import hmac
import http.client
import json
import sqlite3
import sys
import threading
import time
import urllib.error
import urllib.request
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from infra.sandbox.book import Book
from infra.sandbox.http import Body, serve

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS transfer (
    reference TEXT PRIMARY KEY, bin TEXT NOT NULL, account TEXT NOT NULL, amount INTEGER NOT NULL,
    content TEXT NOT NULL, at TEXT NOT NULL, notified INTEGER NOT NULL DEFAULT 0,
    attempts INTEGER NOT NULL DEFAULT 0, fault TEXT NOT NULL DEFAULT '',
    not_before REAL NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS ordered_fault (name TEXT PRIMARY KEY, amount REAL NOT NULL);
CREATE TABLE IF NOT EXISTS strange_call (
    reference TEXT NOT NULL, fault TEXT NOT NULL, status INTEGER NOT NULL);
"""
COUNTED: Final = ("alter", "duplicate", "lose", "conflict")
"""Faults of the next n transfers, one fault each: a forged call comes before the right one; the
right one comes twice; none comes; afterwards one comes with another amount, rightly signed."""
DELAY: Final = "delay_s"
_PAGE: Final = 100
_WAITING: Final = (
    "SELECT * FROM transfer WHERE notified = 0 AND fault <> 'lose' AND not_before <= ? ORDER BY at"
)
_CALL_TIMEOUT_S: Final = 10
_PAUSE_S: Final = 0.5
_TRAILER: Final = 8
_HEADER: Final = 4


class NotACodeError(Exception):
    """The text is not a VietQR payload."""


def read_payload(payload: str) -> dict[str, str]:
    """Return bin, account, amount and purpose of a VietQR payload (EMVCo TLV, NAPAS 1.5.2)."""
    if len(payload) < _TRAILER or payload[-8:-4] != "6304" or _crc(payload[:-4]) != payload[-4:]:
        raise NotACodeError("checksum")
    top = _tlv(payload[:-8])
    merchant = _tlv(top.get("38", ""))
    bank = _tlv(merchant.get("01", ""))
    if merchant.get("00") != "A000000727" or top.get("53") != "704" or "54" not in top:
        raise NotACodeError("not a dynamic VietQR in VND")
    return {
        "bin": bank.get("00", ""),
        "account": bank.get("01", ""),
        "amount": top["54"],
        "purpose": _tlv(top.get("62", "")).get("08", ""),
    }


class Bank:
    """Accounts and notifications; the book is on disk before anything is answered or sent."""

    def __init__(self, book: Book, callback: str, checksum_key: str) -> None:
        """Bind book, the collecting body's callback address and the checksum key."""
        self._book = book
        self._callback = callback
        self._key = checksum_key
        self._closing = threading.Event()
        self._new = threading.Event()
        self._thread = threading.Thread(target=self._notify, daemon=True)
        self._thread.start()

    def pay(self, body: Body) -> tuple[int, object]:
        """A payer scans a code: the account is credited; the content is as banks mangle it."""
        try:
            code = read_payload(str(body.get("qr", "")))
            amount = int(str(body.get("amount", code["amount"])))
        except (NotACodeError, ValueError) as error:
            return 422, {"error": f"qr: {error}"}
        reference = f"FT{uuid.uuid4().hex[:12].upper()}"
        mangled = f"MBVCB.{uuid.uuid4().int % 10**9}.{code['purpose']}.CT tu 0123456789"
        with self._book.writing() as rows:
            fault, delay_s = _next_fault(rows)
            rows.execute(
                "INSERT INTO transfer (reference, bin, account, amount, content, at, fault,"
                " not_before) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (reference, code["bin"], code["account"], amount,
                 str(body.get("content", mangled)), _now(), fault, time.time() + delay_s),
            )  # fmt: skip
        self._new.set()
        return 200, {"reference": reference, "amount": amount}

    def faults(self, body: Body) -> tuple[int, object]:
        """Order faults by name: how many, and for ``delay_s`` how long."""
        known = set(body) <= {*COUNTED, DELAY}
        if not known or not all(isinstance(n, int | float) and n >= 0 for n in body.values()):
            return 422, {"error": f"faults are numbers: {', '.join((*COUNTED, DELAY))}"}
        with self._book.writing() as rows:
            rows.executemany(
                "REPLACE INTO ordered_fault (name, amount) VALUES (?, ?)", body.items()
            )
        return 200, {"ordered": self._book.rows("SELECT * FROM ordered_fault ORDER BY name")}

    def statement(self, body: Body) -> tuple[int, object]:
        """Return an account's credits after a number, oldest first, at most 100."""
        account, after = str(body.get("account", "")), str(body.get("after", ""))
        asked = hmac.new(self._key.encode(), f"{account}/{after}".encode(), hashlib.sha256)
        if not hmac.compare_digest(str(body.get("authorization", "")), asked.hexdigest()):
            return 401, {"error": "not the account's holder"}
        rows = self._book.rows(
            "SELECT rowid AS number, * FROM transfer WHERE account = ? AND rowid > ?"
            " ORDER BY rowid LIMIT ?",
            account, after, _PAGE,
        )  # fmt: skip
        return 200, {"credits": [{"number": row["number"], **self._signed(row)} for row in rows]}

    def book(self, _body: Body) -> tuple[int, object]:
        """Return everything in the book."""
        return 200, {
            "transfers": self._book.rows("SELECT * FROM transfer ORDER BY at"),
            "strange_calls": self._book.rows("SELECT * FROM strange_call"),
        }

    def close(self) -> None:
        """Stop notifying; what is not yet heard is sent after the next start."""
        self._closing.set()
        self._new.set()
        self._thread.join(_CALL_TIMEOUT_S)
        self._book.close()

    def _notify(self) -> None:
        while not self._closing.is_set():
            waiting = self._book.rows(_WAITING, time.time())
            failed = [row for row in waiting if not self._send(row)]
            self._new.clear()
            if failed:
                time.sleep(_PAUSE_S)
            else:
                self._new.wait(_PAUSE_S)

    def _send(self, row: dict[str, object]) -> bool:
        fault = str(row["fault"])
        right = self._signed(row)
        other = {**right["data"], "amount": int(str(row["amount"])) + 1000}
        if fault == "alter":
            self._strange(row, {**right, "data": other})
        heard = 200 <= self._call(right) < 300  # noqa: PLR2004
        if heard and fault == "duplicate":
            self._strange(row, right)
        if heard and fault == "conflict":
            self._strange(row, {"data": other, "signature": self._sign(other)})
        with self._book.writing() as rows:
            rows.execute(
                "UPDATE transfer SET attempts = attempts + 1, notified = ? WHERE reference = ?",
                (int(heard), row["reference"]),
            )
        return heard

    def _strange(self, row: dict[str, object], message: dict[str, Any]) -> None:
        """Make a call that should not be; what was answered stands in the book."""
        status = self._call(message)
        with self._book.writing() as rows:
            rows.execute(
                "INSERT INTO strange_call (reference, fault, status) VALUES (?, ?, ?)",
                (row["reference"], row["fault"], status),
            )

    def _call(self, message: dict[str, Any]) -> int:
        """Return the callback's status; 0 when there was no answer."""
        body = {"code": "00", "desc": "success", "success": True, **message}
        request = urllib.request.Request(  # noqa: S310 - the address is given at start
            self._callback,
            data=json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=_CALL_TIMEOUT_S) as answer:  # noqa: S310
                return int(answer.status)
        except urllib.error.HTTPError as error:
            with error:
                return error.code
        except (OSError, http.client.HTTPException):  # HTTPException: a cut-off status line
            return 0

    def _signed(self, row: dict[str, object]) -> dict[str, Any]:
        data = {
            "orderCode": 0,
            "amount": row["amount"],
            "description": row["content"],
            "accountNumber": row["account"],
            "reference": row["reference"],
            "transactionDateTime": row["at"],
            "currency": "VND",
            "code": "00",
            "desc": "Thành công",
            "counterAccountName": None,
        }
        return {"data": data, "signature": self._sign(data)}

    def _sign(self, data: dict[str, object]) -> str:
        pairs = "&".join(f"{k}={'' if data[k] is None else data[k]}" for k in sorted(data))
        return hmac.new(self._key.encode(), pairs.encode(), hashlib.sha256).hexdigest()


def main(words: list[str]) -> int:
    """Run until SIGTERM."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--book", type=Path, required=True)
    parser.add_argument("--callback", required=True)
    parser.add_argument("--checksum-key-file", type=Path, required=True)
    flags = parser.parse_args(words)
    key = flags.checksum_key_file.read_text().strip()
    bank = Bank(Book(flags.book, SCHEMA), flags.callback, key)
    routes = {
        ("POST", "/control/pay"): bank.pay, ("POST", "/control/faults"): bank.faults,
        ("GET", "/control/book"): bank.book, ("GET", "/statement"): bank.statement,
    }  # fmt: skip
    serve(flags.port, routes, bank.close)
    return 0


def _next_fault(rows: sqlite3.Connection) -> tuple[str, float]:
    """Take the next transfer's fault off the orders; with the delay of all notifications."""
    ordered = {row["name"]: row["amount"] for row in rows.execute("SELECT * FROM ordered_fault")}
    for name in COUNTED:
        if ordered.get(name, 0) >= 1:
            rows.execute("UPDATE ordered_fault SET amount = amount - 1 WHERE name = ?", (name,))
            return name, ordered.get(DELAY, 0)
    return "", ordered.get(DELAY, 0)


def _tlv(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    while text:
        if len(text) < _HEADER or not text[2:4].isdigit() or len(text) < _HEADER + int(text[2:4]):
            raise NotACodeError("fields")
        end = 4 + int(text[2:4])
        found[text[:2]] = text[4:end]
        text = text[end:]
    return found


def _crc(text: str) -> str:
    register = 0xFFFF
    for byte in text.encode("ascii", "replace"):
        for bit in range(7, -1, -1):
            carry = (register >> 15) ^ ((byte >> bit) & 1)
            register = ((register << 1) & 0xFFFF) ^ (0x1021 if carry else 0)
    return f"{register:04X}"


def _now() -> str:
    return datetime.now(UTC).isoformat()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
