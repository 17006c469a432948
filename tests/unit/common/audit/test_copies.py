# SPDX-License-Identifier: Apache-2.0
"""A Parquet copy is proven to be the events, and whatever differs in it is named by row."""

import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import pyarrow as pa
import pytest
from pyarrow import parquet
from typer.testing import CliRunner

from infra.motcua import app
from services.common.audit import bundling
from services.common.audit.copies import compare
from services.common.eventlog import columns
from services.common.eventlog.columns import SCHEMA, read_parquet, write_parquet
from services.common.eventlog.record import RecordedEvent
from services.common.integrity import bundle
from tests.support.bundles import KEYS, SIGNER, plain, sealed

SIZE, SEGMENT = 1_500, 600
FIRST, MIDDLE = "columns/00000001.parquet", "columns/00000601.parquet"


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A bundle of three segments, each copy of several row groups."""
    folder = tmp_path_factory.mktemp("copies") / "bundle"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bundling, "SEGMENT", SEGMENT)
        patch.setattr(columns, "ROWS_PER_GROUP", 250)
        sealed(folder, lambda: plain(SIZE), columns=True)
    return folder


@pytest.fixture
def copy(exported: Path, tmp_path: Path) -> Path:
    """A bundle to be harmed."""
    return Path(shutil.copytree(exported, tmp_path / "bundle"))


def forge(folder: Path, name: str) -> None:
    """Make the manifest agree with what stands there now, as a forger would."""
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"].pop(name, None)
    if (folder / name).exists():
        content = (folder / name).read_bytes()
        manifest["files"][name] = {
            "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest(),
        }  # fmt: skip
    (folder / "manifest.json").write_text(bundle.manifest_text(manifest))


def rows(folder: Path, change: Callable[[list[RecordedEvent]], None], name: str = MIDDLE) -> None:
    """Change a copy's rows, and the manifest."""
    found = list(read_parquet(folder / name))
    change(found)
    (folder / name).unlink()
    write_parquet(folder / name, found)
    forge(folder, name)


def set_row(**fields: object) -> Callable[[list[RecordedEvent]], None]:
    """Return a change of the forty-first row."""

    def change(found: list[RecordedEvent]) -> None:
        found[40] = replace(found[40], **fields)

    return change


def table(folder: Path, change: Callable[[Any], Any], **how: Any) -> None:
    """Change a copy as a table, which the writer of ours would refuse."""
    path = folder / MIDDLE
    changed = change(parquet.read_table(path))
    parquet.write_table(changed, path, **how)
    forge(folder, MIDDLE)


FIELDS: dict[str, tuple[dict[str, object], str]] = {
    "log_id": ({"log_id": 94}, "log_id"),
    "event_id": ({"event_id": UUID(int=5)}, "event_id"),
    "stream": ({"stream": "dossier-other"}, "stream"),
    "version": ({"version": 77}, "version"),
    "type": ({"type": "dossier.refused"}, "type"),
    "schema": ({"schema": 2}, "schema"),
    "subject": ({"subject": None}, "subject"),
    "occurred_at": ({"occurred_at_us": 5}, "occurred_at"),
    "recorded_at": ({"recorded_at_us": 5}, "recorded_at"),
    "data": ({"raw_data": b'{"code":"other"}'}, "data"),
    "data, another spelling": ({"raw_data": b'{ "a":1}'}, "data"),
    "meta": ({"raw_meta": b"{}"}, "meta"),
    "content_hash": ({"content_hash": bytes(32)}, "content_hash"),
    "leaf_hash": ({"leaf_hash": bytes(32)}, "leaf_hash"),
}


def findings(folder: Path) -> list[str]:
    """Return what the comparison finds, in words."""
    return [str(one) for one in compare(folder).findings]


