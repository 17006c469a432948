# SPDX-License-Identifier: Apache-2.0
"""A bundle swept at full speed says to the letter what going through it event by event says."""

import gzip
import hashlib
import json
import os
import random
import shutil
import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from services.common.audit import bundling
from services.common.eventlog.record import RecordedEvent
from services.common.integrity import bundle, sweep, tiles
from services.common.integrity.checker import Report
from services.common.integrity.merkle import Frontier, ProofError, root_of
from tests.support.bundles import BEGAN_US, KEYS, LOG_ID, Recording, plain, rehashed, sealed
from tests.support.events import new_event

SIZE, SEGMENT = 1_500, 600
NAMES = [bundle.events_path(first) for first in (1, 601, 1_201)]
BYTES = (0, 10, 34, 44, 48, 57, 92, 123, 125)
"""Bytes that mean something in a line, to be put where they do not belong."""


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three files of events that begin in the midst of tiles, checkpoints at odd places."""
    folder = tmp_path_factory.mktemp("sweep") / "bundle"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bundling, "SEGMENT", SEGMENT)
        sealed(folder, lambda: plain(SIZE), each=113)
    return folder


@pytest.fixture
def copy(exported: Path, tmp_path: Path) -> Path:
    """A bundle to be harmed."""
    return Path(shutil.copytree(exported, tmp_path / "bundle"))


def forge(folder: Path, *names: str) -> None:
    """Make the manifest agree with what stands there now, as a forger would."""
    manifest = json.loads((folder / "manifest.json").read_text())
    for name in names:
        content = (folder / name).read_bytes()
        manifest["files"][name] = {
            "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest(),
        }  # fmt: skip
    (folder / "manifest.json").write_text(bundle.manifest_text(manifest))


def one_by_one(folder: Path) -> Report:
    """Verify without any sweep."""

    def refuse(_folder: Path, names: Sequence[str], *_asked: object, jobs: int) -> Iterator[None]:
        return iter([None] * len(names))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bundle, "sweep_all", refuse)
        return bundle.verify_bundle(folder, KEYS)


def said(report: Report) -> tuple[object, ...]:
    """Return all that a report says; tiles may come before roots or behind them."""
    return (
        sorted(str(one) for one in report.findings), report.events, report.sealed, report.checkpoints,
        report.root,
    )  # fmt: skip


def test_what_is_sound_is_swept(exported: Path) -> None:
    """Every file, so that the speed is there; the report is that of the slow way."""
    found = list(sweep.sweep_all(exported, NAMES, LOG_ID, SIZE, jobs=2))
    assert [one and (one.first, one.events) for one in found] == [
        (1, 600), (601, 600), (1_201, 300),
    ]  # fmt: skip
    for each in (1, 2):
        report = bundle.verify_bundle(exported, KEYS, jobs=each)
        assert report.good
        assert said(report) == said(one_by_one(exported))
    assert report.checkpoints == SIZE // 113 + 1


@pytest.mark.parametrize("each", [1, 255, 256, 257, 512])
def test_checkpoints_anywhere(tmp_path: Path, each: int) -> None:
    """At every event, around a tile's edge: all of them are checked, whichever way."""
    sealed(tmp_path / "bundle", lambda: plain(700), each=each)
    report = bundle.verify_bundle(tmp_path / "bundle", KEYS)
    assert report.good
    assert report.checkpoints == -(-700 // each)
    assert report.sealed == 700
    assert said(report) == said(one_by_one(tmp_path / "bundle"))


def _line(change: Callable[[list[bytes], random.Random], None]) -> Callable[..., None]:
    def harm(folder: Path, dice: random.Random) -> None:
        name = dice.choice(NAMES)
        found = gzip.decompress((folder / name).read_bytes()).splitlines(keepends=True)
        change(found, dice)
        (folder / name).write_bytes(gzip.compress(b"".join(found)))
        forge(folder, name)

    return harm


def _byte(found: list[bytes], dice: random.Random) -> None:
    at = dice.randrange(len(found))
    place = dice.randrange(len(found[at]))
    found[at] = found[at][:place] + bytes([dice.choice(BYTES)]) + found[at][place + 1 :]


def _number(found: list[bytes], dice: random.Random) -> None:
    """Change one of the numbers that order events."""
    at = dice.randrange(len(found))
    name = dice.choice([b',"version":', b',"position":', b',"recorded_at":', b',"log_id":'])
    head, _, rest = found[at].rpartition(name)
    digits = len(rest) - len(rest.lstrip(b"0123456789"))
    other = dice.choice([b"0", b"1", b"-1", b"007", b"9" * 17, b"9" * 30, b"x", b""])
    found[at] = head + name + other + rest[digits:]


def _swap(found: list[bytes], dice: random.Random) -> None:
    one, other = (dice.randrange(len(found)) for _ in range(2))
    found[one], found[other] = found[other], found[one]


def _file(folder: Path, dice: random.Random) -> None:
    """Change a byte of a tile, an entry bundle or packed events, and the manifest."""
    path = dice.choice([one for one in sorted(folder.glob("*/**/*")) if one.is_file()])
    whole = path.read_bytes()
    at = dice.randrange(len(whole))
    path.write_bytes(whole[:at] + bytes([whole[at] ^ (1 << dice.randrange(8))]) + whole[at + 1 :])
    forge(folder, str(path.relative_to(folder)))


def _length(folder: Path, dice: random.Random) -> None:
    path = dice.choice([one for one in sorted(folder.glob("*/**/*")) if one.is_file()])
    whole = path.read_bytes()
    path.write_bytes(dice.choice([whole[:-1], whole + b"\0", whole + whole, b""]))
    forge(folder, str(path.relative_to(folder)))


KINDS: dict[str, Callable[[Path, random.Random], None]] = {
    "a byte": _line(_byte),
    "a number": _line(_number),
    "swapped": _line(_swap),
    "a line less": _line(lambda found, dice: found.pop(dice.randrange(len(found)))),
    "a line twice": _line(
        lambda found, dice: found.insert(dice.randrange(len(found)), dice.choice(found))
    ),
    "cut off": _line(
        lambda found, dice: found.__delitem__(slice(dice.randrange(len(found)), None))
    ),
    "no end": _line(lambda found, _: found.append(found.pop()[:-1])),
    "an empty line": _line(lambda found, dice: found.insert(dice.randrange(len(found)), b"\n")),
    "a long line": _line(lambda found, _: found.append(b"{" * 500_000)),
    "a file's byte": _file,
    "a file's length": _length,
}


@pytest.mark.parametrize("kind", KINDS)
def test_harm_is_said_in_the_same_words(exported: Path, tmp_path: Path, kind: str) -> None:
    """Found by the sweep exactly where and as the slow way finds it, the manifest forged."""
    dice = random.Random(kind)
    for number in range(6):
        folder = Path(shutil.copytree(exported, tmp_path / str(number)))
        KINDS[kind](folder, dice)
        swept, slow = bundle.verify_bundle(folder, KEYS, jobs=1), one_by_one(folder)
        assert said(swept) == said(slow), number
        assert swept.findings or _events(folder) == _events(exported), "changed and not found"


def _events(folder: Path) -> list[bytes]:
    return [gzip.decompress((folder / name).read_bytes()) for name in NAMES]


def test_an_entry_bundle_and_a_tile_too_many(copy: Path) -> None:
    """Entries are compared with the events; what belongs to no such log is named."""
    entries = tiles.entries_path(1)
    content = bytearray((copy / entries).read_bytes())
    content[42 * 7 + 20] ^= 1
    (copy / entries).write_bytes(content)
    (copy / "tile/0/900").write_bytes(bytes(8192))
    forge(copy, entries, "tile/0/900")
    assert [str(one) for one in bundle.verify_bundle(copy, KEYS).findings] == [
        "tile/0/900: is no tile of such a log",
        f"{entries}: is not that of the events",
    ]


Bend = Callable[[int, Recording], dict[str, Any]]


def bent(bend: Bend) -> Iterator[RecordedEvent]:
    """Yield 300 events that somebody wrote wrongly before they were hashed and sealed."""
    recording = Recording()
    for number in range(300):
        other = bend(number, recording)
        event = new_event(number)
        if "data" in other:
            event = replace(event, data=other["data"])
        moment_us = BEGAN_US + number + other.get("us", 0)
        made = recording.record(f"dossier-{number % 5}", event, moment_us)
        yield rehashed(replace(made, **other["fields"])) if "fields" in other else made


def _jump(at: int, version: int) -> Bend:
    def bend(number: int, recording: Recording) -> dict[str, Any]:
        if number == at:
            recording.jump(version)
        return {}

    return bend


BENT: dict[str, tuple[Bend, str]] = {
    "versions begin again": (_jump(150, 0), "position 151: version 1 of dossier-0 stands where 31"),
    "versions begin again in another file": (_jump(200, 0), "position 201: version 1 of dossier-0"),
    "versions jump between files": (_jump(200, 70), "position 201: version 71 of dossier-0"),
    "a version is left out": (
        lambda n, _: {"fields": {"version": 22}} if n == 100 else {},
        "position 101: version 22 of dossier-0 stands where 21",
    ),
    "another log": (
        lambda n, _: {"fields": {"log_id": 94}} if n == 150 else {}, "position 151: the event is of",
    ),
    "time falls": (lambda n, _: {"us": -9} if n == 150 else {}, "position 151: recorded_at falls"),
    "time falls between files": (
        lambda n, _: {"us": 150} if n < 200 else {}, "position 201: recorded_at falls",
    ),
    "a line too long": (
        lambda n, _: {"data": b'{"n":"%s"}' % (b"x" * 210_000)} if n == 150 else {},
        "events/00000101.ndjson.gz: line 51 is not an event's",
    ),
}  # fmt: skip


@pytest.mark.parametrize("wrong", BENT)
def test_wrong_before_it_was_sealed(tmp_path: Path, wrong: str) -> None:
    """Hashes, tiles and signatures agree; what events have to be is checked all the same."""
    bend, first = BENT[wrong]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bundling, "SEGMENT", 100)
        sealed(tmp_path / "bundle", lambda: bent(bend))
    report = bundle.verify_bundle(tmp_path / "bundle", KEYS)
    assert said(report) == said(one_by_one(tmp_path / "bundle"))
    assert any(str(one).startswith(first) for one in report.findings), report.findings[:3]


@pytest.mark.parametrize("size", [-1, 10**15, "1", None])
def test_a_size_that_cannot_be(copy: Path, size: object) -> None:
    """Said at once, instead of looking for the tiles of so many events."""
    manifest = json.loads((copy / "manifest.json").read_text())
    (copy / "manifest.json").write_text(bundle.manifest_text({**manifest, "size": size}))
    with pytest.raises(bundle.BundleError):
        bundle.verify_bundle(copy, KEYS)


def test_a_killed_process(exported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its files are gone through here; the verification is whole."""

    def die(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    monkeypatch.setattr(sweep, "_events", die)
    report = bundle.verify_bundle(exported, KEYS, jobs=2)
    assert report.good
    assert report.events == SIZE


def test_a_subtree_is_its_leaves() -> None:
    """Added at once or one by one; never where it does not begin."""
    leaves = [bytes([n]) * 32 for n in range(24)]
    grown = Frontier()
    for first in (0, 8, 16):
        grown.append_subtree(3, root_of(leaves[first : first + 8]))
    grown.append(leaves[0])
    assert grown.root() == root_of([*leaves, leaves[0]])
    with pytest.raises(ProofError, match="no subtree"):
        grown.append_subtree(3, leaves[0])
