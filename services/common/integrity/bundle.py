# SPDX-License-Identifier: Apache-2.0
"""A bundle: a sealed log as files, and its verification with Python and ``cryptography`` alone.

    checkpoint              newest signed checkpoint, with cosignatures (C2SP tlog-checkpoint)
    checkpoints.gz          every checkpoint, one note behind the other
    events/00000001.ndjson.gz   one event a line, named by its first position
    columns/00000001.parquet    the same events as Parquet, where it was asked for
    tile/…                  hash tiles and entry bundles (C2SP tlog-tiles)
    manifest.json           size and SHA-256 of each file
    verify.pyz              this program

A line is ``{"content":…,"position":n,"recorded_at":µs}``; ``content`` are the canonical bytes that
the event's content hash covers. Keys are never taken from a bundle: they come from elsewhere.
"""

import argparse
import gzip
import hashlib
import json
import re
import sys
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from services.common.integrity import tiles
from services.common.integrity.checker import Leaf, LogChecker, Report
from services.common.integrity.grown import Grown
from services.common.integrity.notes import NoteError, VerifierKey, open_checkpoint, order_of
from services.common.integrity.sweep import LINE_MAX, jobs_here, sweep_all

FORMAT: Final = 1
MANIFEST: Final = "manifest.json"
CHECKPOINT: Final = "checkpoint"
CHECKPOINTS: Final = "checkpoints.gz"
_NAME: Final = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._/-]*\Z")
"""Of a file below the folder; a name that begins with a slash would be anywhere."""
_START, _POSITION, _RECORDED = b'{"content":', b',"position":', b',"recorded_at":'
_SHOWN: Final = 50
_TOO_LARGE: Final = 2**63
Progress = Callable[[int, int], None]
"""``progress(done, total)`` in events."""


class BundleError(Exception):
    """It is no bundle, or it cannot be read."""


def line_of(content: bytes, position: int, recorded_at_us: int) -> bytes:
    """Return an event's line."""
    return b"%s%s%s%d%s%d}\n" % (
        _START, content, _POSITION, position, _RECORDED, recorded_at_us,
    )  # fmt: skip


def parse_line(line: bytes) -> tuple[bytes, int, int]:
    """Return content, position and recorded_at of a line; raises ValueError."""
    at_position = line.rindex(_POSITION)
    at_recorded = line.rindex(_RECORDED)
    content = line[len(_START) : at_position]
    position = int(line[at_position + len(_POSITION) : at_recorded])
    recorded = int(line[at_recorded + len(_RECORDED) : -2])
    if line != line_of(content, position, recorded) or max(position, abs(recorded)) >= _TOO_LARGE:
        raise ValueError("no event's line")
    return content, position, recorded


def events_path(first: int) -> str:
    """Return the path of the events from position ``first`` on."""
    return f"events/{first:08d}.ndjson.gz"


def columns_path(first: int) -> str:
    """Return the path of their Parquet copy."""
    return f"columns/{first:08d}.parquet"


def verify_bundle(
    folder: Path,
    keys: Sequence[VerifierKey],
    *,
    known: Sequence[str] = (),
    jobs: int = 0,
    progress: Progress = lambda _done, _total: None,
) -> Report:
    """Verify a bundle: its files, every event, its tiles and checkpoints.

    Args:
        folder: of the bundle.
        keys: trusted verifier keys.
        known: checkpoints seen before, from wherever they were kept.
        jobs: how many processes; 0 for one each processor.
        progress: told now and then.

    Raises:
        BundleError: it is no bundle.
        NoteError: a known checkpoint is not signed by a trusted key.
    """
    manifest = read_manifest(folder)
    heads = [(open_checkpoint(raw, keys)[0].size, raw) for raw in known]
    findings = list(changed_files(folder, manifest["files"]))
    notes = sorted({*_notes(folder, findings), *heads}, key=order_of)
    checker = LogChecker(int(manifest["log_id"]), keys, _once(notes))
    for where, what in findings:
        checker.report.add(where, what)
    total, log_id = int(manifest["size"]), int(manifest["log_id"])
    grown = Grown(folder, total, manifest["files"], checker.report)
    names = event_files(manifest)
    sweeps = sweep_all(folder, names, log_id, total, jobs=jobs or jobs_here())
    for name, swept in zip(names, sweeps, strict=True):
        if swept is not None and checker.joins(swept):
            checker.absorb(swept, grown.extend(swept.leaves))
        else:
            _one_by_one(folder, name, checker, grown)
        progress(min(checker.report.events, total - 1), total)
    report = checker.end()
    grown.end()
    if report.events != total:
        report.add("events", f"{report.events} of {total} are there")
    if checker.covered < total:
        # An export ends at a checkpoint; whatever stands behind the last one anybody can have made.
        report.add(f"events {checker.covered + 1}–{total}", "no signed checkpoint covers them")
    progress(total, total)
    return report