def test_every_row_is_the_event(exported: Path) -> None:
    """All of them; and the bundle verifies with the copy in it."""
    names = sorted(one.name for one in (exported / "columns").iterdir())
    assert names == ["00000001.parquet", "00000601.parquet", "00001201.parquet"]
    assert parquet.ParquetFile(exported / FIRST).metadata.num_row_groups == 3
    report = compare(exported)
    assert (report.findings, report.events) == ([], SIZE)
    assert bundle.verify_bundle(exported, KEYS).good


@pytest.mark.parametrize("name", FIELDS)
def test_every_column_is_compared(copy: Path, name: str) -> None:
    """Named with file, row, position and column, though the manifest was forged."""
    fields, column = FIELDS[name]
    rows(copy, set_row(**fields))
    assert bundle.verify_bundle(copy, KEYS).good, "the verifier alone does not read Parquet"
    assert findings(copy) == [f"{MIDDLE} row 41: position 641: {column} is not the event's"]


OTHERS: dict[str, tuple[Callable[[Path], None], str]] = {
    "a row less": (lambda f: rows(f, lambda x: x.pop(40)), "row 41: position 641 is missing before"),
    "the last row less": (lambda f: rows(f, lambda x: x.pop()), "position 1200 is missing at its end"),
    "no row": (lambda f: rows(f, lambda x: x.clear()), "position 601 is missing at its end"),
    "a row more": (
        lambda f: rows(f, lambda x: x.append(replace(x[-1], position=9_999))),
        "row 601: there is no event at position 9999",
    ),
    "a row twice": (
        lambda f: table(f, lambda t: pa.concat_tables([t[:41], t[40:]])),
        "row 42: there is no event at position 641",
    ),
    "rows swapped": (
        lambda f: table(f, lambda t: pa.concat_tables([t[:40], t[41:42], t[40:41], t[42:]])),
        "row 41: position 641 is missing before",
    ),
    "a column less": (lambda f: table(f, lambda t: t.drop_columns(["meta"])), "cannot be read"),
    "a column more": (
        lambda f: table(f, lambda t: t.append_column("note", [["x"] * len(t)])), "cannot be read",
    ),
    "another file's": (
        lambda f: (shutil.copy(f / FIRST, f / MIDDLE), forge(f, MIDDLE)),
        "row 1: there is no event at position 1",
    ),
    "no copy of some events": (
        lambda f: ((f / MIDDLE).unlink(), forge(f, MIDDLE)),
        "events/00000601.ndjson.gz: has no Parquet copy",
    ),
    "a copy of nothing": (
        lambda f: (shutil.copy(f / FIRST, f / "columns/00000007.parquet"),
                   forge(f, "columns/00000007.parquet")),
        "columns/00000007.parquet: is a copy of no events",
    ),
    "a copy that is not listed": (
        lambda f: shutil.copy(f / FIRST, f / "columns/x.parquet"),
        "columns/x.parquet: is not in the manifest",
    ),
    "gone": (lambda f: (f / MIDDLE).unlink(), f"{MIDDLE}: cannot be read"),
    "no Parquet": (
        lambda f: ((f / MIDDLE).write_bytes(b"PAR1"), forge(f, MIDDLE)), f"{MIDDLE}: cannot be read",
    ),
    "text that is none": (
        lambda f: table(f, lambda t: t.set_column(3, "stream", pa.array([b"\xff"] * len(t)).view(pa.string())).cast(SCHEMA)),
        f"{MIDDLE}: cannot be read",
    ),
    **{
        f"no {name}": (lambda f, at=at: table(f, lambda t: _hollow(t, at)), f"{MIDDLE}: cannot be read")
        for at, name in enumerate(SCHEMA.names) if name != "subject"
    },
    "nothing said of positions": (
        lambda f: table(f, lambda t: t.slice(0, 599), write_statistics=False),
        "position 1200 is missing at its end",
    ),
}  # fmt: skip


def _hollow(whole: Any, column: int) -> Any:
    """Return a table in which a row has no value in one column."""
    one = whole.column(column).combine_chunks()
    gap = pa.nulls(1, one.type)
    return whole.set_column(
        column, whole.field(column), pa.concat_arrays([one[:40], gap, one[41:]])
    )


