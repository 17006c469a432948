# SPDX-License-Identifier: Apache-2.0
"""A bundle is verified without the platform, and whatever is changed in it is found."""

import gzip
import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from services.common.audit.bundling import PROGRAM, content_of, verifier
from services.common.audit.export import export
from services.common.errors import Refused, Unavailable
from services.common.eventlog.columns import read_parquet
from services.common.integrity import bundle
from services.common.integrity.notes import Signer
from tests.support.database import LOG_ID, Database, fresh_database
from tests.support.sealed_log import KEYS, ORIGIN, SIGNER, fill, motcua

SIZE = 900


@pytest.fixture(scope="module")
def database(server_url: str) -> Iterator[Database]:
    """A sealed log."""
    with fresh_database(server_url) as database:
        fill(database, SIZE)
        yield database


@pytest.fixture(scope="module")
def exported(database: Database, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its bundle, with a Parquet copy."""
    folder = tmp_path_factory.mktemp("export") / "bundle"
    export(database.url_for("motcua_audit"), LOG_ID, folder, columns=True)
    return folder


@pytest.fixture
def copy(exported: Path, tmp_path: Path) -> Path:
    """A bundle to be harmed."""
    return Path(shutil.copytree(exported, tmp_path / "bundle"))


def alone(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run the bundle's own verifier, with nothing of ours on the path."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return subprocess.run(
        [sys.executable, str(folder / PROGRAM), str(folder), *words],
        check=False, capture_output=True, text=True, timeout=60, cwd=folder, env=environ,
    )  # fmt: skip


def test_it_is_the_log(database: Database, exported: Path) -> None:
    """Every event, byte for byte; no personal data, no ciphertext."""
    with closing(database.log("motcua_audit")) as log:
        events = log.read_all(0, limit=10_000)
    with gzip.open(exported / bundle.events_path(1)) as stream:
        lines = list(stream)
    assert list(read_parquet(exported / bundle.columns_path(1))) == list(events)
    assert lines == [
        bundle.line_of(content_of(event), event.position, event.recorded_at_us) for event in events
    ]
    assert all(json.loads(line) for line in lines)
    assert "Nguyễn".encode() not in b"".join(lines)


def test_verified_without_the_platform(exported: Path) -> None:
    """By the one file in it, in a process that knows nothing else; 0 and the root."""
    done = alone(exported, "--key", str(SIGNER.verifier), "--known", str(exported / "checkpoint"))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("as written\n")
    said = json.loads(alone(exported, "--key", str(SIGNER.verifier), "--json").stdout)
    assert (said["events"], said["sealed"], said["findings"]) == (
        said["sealed"],
        said["events"],
        [],
    )
    assert said["events"] >= SIZE
    inside = motcua_bundle(exported)
    assert inside.stdout == done.stdout


def motcua_bundle(folder: Path) -> subprocess.CompletedProcess[str]:
    """Verify with the platform's own command, without a database."""
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "infra.motcua", "verify", "--bundle", str(folder),
         "--key", str(SIGNER.verifier)],
        check=False, capture_output=True, text=True, timeout=60,
    )  # fmt: skip


def test_the_verifier_is_always_the_same_file() -> None:
    """Byte for byte, so its hash can be published."""
    assert verifier() == verifier()


def lines(folder: Path, change: Callable[[list[bytes]], None]) -> None:
    """Change the events' lines, and the manifest as a forger would."""
    path = folder / "events/00000001.ndjson.gz"
    found = gzip.decompress(path.read_bytes()).splitlines(keepends=True)
    change(found)
    path.write_bytes(gzip.compress(b"".join(found)))
    forge(folder, path)


def forge(folder: Path, *paths: Path) -> None:
    """Make the manifest agree with what stands there now."""
    manifest = json.loads((folder / "manifest.json").read_text())
    for path in paths:
        content = path.read_bytes()
        manifest["files"][str(path.relative_to(folder))] = {
            "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest(),
        }  # fmt: skip
    (folder / "manifest.json").write_text(bundle.manifest_text(manifest))


def _flip(found: list[bytes]) -> None:
    found[40] = found[40].replace(b'"version":', b'"Version":')


def _swap(found: list[bytes]) -> None:
    found[40], found[41] = found[41], found[40]


