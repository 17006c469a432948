# SPDX-License-Identifier: Apache-2.0
"""A certificate of completeness: checked against the key you were given, then read."""

import base64
import hashlib
import re
from dataclasses import dataclass
from datetime import date

from motcua_subscriber.ed25519 import verify

_SIGNATURE = re.compile(r"— (\S+) ([A-Za-z0-9+/]+={0,2})")
_ALGORITHM = 1
_ID_BYTES = 4


class CertificateError(ValueError):
    """Not a certificate, or not signed by whom it should be."""


@dataclass(frozen=True)
class Certificate:
    """What was owed on one day: ``count`` events in (after, through] with this digest."""

    subscriber: str
    day: date
    after: int
    through: int
    count: int
    digest: str
    checkpoint: str


def open_certificate(text: str, key: str) -> Certificate:
    """Return what ``text`` certifies.

    Args:
        text: the signed note.
        key: the verifier key, ``name+id+base64``, that the operator handed over.

    Raises:
        CertificateError: malformed, or without a valid signature of ``key``.
    """
    body, blank, rest = text.rpartition("\n\n")
    body += "\n"
    if not blank or not any(_signed(line, body, key) for line in rest.split("\n")[:10]):
        raise CertificateError("no valid signature of the given key")
    facts: dict[str, str] = {}
    for line in body.splitlines()[1:]:
        name, _, value = line.partition(" ")
        facts.setdefault(name, value)
    try:
        return Certificate(
            subscriber=facts["subscriber"], day=date.fromisoformat(facts["day"].split(" ")[0]),
            after=int(facts["after"]), through=int(facts["through"]), count=int(facts["count"]),
            digest=facts["digest"], checkpoint=facts["checkpoint"],
        )  # fmt: skip
    except (KeyError, ValueError) as error:
        raise CertificateError("signed, but not a certificate") from error


def _signed(line: str, body: str, key: str) -> bool:
    match = _SIGNATURE.fullmatch(line)
    name, identifier, material = _key(key)
    if match is None or match[1] != name:
        return False
    raw = base64.b64decode(match[2])
    return raw[:_ID_BYTES] == identifier and verify(material, body.encode(), raw[_ID_BYTES:])


def _key(key: str) -> tuple[str, bytes, bytes]:
    try:
        name, identifier, encoded = key.strip().split("+", 2)
        material = base64.b64decode(encoded, validate=True)
    except ValueError as error:
        raise CertificateError("a verifier key is name+id+base64") from error
    wanted = hashlib.sha256(name.encode() + b"\n" + material).digest()[:_ID_BYTES]
    if material[:1] != bytes([_ALGORITHM]) or wanted.hex() != identifier:
        raise CertificateError("the verifier key does not have its own id")
    return name, wanted, material[1:]