@pytest.mark.parametrize("harm", OTHERS)
def test_whatever_else_is_wrong_is_named(copy: Path, harm: str) -> None:
    """Rows that are too few, too many, in another order; files that are none."""
    act, wanted = OTHERS[harm]
    act(copy)
    assert any(wanted in one for one in findings(copy)), findings(copy)[:5]


def test_random_bytes_of_a_copy(copy: Path) -> None:
    """Any byte: found by its hash, by the verifier without pyarrow too."""
    rng = random.Random(5)
    for _ in range(20):
        path = copy / rng.choice((FIRST, MIDDLE))
        whole = path.read_bytes()
        at = rng.randrange(len(whole))
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1 :])
        assert not compare(copy).good
        assert not bundle.verify_bundle(copy, KEYS).good
        path.write_bytes(whole)
    assert compare(copy).good


def test_the_command_line(copy: Path, tmp_path: Path) -> None:
    """0 the same, 1 with the place, 2 where there is nothing to compare; verify compares as well."""
    run = CliRunner().invoke
    key = ["--key", str(SIGNER.verifier)]
    assert run(app, ["columns", "--check", str(copy)]).stdout == "1500 rows: the events\n"
    assert run(app, ["verify", "--bundle", str(copy), *key]).exit_code == 0
    rows(copy, set_row(version=77))
    said = run(app, ["columns", "--check", str(copy)])
    assert (said.exit_code, said.stdout) == (
        1,
        f"{MIDDLE} row 41: position 641: version is not the event's\n1500 rows: NOT THE EVENTS\n",
    )
    verified = run(app, ["verify", "--bundle", str(copy), *key])
    assert verified.exit_code == 1
    assert f"{MIDDLE} row 41" in verified.stdout
    bare = tmp_path / "bare"
    sealed(bare, lambda: plain(10))
    for folder in (bare, tmp_path / "absent"):
        refused = run(app, ["columns", "--check", str(folder)]).exception
        assert "cannot_compare" in str(refused)


def test_a_group_is_bounded_by_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Large events close a row group early, so that it can be held whatever they weigh."""
    monkeypatch.setattr(columns, "GROUP_BYTES", 100_000)
    monkeypatch.setattr(columns, "_ROWS_PER_BATCH", 50)
    write_parquet(tmp_path / "x.parquet", plain(1_500))
    metadata = parquet.ParquetFile(tmp_path / "x.parquet").metadata
    sizes = [metadata.row_group(n).num_rows for n in range(metadata.num_row_groups)]
    assert max(sizes) <= 300
    assert sum(sizes) == 1_500


def test_killed_in_the_middle(tmp_path: Path) -> None:
    """Nothing stands under the name; the next export writes it whole, over what was left."""
    program = (
        "import itertools,sys;from pathlib import Path;from tests.support.bundles import *\n"
        "from services.common.audit import bundling;bundling.SEGMENT=2_000\n"
        "def events():\n"
        "  for n, event in enumerate(plain(6_000)):\n"
        "    yield event\n"
        "    if told.count(1) and n == 5_000: print('now', flush=True); sys.stdin.read()\n"
        "  told.append(1)\n"
        "told = []\n"
        f"sealed(Path({str(tmp_path / 'bundle')!r}), events, columns=True)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", program], stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": "."},
    ) as child:  # fmt: skip
        assert child.stdout is not None
        assert child.stdout.readline() == b"now\n"
        child.send_signal(signal.SIGKILL)
    left = tmp_path / "bundle.part"
    assert [one.name for one in tmp_path.iterdir()] == [left.name]
    assert len(list(left.glob("columns/*.parquet"))) == 2
    with pytest.raises(bundle.BundleError):
        bundle.verify_bundle(left, KEYS)
    sealed(tmp_path / "bundle", lambda: plain(2_500), columns=True)
    assert not left.exists()
    assert compare(tmp_path / "bundle").good
    assert bundle.verify_bundle(tmp_path / "bundle", KEYS).good