HARMS: dict[str, tuple[Callable[[Path], None], str]] = {
    "a changed line": (lambda f: lines(f, _flip), "position 41"),
    "another time": (
        lambda f: lines(f, lambda x: x.__setitem__(40, x[40].replace(b'"recorded_at":1', b'"recorded_at":2'))),
        "position 41",
    ),
    "a line less": (lambda f: lines(f, lambda x: x.pop(40)), "position 41"),
    "a line twice": (lambda f: lines(f, lambda x: x.insert(40, x[40])), "position 42"),
    "lines swapped": (lambda f: lines(f, _swap), "position 41"),
    "the end cut off": (lambda f: lines(f, lambda x: x.__delitem__(slice(800, None))), "checkpoint"),
    "no line at all": (lambda f: lines(f, lambda x: x.append(b"{}\n")), "events/00000001"),
    "a tile": (
        lambda f: ((f / "tile/0/001").write_bytes(bytes(8192)), forge(f, f / "tile/0/001")),
        "tile/0/001",
    ),
    "no tile": (lambda f: (f / "tile/1/000.p/3").unlink(), "tile/1/000"),
    "a file more": (lambda f: (f / "tile/0/999").write_bytes(b"x"), "tile/0/999"),
    "a checkpoint": (
        lambda f: (f / "checkpoint").write_text((f / "checkpoint").read_text().replace("motcua247", "motcua248")),
        "checkpoint",
    ),
    "an unforged manifest": (
        lambda f: (f / PROGRAM).write_bytes(b"print('as written')"), PROGRAM,
    ),
}  # fmt: skip


@pytest.mark.parametrize("harm", HARMS)
def test_every_harm_is_found(copy: Path, harm: str) -> None:
    """And where."""
    act, where = HARMS[harm]
    act(copy)
    report = bundle.verify_bundle(copy, KEYS)
    assert any(found.where.startswith(where) for found in report.findings), [
        str(found) for found in report.findings
    ][:5]


def test_random_bytes(copy: Path) -> None:
    """Any byte of any file: found, or the file cannot be read, which is said."""
    rng = random.Random(11)
    files = sorted(path for path in copy.rglob("*") if path.is_file())
    for number in range(200):
        path = copy / "manifest.json" if number % 4 == 0 else rng.choice(files)
        whole = path.read_bytes()
        at = rng.randrange(len(whole))
        path.write_bytes(
            whole[:at] + bytes([whole[at] ^ (1 << rng.randrange(8))]) + whole[at + 1 :]
        )
        with suppress(bundle.BundleError):
            assert not bundle.verify_bundle(copy, KEYS).good, f"{path} byte {at}"
        path.write_bytes(whole)
    assert bundle.verify_bundle(copy, KEYS).good


def test_another_key_and_no_bundle(exported: Path, tmp_path: Path) -> None:
    """Foreign checkpoints are named; what is no bundle is code 2."""
    foreign = str(Signer(ORIGIN, bytes(range(1, 33))).verifier)
    done = alone(exported, "--key", foreign)
    assert done.returncode == 1
    assert "no trusted key" in done.stdout
    for words in (("--key", "x"), ("--key", foreign, "--known", str(tmp_path / "absent"))):
        assert alone(exported, *words).returncode == 2
    with pytest.raises(bundle.BundleError):
        bundle.verify_bundle(tmp_path, KEYS)


def test_what_export_refuses(database: Database, exported: Path, tmp_path: Path) -> None:
    """A folder that is there, a log that is not sealed, a database that is not there."""
    done = motcua(database, "export", str(exported))
    assert (done.returncode, done.stdout) == (2, "")
    assert "exists" in done.stderr
    fine = motcua(database, "export", "--parquet", str(tmp_path / "one"))
    assert fine.returncode == 0
    assert fine.stdout.startswith(f"{tmp_path / 'one'}: ")
    with pytest.raises(Refused):
        export(database.url_for("motcua_audit"), LOG_ID + 1, tmp_path / "two")
    with pytest.raises(Unavailable):
        export("postgresql://nobody@127.0.0.1:1/x", LOG_ID, tmp_path / "two")
    assert not (tmp_path / "two").exists()