def _one_by_one(folder: Path, name: str, checker: LogChecker, grown: Grown) -> None:
    """Check a file in which something is out of the ordinary, and say what."""
    for count, line in enumerate(lines_of(folder, name, checker.report), start=1):
        try:
            content, position, recorded = parse_line(line)
        except ValueError:
            checker.report.add(name, f"line {count} is not an event's")
            continue
        stored = grown.leaf(position - 1)
        checker.event(Leaf(position, recorded, content, leaf_hash=stored))
        grown.check_entry(position - 1, checker.last_entry)
        grown.grow(checker.last_leaf)


def read_manifest(folder: Path) -> dict[str, Any]:
    """Return what a bundle says of itself; raises BundleError."""
    try:
        text = (folder / MANIFEST).read_text(encoding="utf-8")
        manifest = json.loads(text)
        good = (
            text == manifest_text(manifest)
            and manifest["format"] == FORMAT
            and all(isinstance(manifest[name], int) for name in ("log_id", "size"))
            and 0 <= manifest["size"] <= tiles.WIDTH * len(manifest["files"])  # a tile each
            and all(isinstance(said, dict) for said in manifest["files"].values())
        )
        names = [*manifest["files"]]
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise BundleError(f"{folder / MANIFEST}: {error}") from error
    # What is not written just so was written by somebody else.
    if not good or not all(_NAME.match(name) and ".." not in name for name in names):
        raise BundleError(f"{folder / MANIFEST} is not of format {FORMAT}")
    return dict(manifest)


def event_files(manifest: dict[str, Any]) -> list[str]:
    """Return the names of the files of events, in log order: a ninth digit comes behind eight."""
    names = [one for one in manifest["files"] if one.startswith("events/")]
    return sorted(names, key=lambda one: (len(one), one))


def has_copy(manifest: dict[str, Any]) -> bool:
    """Say whether a bundle has a Parquet copy."""
    return any(name.startswith("columns/") for name in manifest["files"])


def manifest_text(manifest: dict[str, Any]) -> str:
    """Return the manifest as it is written."""
    return json.dumps(manifest, indent=1, sort_keys=True)


def changed_files(folder: Path, files: dict[str, dict[str, Any]]) -> Iterator[tuple[str, str]]:
    """Yield (name, what is wrong) of files that are not those of the manifest."""
    for name, said in sorted(files.items()):
        try:
            with (folder / name).open("rb") as stream:
                found = hashlib.file_digest(stream, "sha256").hexdigest()
                size = stream.tell()
        except OSError as error:
            yield name, f"cannot be read: {error.strerror}"
            continue
        if said != {"bytes": size, "sha256": found}:
            yield name, "is not the file of the manifest"
    kept = {str(one.relative_to(folder)) for one in folder.rglob("*") if one.is_file()}
    for name in sorted(kept - files.keys() - {MANIFEST}):
        yield name, "is not in the manifest"


def _notes(folder: Path, findings: list[tuple[str, str]]) -> list[tuple[int, str]]:
    try:
        with gzip.open(folder / CHECKPOINTS, "rt", encoding="utf-8") as stream:
            texts = [one for one in stream.read().split("\n\f\n") if one]
        texts.append((folder / CHECKPOINT).read_text(encoding="utf-8"))
    except (OSError, EOFError, UnicodeError, zlib.error) as error:
        findings.append((CHECKPOINTS, f"cannot be read: {error}"))
        return []
    notes = []
    for text in texts:
        size = text.split("\n", 2)[1:2]
        if size and size[0].isdecimal():
            notes.append((int(size[0]), text))
        else:
            findings.append((CHECKPOINTS, "something in it is no checkpoint"))
    return notes


