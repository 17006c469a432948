# SPDX-License-Identifier: Apache-2.0
"""The bank's statement over HTTP: lines signed like notifications, asked for with the same key."""

import hashlib
import hmac
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

import requests
from marshmallow import ValidationError

from services.common.errors import Unavailable
from services.payment.adapters import payos
from services.payment.application.statement import StatementLine

_TIMEOUT_S: Final = (3.0, 10.0)
_BANK: Final = "bank"


class Statement:
    """Client of one account's statement."""

    provider = payos.PROVIDER

    def __init__(self, url: str, account: str, checksum_key: str) -> None:
        """Bind address, account and the key that signs questions and lines."""
        self.account = account
        self._url = url
        self._key = checksum_key

    def after(self, number: int) -> list[StatementLine]:
        """Return lines after ``number``; raises Unavailable for anything that is no statement."""
        question = f"{self.account}/{number}".encode()
        signed = hmac.new(self._key.encode(), question, hashlib.sha256).hexdigest()
        try:
            response = requests.get(
                f"{self._url}/statement",
                params={"account": self.account, "after": str(number)},
                headers={"Authorization": signed},
                timeout=_TIMEOUT_S,
                allow_redirects=False,
            )
            answer = response.json() if response.status_code == HTTPStatus.OK else None
        except (requests.RequestException, ValueError) as error:
            raise Unavailable(_BANK, f"statement: {type(error).__name__}") from error
        lines = answer.get("credits") if isinstance(answer, dict) else None
        if not isinstance(lines, list) or not all(_is_line(line, number) for line in lines):
            raise Unavailable(_BANK, "statement: no list of numbered credits in the answer")
        return [self._line(line) for line in sorted(lines, key=lambda line: int(line["number"]))]

    def _line(self, line: Mapping[str, Any]) -> StatementLine:
        try:
            data = payos.flat(dict(line["data"]))
            signed = payos.is_signed(data, str(line["signature"]), self._key)
            credit = payos.credit_in(data) if signed and payos.tells_of_money(data) else None
        except (KeyError, TypeError, ValueError, ValidationError):
            credit = None
        return StatementLine(number=int(line["number"]), credit=credit)


def _is_line(line: object, after: int) -> bool:
    number = line.get("number") if isinstance(line, dict) else None
    return isinstance(number, int) and number > after
