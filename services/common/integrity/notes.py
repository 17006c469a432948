# SPDX-License-Identifier: Apache-2.0
"""Signed notes, checkpoints and cosignatures, to the byte as C2SP words them.

``c2sp.org/signed-note``, ``c2sp.org/tlog-checkpoint``, ``c2sp.org/tlog-cosignature``: text that
people can read and any implementation can check.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

ED25519: Final = 1
COSIGNATURE: Final = 4
NEXT_KEY: Final = "next-key "
"""Extension line of a checkpoint by which its key vouches for the one that follows it."""
EPOCH_AFTER: Final = "epoch-after "
"""Extension line of an epoch's first checkpoint: the origin that it follows."""
LOST_THROUGH: Final = "lost-through "
"""Extension line there: highest position of the epoch before that was known to anybody."""
DECIDED_BY: Final = "decided-by "
REASON: Final = "reason "
_ID_BYTES, _TIME_BYTES, _KEY_BYTES = 4, 8, 32
_NAME: Final = re.compile(r"[^\s+]+\Z")
_SIGNATURE: Final = re.compile(r"— ([^\s+]+) ([A-Za-z0-9+/]+={0,2})\Z")
_DIGITS: Final = 10
_NOTE_MAX: Final = 64_000
_SIGNATURES_MAX: Final = 100


class NoteError(Exception):
    """A note is malformed or not signed by whom it should be."""


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """Whose signature is trusted: name, algorithm byte and Ed25519 public key."""

    name: str
    algorithm: int
    public: bytes

    @property
    def key_id(self) -> bytes:
        """First four bytes of SHA-256(name ‖ newline ‖ algorithm ‖ public key)."""
        text = self.name.encode() + b"\n" + bytes([self.algorithm]) + self.public
        return hashlib.sha256(text).digest()[:_ID_BYTES]

    def __str__(self) -> str:
        """``name+id+base64(algorithm ‖ public key)``, as it stands in a file."""
        material = base64.b64encode(bytes([self.algorithm]) + self.public).decode()
        return f"{self.name}+{self.key_id.hex()}+{material}"

    @classmethod
    def parse(cls, text: str) -> "VerifierKey":
        """Read what ``str`` writes; raises NoteError."""
        try:
            name, identifier, material = text.strip().split("+", 2)
        except ValueError as error:
            raise NoteError("a verifier key is name+id+base64") from error
        raw = from_base64(material)
        if not _NAME.match(name) or len(raw) != 1 + _KEY_BYTES or raw[0] not in {1, 4}:
            raise NoteError("a verifier key names an Ed25519 key")
        key = cls(name, raw[0], raw[1:])
        if key.key_id.hex() != identifier:
            raise NoteError(f"the verifier key of {name} does not have the id {identifier}")
        return key


class Signer:
    """An Ed25519 key with its name; ``algorithm`` tells a log's from a witness's."""

    def __init__(self, name: str, seed: bytes, algorithm: int = ED25519) -> None:
        """Bind the 32-byte seed."""
        if not _NAME.match(name):
            raise NoteError("a key's name has no space and no +")
        self._private = Ed25519PrivateKey.from_private_bytes(seed)
        self.verifier = VerifierKey(name, algorithm, self._private.public_key().public_bytes_raw())

    def named(self, name: str) -> "Signer":
        """Return the same key under another name; raises NoteError."""
        return Signer(name, self._private.private_bytes_raw(), self.verifier.algorithm)

    def __repr__(self) -> str:
        """Show the public part."""
        return f"Signer({self.verifier})"

    def sign(self, text: str) -> str:
        """Return the signature line of a note with this text."""
        return _line(self.verifier, self._private.sign(text.encode()))

    def cosign(self, text: str, seconds: int) -> str:
        """Return the cosignature line of a checkpoint seen at ``seconds`` since 1970."""
        message = f"cosignature/v1\ntime {seconds}\n{text}".encode()
        return _line(self.verifier, seconds.to_bytes(_TIME_BYTES) + self._private.sign(message))


