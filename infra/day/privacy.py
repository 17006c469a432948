# SPDX-License-Identifier: Apache-2.0
"""Whether a citizen stands anywhere in plain words, and what an erasure leaves.

Looked through: backups of both databases, the servers' own files with every queue, all processes'
log files, the machines' journals, and an export. The outside world's books are read as well: there
telephones must be found, or the search itself would be blind.
"""

import base64
import gzip
import os
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import psycopg

from infra.audit_books import Line
from infra.day.crowd import Outcome
from infra.day.figures import seal_key
from infra.local.postgres import binaries
from infra.local.settings import LOG_ID, Stack
from services.common.audit.export import export
from services.common.audit.subjects import PersonalField, personal_fields
from services.common.eventlog.postgres import PostgresLog
from services.common.integrity import bundle, tiles
from services.common.integrity.proofs import TlogProof, make_proof

TIMEOUT_S: Final = 60
OUTSIDE: Final = "books"


def lines(
    local: Stack, log: PostgresLog, outcomes: Sequence[Outcome], raw: Path | None
) -> list[Line]:
    """Search, erase the first visitor, search again; everything must be sealed before.

    Args:
        local: the installation, still running.
        log: as ``motcua_audit``.
        outcomes: who came.
        raw: the servers' data folder; None where somebody else runs the servers.
    """
    looked = local.folder / "looked-through"
    words = [spelling for one in outcomes for spelling in spellings(one)]
    size = export(local.database_url("motcua_audit"), LOG_ID, looked / "bundle").size
    _unpack(looked)
    _back_up(local, looked)
    places = [looked, local.folder / "log", local.folder / "machines", *([raw] if raw else [])]
    erased = outcomes[0].dossier
    fields = personal_fields(log.read_subject(erased))
    things = _things(local, log, fields)
    proof = _proof(looked / "bundle", size, fields[0].event.position)
    before = _found(things, [looked / "backup"])
    _erase(local, erased)
    _back_up(local, looked)
    after = _found(things, [looked / "backup"])
    return [
        Line("places with a citizen in plain words", _found(words, places), []),
        Line("the same search in the outside world's books",
             _whether(_found(words, [local.folder / OUTSIDE])), "found"),
        Line("key and ciphertext in a backup before an erasure", _whether(before), "found"),
        Line("key and ciphertext in a backup after it", after, []),
        Line("proof from before the erasure", _check(local, log, proof, fields[0]), "valid"),
    ]  # fmt: skip


def spellings(one: Outcome) -> list[bytes]:
    """Return how name and telephone may be written: as they are, hexadecimal, base64."""
    return [way for word in (one.visit.name, one.visit.phone[1:]) for way in spelled(word)]


def spelled(text: str) -> list[bytes]:
    """Return how ``text`` may be written: as it is, hexadecimal, base64."""
    word = text.encode()
    plain = [word, word.hex().encode(), word.hex().upper().encode()]
    return plain + [_middle(word, lead) for lead in range(3)]


def _middle(word: bytes, lead: int) -> bytes:
    """Return the characters that ``word`` alone decides in a base64 text, ``lead`` bytes in."""
    text = base64.b64encode(bytes(lead) + word)
    return text[-(-lead * 8 // 6) : (lead + len(word)) * 8 // 6]


def _found(words: Iterable[bytes], places: Sequence[Path]) -> list[str]:
    """Return what is found where under ``places``: file and word."""
    given = b"\n".join(sorted(set(words))) + b"\n"
    done = subprocess.run(
        ["grep", "-raoF", "-f", "-", *map(str, places)],
        check=False, input=given, capture_output=True, timeout=TIMEOUT_S,
        env={**os.environ, "LC_ALL": "C"},
    )  # fmt: skip
    # 2 is also said when a server removes a file of its own while it is read.
    return sorted(set(done.stdout.decode(errors="replace").splitlines()))


def _whether(found: Sequence[str]) -> str:
    return "found" if found else "nothing"


def _back_up(local: Stack, looked: Path) -> None:
    """Dump both databases as text, in which bytes are hexadecimal."""
    folder = looked / "backup"
    folder.mkdir(exist_ok=True)
    for keys in (False, True):
        subprocess.run(
            [str(binaries() / "pg_dump"), "--file", str(folder / f"{keys}.sql"),
             local.admin_url(keys=keys)],
            check=True, capture_output=True, timeout=TIMEOUT_S,
        )  # fmt: skip


def _unpack(looked: Path) -> None:
    for packed in (looked / "bundle").rglob("*.gz"):
        (looked / packed.name.removesuffix(".gz")).write_bytes(gzip.decompress(packed.read_bytes()))


def _things(local: Stack, log: PostgresLog, fields: Sequence[PersonalField]) -> list[bytes]:
    """Return ciphertexts and wrapped keys as a dump writes them."""
    hexes = [log.read_personal(one.event.event_id)[one.field].blob.hex() for one in fields]
    with psycopg.connect(local.admin_url(keys=True), connect_timeout=5) as connection:
        rows: list[tuple[Any, ...]] = connection.execute(
            "SELECT wrapped FROM keys.subject_key WHERE key_id = ANY (%s)",
            ([one.key for one in fields],),
        ).fetchall()
    return [word.encode() for word in (*hexes, *(bytes(row[0]).hex() for row in rows))]


def _erase(local: Stack, dossier: str) -> None:
    """As an official would: by command line, with the eraser's login."""
    role = "motcua_eraser"
    environ = {
        "MOTCUA_DATABASE_URL": local.database_url(role), "MOTCUA_LOG_ID": str(LOG_ID),
        "MOTCUA_KEYS_DATABASE_URL": local.database_url(role, keys=True),
        "MOTCUA_SERVICE_KEY_FILE": str(local.secret("service_key")),
        "MOTCUA_KEK_FILE": str(local.secret("kek")),
    }  # fmt: skip
    subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "infra.motcua", "subject", "erase", dossier,
         "--by", "cb001", "--reference", "CV-118/VP"],
        check=True, capture_output=True, timeout=TIMEOUT_S, env={**os.environ, **environ},
    )  # fmt: skip


def _proof(folder: Path, size: int, position: int) -> TlogProof:
    """Make a proof from the export alone."""

    def load(level: int, index: int) -> bytes:
        width = min(tiles.WIDTH, (size >> (tiles.BITS * level)) - index * tiles.WIDTH)
        return (folder / tiles.tile_path(level, index, width)).read_bytes()

    note = (folder / bundle.CHECKPOINT).read_text(encoding="utf-8")
    return make_proof(position, note, tiles.tile_reader(load))


def _check(local: Stack, log: PostgresLog, proof: TlogProof, one: PersonalField) -> str:
    (event,) = log.read_positions([one.event.position])
    return "valid" if proof.check(event.leaf_hash, [seal_key(local)]).size else ""
