# SPDX-License-Identifier: Apache-2.0
"""A bank of its own: reads payment codes, keeps accounts, notifies like payOS until it is heard.

``python -m infra.sandbox.bank --port N --book FILE --callback URL --checksum-key-file FILE``
"""

import argparse
import hashlib
import hmac
import http.client
import json
import sys
import threading
import time
import urllib.request
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from infra.sandbox.book import Book
from infra.sandbox.http import Body, serve

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS transfer (
    reference TEXT PRIMARY KEY, bin TEXT NOT NULL, account TEXT NOT NULL, amount INTEGER NOT NULL,
    content TEXT NOT NULL, at TEXT NOT NULL, notified INTEGER NOT NULL DEFAULT 0,
    attempts INTEGER NOT NULL DEFAULT 0);
"""
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
        content = f"MBVCB.{uuid.uuid4().int % 10**9}.{code['purpose']}.CT tu 0123456789"
        with self._book.writing() as rows:
            rows.execute(
                "INSERT INTO transfer (reference, bin, account, amount, content, at)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                (reference, code["bin"], code["account"], amount, content, _now()),
            )
        self._new.set()
        return 200, {"reference": reference, "amount": amount}

    def book(self, _body: Body) -> tuple[int, object]:
        """Return everything in the book."""
        return 200, {"transfers": self._book.rows("SELECT * FROM transfer ORDER BY at")}

    def close(self) -> None:
        """Stop notifying; what is not yet heard is sent after the next start."""
        self._closing.set()
        self._new.set()
        self._thread.join(_CALL_TIMEOUT_S)
        self._book.close()

    def _notify(self) -> None:
        while not self._closing.is_set():
            waiting = self._book.rows("SELECT * FROM transfer WHERE notified = 0 ORDER BY at")
            failed = [row for row in waiting if not self._send(row)]
            self._new.clear()
            if failed:
                time.sleep(_PAUSE_S)
            else:
                self._new.wait(_PAUSE_S)

    def _send(self, row: dict[str, object]) -> bool:
        data: dict[str, object] = {
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
        body = {"code": "00", "desc": "success", "success": True, "data": data}
        request = urllib.request.Request(  # noqa: S310 - the address is given at start
            self._callback,
            data=json.dumps({**body, "signature": self._sign(data)}).encode(),
            headers={"Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=_CALL_TIMEOUT_S) as answer:  # noqa: S310
                heard = bool(200 <= answer.status < 300)  # noqa: PLR2004
        except (OSError, http.client.HTTPException):  # HTTPException: a cut-off status line
            heard = False
        with self._book.writing() as rows:
            rows.execute(
                "UPDATE transfer SET attempts = attempts + 1, notified = ? WHERE reference = ?",
                (int(heard), row["reference"]),
            )
        return heard

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
    routes = {("POST", "/control/pay"): bank.pay, ("GET", "/control/book"): bank.book}
    serve(flags.port, routes, bank.close)
    return 0


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