@dataclass(frozen=True, slots=True)
class Note:
    """A signed note: its text, which ends in a newline, and its signature lines."""

    text: str
    signatures: tuple[str, ...]

    def __str__(self) -> str:
        """The whole note."""
        return self.text + "\n" + "".join(f"{line}\n" for line in self.signatures)

    @classmethod
    def parse(cls, raw: str) -> "Note":
        """Read a note; raises NoteError."""
        if len(raw) > _NOTE_MAX or any(c < " " and c != "\n" for c in raw):
            raise NoteError("a note is short text without control characters")
        text, blank, rest = raw.rpartition("\n\n")
        lines = rest.split("\n")
        if not blank or lines[-1] or not 1 < len(lines) <= _SIGNATURES_MAX + 1:
            raise NoteError("a note is text, an empty line and signatures")
        if not all(_SIGNATURE.match(line) for line in lines[:-1]):
            raise NoteError("a signature line is '— name base64'")
        return cls(text + "\n", tuple(lines[:-1]))

    def signed_by(self, keys: Iterable[VerifierKey]) -> list[VerifierKey]:
        """Return those of ``keys`` whose valid signature the note bears.

        Raises:
            NoteError: a line with a known name and id has a wrong signature.
        """
        known = {(key.name, key.key_id): key for key in keys}
        found = []
        for line in self.signatures:
            match = _SIGNATURE.match(line)
            assert match is not None, "parse checked it"
            raw = from_base64(match[2])
            key = known.get((match[1], raw[:_ID_BYTES]))
            if key is not None:
                _check(key, self.text, raw[_ID_BYTES:])
                found.append(key)
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """What a log says of itself: so many leaves, this root.

    Attributes:
        origin: which log, and which epoch of it.
        size: number of leaves.
        root: root hash.
        extensions: further lines.
    """

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    def text(self) -> str:
        """Return the note text."""
        root = base64.b64encode(self.root).decode()
        return "".join(f"{line}\n" for line in (self.origin, self.size, root, *self.extensions))

    @classmethod
    def parse(cls, text: str) -> "Checkpoint":
        """Read a note text; raises NoteError."""
        origin, *rest = text.removesuffix("\n").split("\n")
        if len(rest) < 2 or not re.fullmatch("0|[1-9][0-9]{0,18}", rest[0]) or not origin:  # noqa: PLR2004 - size, root
            raise NoteError("a checkpoint is origin, size and root, each in a line")
        root = from_base64(rest[1])
        if len(root) != _KEY_BYTES or "" in rest[2:]:
            raise NoteError("a checkpoint's root is a SHA-256 hash")
        return cls(origin=origin, size=int(rest[0]), root=root, extensions=tuple(rest[2:]))

    def extension(self, name: str) -> str | None:
        """Return what the first extension line that begins with ``name`` says."""
        lines = (one for one in self.extensions if one.startswith(name))
        return next((one.removeprefix(name) for one in lines), None)

    @property
    def epoch(self) -> int:
        """Return the epoch that the origin names; 0 where it names none."""
        return epoch_of(self.origin)

    def next_keys(self) -> list[VerifierKey]:
        """Return the keys that this checkpoint's key vouches for."""
        lines = (one for one in self.extensions if one.startswith(NEXT_KEY))
        return [VerifierKey.parse(one.removeprefix(NEXT_KEY)) for one in lines]


def epoch_of(origin: str) -> int:
    """Return the number at an origin's end; 0 where there is none."""
    last = origin.rpartition("/")[2]
    return int(last) if last.isascii() and last.isdecimal() and len(last) < _DIGITS else 0


def order_of(size_and_note: tuple[int, str]) -> tuple[int, int, str]:
    """Return the key that sorts (size, note): by size, then epoch, then text."""
    size, note = size_and_note
    return size, epoch_of(note.partition("\n")[0]), note


def sign_checkpoint(checkpoint: Checkpoint, signers: Sequence[Signer]) -> Note:
    """Return the signed note."""
    text = checkpoint.text()
    return Note(text, tuple(signer.sign(text) for signer in signers))


def open_checkpoint(raw: str, keys: Sequence[VerifierKey]) -> tuple[Checkpoint, Note]:
    """Return a checkpoint that at least one of ``keys`` signed; raises NoteError."""
    note = Note.parse(raw)
    if not note.signed_by(keys):
        raise NoteError("no trusted key signed the checkpoint")
    return Checkpoint.parse(note.text), note


def from_base64(text: str) -> bytes:
    """Return the bytes; raises NoteError for anything but their one canonical spelling."""
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise NoteError("not base64") from error
    if base64.b64encode(raw).decode() != text:
        raise NoteError("not base64")  # bits behind the last byte: two spellings of one signature
    return raw


def _check(key: VerifierKey, text: str, signature: bytes) -> None:
    message = text.encode()
    if key.algorithm == COSIGNATURE:
        seconds = int.from_bytes(signature[:_TIME_BYTES])
        message = f"cosignature/v1\ntime {seconds}\n".encode() + message
        signature = signature[_TIME_BYTES:]
    try:
        Ed25519PublicKey.from_public_bytes(key.public).verify(signature, message)
    except InvalidSignature as error:
        raise NoteError(f"the signature of {key.name} is wrong") from error


def _line(key: VerifierKey, signature: bytes) -> str:
    return f"— {key.name} {base64.b64encode(key.key_id + signature).decode()}"
