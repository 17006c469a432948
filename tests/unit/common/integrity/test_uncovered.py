# SPDX-License-Identifier: Apache-2.0
"""A bundle ends at a signed checkpoint and tells of every epoch: nothing is believed unsigned."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from services.common.eventlog.record import RecordedEvent
from services.common.integrity import bundle
from services.common.integrity.merkle import root_of
from services.common.integrity.notes import (
    DECIDED_BY,
    EPOCH_AFTER,
    LOST_THROUGH,
    REASON,
    Checkpoint,
    sign_checkpoint,
)
from tests.support.bundles import KEYS, ORIGIN, SIGNER, bundled, plain, rehashed, sealed

SIZE, SEALED = 700, 300
SECOND, THIRD = "motcua247/93/2", "motcua247/93/3"
ALL_KEYS = [*KEYS, SIGNER.named(SECOND).verifier, SIGNER.named(THIRD).verifier]


def note(events: Sequence[RecordedEvent], size: int, origin: str = ORIGIN, after: str = "") -> str:
    """Return the signed checkpoint of the first ``size`` events; ``after`` makes it open an epoch."""
    checkpoint = Checkpoint(
        origin=origin, size=size, root=root_of(one.leaf_hash for one in events[:size]),
        extensions=(
            f"{EPOCH_AFTER}{after}", f"{LOST_THROUGH}{size + 7}", f"{DECIDED_BY}cb007",
            f"{REASON}disk lost",
        ) if after else (),
    )  # fmt: skip
    return str(sign_checkpoint(checkpoint, [SIGNER.named(origin)]))


def found(folder: Path) -> list[str]:
    """Return what a verification finds."""
    return [str(one) for one in bundle.verify_bundle(folder, ALL_KEYS).findings]


@pytest.mark.parametrize("changed", range(SEALED + 1, SIZE + 1, 133))
def test_what_no_checkpoint_covers(tmp_path: Path, changed: int) -> None:
    """Somebody leaves newer checkpoints out and writes what they like; all files agree with it."""
    events = list(plain(SIZE))
    old = note(events, SEALED)
    events[changed - 1 :] = [
        rehashed(replace(one, raw_data=one.raw_data.replace(b'"status":4', b'"status":9')))
        for one in events[changed - 1 :]
    ]
    bundled(tmp_path / "bundle", events, [(SIZE, old)])
    assert found(tmp_path / "bundle") == [f"events 301–{SIZE}: no signed checkpoint covers them"]


def test_an_event_behind_the_last_checkpoint(tmp_path: Path) -> None:
    """One is enough; the command line says so by its exit code."""
    events = list(plain(SIZE))
    bundled(tmp_path / "bundle", events, [(SIZE, note(events, SIZE - 1))])
    assert found(tmp_path / "bundle") == ["events 700–700: no signed checkpoint covers them"]
    assert bundle.main([str(tmp_path / "bundle"), "--key", str(KEYS[0])]) == 1


def test_a_checkpoint_kept_elsewhere_covers(tmp_path: Path) -> None:
    """It is signed, whoever kept it."""
    events = list(plain(SIZE))
    bundled(tmp_path / "bundle", events, [(SIZE, note(events, SEALED))])
    report = bundle.verify_bundle(tmp_path / "bundle", KEYS, known=[note(events, SIZE)])
    assert report.good


def epochs(folder: Path, *left_out: int) -> Path:
    """Write a bundle of three epochs, some of its checkpoints left out."""
    events = list(plain(SIZE))
    notes = [
        (100, note(events, 100)), (200, note(events, 200, SECOND, after=ORIGIN)),
        (300, note(events, 300, SECOND)), (400, note(events, 400, THIRD, after=SECOND)),
        (SIZE, note(events, SIZE, THIRD)),
    ]  # fmt: skip
    kept = [one for at, one in enumerate(notes) if at not in left_out]
    bundled(folder, events, kept)
    return folder


@pytest.mark.parametrize("left_out", [(), (0,), (2,), (0, 2)])
def test_epochs_are_told(tmp_path: Path, left_out: tuple[int, ...]) -> None:
    """Also where the epoch before was never sealed."""
    report = bundle.verify_bundle(epochs(tmp_path / "bundle", *left_out), ALL_KEYS)
    assert report.good
    assert [(one.origin, one.base, one.lost_through) for one in report.epochs] == [
        (SECOND, 200, 207), (THIRD, 400, 407),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("left_out", "first"),
    [
        ((0, 1), f"checkpoint 300: how {SECOND} was opened is missing"),
        ((0, 1, 2), f"checkpoint 400: how {SECOND} was opened is missing"),
        ((0, 1, 2, 3), f"checkpoint 700: how {THIRD} was opened is missing"),
        ((1,), f"checkpoint 300: it is of {SECOND}, not of {ORIGIN}"),
        ((3,), f"checkpoint 700: it is of {THIRD}, not of {SECOND}"),
    ],
)
def test_a_loss_that_is_left_out(tmp_path: Path, left_out: tuple[int, ...], first: str) -> None:
    """Whoever leaves out the note that declares a loss is found, whatever keys are trusted."""
    assert found(epochs(tmp_path / "bundle", *left_out))[:1] == [first]


def test_files_in_log_order() -> None:
    """A position of nine digits stands behind those of eight."""
    names = [bundle.events_path(first) for first in (50_000_001, 100_000_001, 99_950_001)]
    assert bundle.event_files({"files": dict.fromkeys(names)}) == [names[0], names[2], names[1]]


@pytest.mark.parametrize(
    "files",
    [
        [], "x", {"events/1": []}, {"events/1": None}, 7, {"/dev/zero": {}}, {"a/../../b": {}},
        {"": {}}, {"tile\\0": {}},
    ],
)  # fmt: skip
def test_a_manifest_of_another_form(tmp_path: Path, files: object) -> None:
    """Is no bundle; nothing else is said of it, and no file outside of it is opened."""
    sealed(tmp_path / "bundle", lambda: plain(10))
    path = tmp_path / "bundle" / "manifest.json"
    said = json.loads(path.read_text())
    path.write_text(bundle.manifest_text({**said, "files": files}))
    with pytest.raises(bundle.BundleError):
        bundle.verify_bundle(tmp_path / "bundle", KEYS)


def test_a_manifest_without_bottom(tmp_path: Path) -> None:
    """Nested too deeply to be read."""
    (tmp_path / "manifest.json").write_text("[" * 200_000)
    with pytest.raises(bundle.BundleError):
        bundle.verify_bundle(tmp_path, KEYS)