def _once(notes: Sequence[tuple[int, str]]) -> Iterator[tuple[int, str]]:
    said = ""
    for size, note in notes:
        text = note.partition("\n\n")[0]
        if text != said:
            yield size, note
        said = text


def lines_of(folder: Path, name: str, report: Report) -> Iterator[bytes]:
    """Yield the lines of one file of events; what cannot be read is noted in ``report``."""
    try:
        with gzip.open(folder / name, "rb") as stream:
            while line := stream.readline(LINE_MAX):
                yield line
    except (OSError, EOFError, zlib.error) as error:
        report.add(name, f"cannot be read to its end: {error}")


def print_report(report: Report, *, as_json: bool) -> int:
    """Print what was found; returns the exit code: 0 as written, 1 changed."""
    out = sys.stdout.write
    if as_json:
        said = {
            "good": report.good, "events": report.events, "sealed": report.sealed,
            "checkpoints": report.checkpoints, "root": report.root.hex(),
            "epochs": [str(one) for one in report.epochs],
            "findings": [{"where": one.where, "what": one.what} for one in report.findings],
        }  # fmt: skip
        out(json.dumps(said, ensure_ascii=False, indent=1) + "\n")
    else:
        for one in report.findings[:_SHOWN]:
            out(f"{one}\n")
        if len(report.findings) > _SHOWN:
            out(f"… and {len(report.findings) - _SHOWN} more\n")
        for epoch in report.epochs:
            out(f"epoch {epoch}\n")
        verdict = "as written" if report.good else "CHANGED"
        out(f"{report.events} events, {report.sealed} under {report.checkpoints} checkpoints,"
            f" root {report.root.hex()}: {verdict}\n")  # fmt: skip
    return 0 if report.good else 1


def on_terminal() -> Progress:
    """Return a progress line with the time that is left, on a terminal only."""
    began = time.monotonic()

    def show(done: int, total: int) -> None:
        spent = time.monotonic() - began
        left = spent / done * (total - done) if done else 0
        sys.stderr.write(f"\r{done:,} of {total:,} events, {left:.0f} s left ")
        if done == total:
            sys.stderr.write("\n")
        sys.stderr.flush()

    return show if sys.stderr.isatty() else lambda _done, _total: None


def read_keys(words: Sequence[str]) -> list[VerifierKey]:
    """Return the keys named by text or file; raises NoteError, OSError."""
    texts = [
        text
        for word in words
        for text in (
            Path(word).read_text(encoding="utf-8").split() if Path(word).is_file() else [word]
        )
    ]
    return [VerifierKey.parse(text) for text in texts]


def main(words: Sequence[str] | None = None) -> int:
    """Verify the bundle named on the command line."""
    parser = argparse.ArgumentParser(
        prog="verify.pyz",
        description="Verify a bundle of a Một Cửa 24/7 event log. Exit code 0: as written;"
        " 1: changed, and where; 2: it could not be checked.",
    )
    parser.add_argument("folder", type=Path, help="folder of the bundle")
    parser.add_argument("--key", action="append", required=True,
                        help="trusted key, name+id+base64, or a file with it")  # fmt: skip
    parser.add_argument("--known", type=Path, action="append", default=[],
                        help="checkpoint kept elsewhere that the log has to contain")  # fmt: skip
    parser.add_argument("--jobs", type=int, default=0,
                        help="how many processes; one each processor if not given")  # fmt: skip
    parser.add_argument("--json", action="store_true", help="say it as JSON")
    asked = parser.parse_args(words)
    try:
        notes = [path.read_text(encoding="utf-8") for path in asked.known]
        report = verify_bundle(
            asked.folder,
            read_keys(asked.key),
            known=notes,
            jobs=asked.jobs,
            progress=on_terminal(),
        )
    except (BundleError, NoteError, OSError, UnicodeError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return print_report(report, as_json=asked.json)


if __name__ == "__main__":
    sys.exit(main())
