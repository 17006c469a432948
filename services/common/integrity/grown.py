# SPDX-License-Identifier: Apache-2.0
"""The tiles and entry bundles of a bundle, compared with those that its events grow."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from services.common.integrity import tiles
from services.common.integrity.checker import Report
from services.common.integrity.merkle import HASH_BYTES

_CHANGED: Final = "is not that of the events"


class Grown:
    """Reads the stored hash of an event; grows all levels anew and compares."""

    def __init__(
        self, folder: Path, size: int, files: Mapping[str, Mapping[str, Any]], report: Report
    ) -> None:
        """Begin before the first event; ``files`` are those of the manifest."""
        self._folder, self._size, self._report = folder, size, report
        self._left = {(level, index): width for level, index, width in tiles.tiles_of(size)}
        self._rows: list[list[bytes]] = [[]]
        self._counts = [0]
        self._leaves = _Cut(self._load_tile, HASH_BYTES)
        self._entries = _Cut(self._load_entries, tiles.BUNDLED_BYTES)
        self._wrong_entries = set[int]()
        self._check_names(files)

    def leaf(self, index: int) -> bytes | None:
        """Return the leaf hash that the tile has; None where there is no such tile."""
        return self._leaves.at(index) or None

    def check_entry(self, index: int, entry: bytes) -> None:
        """Compare an event with its entry; a bundle of entries is named once."""
        bundle = index // tiles.WIDTH
        good = self._entries.at(index) == tiles.bundle([entry])
        if not good and bundle not in self._wrong_entries:
            self._wrong_entries.add(bundle)
            self._report.add(self._entries_path(bundle), _CHANGED)

    def grow(self, leaf: bytes) -> None:
        """Take the next leaf, computed anew."""
        self._rows[0].append(leaf)
        if len(self._rows[0]) == tiles.WIDTH:
            self._up()

    def extend(self, leaves: bytes) -> dict[int, bytes]:
        """Take many; returns the root of each tile that they fill, by its index."""
        roots, row = dict[int, bytes](), self._rows[0]
        for at in range(0, len(leaves), HASH_BYTES):
            row.append(leaves[at : at + HASH_BYTES])
            if len(row) == tiles.WIDTH:
                tile = self._counts[0]
                roots[tile] = self._up()
                row = self._rows[0]
        return roots

    def end(self) -> None:
        """Compare the partial tiles; what is left over covers nothing."""
        for level, row in enumerate(self._rows):
            if row:
                self._compare(level, row)
        for level, index in self._left:
            self._report.add(tiles.tile_path(level, index), "covers events that are not there")

    def _up(self) -> bytes:
        """Compare the full tile of level 0 and those that it fills; returns its root."""
        root, level = self._compare(0, self._rows[0]), 0
        carry = root
        while True:
            self._rows[level] = []
            level += 1
            if level == len(self._rows):
                self._rows.append([])
                self._counts.append(0)
            self._rows[level].append(carry)
            if len(self._rows[level]) < tiles.WIDTH:
                return root
            carry = self._compare(level, self._rows[level])

    def _compare(self, level: int, row: list[bytes]) -> bytes:
        index = self._counts[level]
        self._counts[level] += 1
        width = self._left.pop((level, index), None)
        computed = b"".join(row)
        if width is not None and self._load(tiles.tile_path(level, index, width)) != computed:
            self._report.add(tiles.tile_path(level, index, width), _CHANGED)
        return tiles.fold(computed) if len(row) == tiles.WIDTH else b""

    def _check_names(self, files: Mapping[str, Mapping[str, Any]]) -> None:
        """Every tile and entry bundle of such a log is there, at its length, and no other is."""
        wanted = {
            tiles.tile_path(level, index, width): width * HASH_BYTES
            for (level, index), width in self._left.items()
        }
        for (level, index), width in self._left.items():
            if level == 0:
                wanted[tiles.entries_path(index, width)] = width * tiles.BUNDLED_BYTES
        for name, length in wanted.items():
            if files.get(name, {}).get("bytes") != length:
                self._report.add(name, "is not there, or not as long as it has to be")
        for name in sorted(files.keys() - wanted.keys()):
            if name.startswith("tile/"):
                self._report.add(name, "is no tile of such a log")

    def _entries_path(self, bundle: int) -> str:
        width = min(tiles.WIDTH, self._size - bundle * tiles.WIDTH)
        return tiles.entries_path(bundle, width)

    def _load_tile(self, index: int) -> bytes:
        width = self._left.get((0, index), tiles.WIDTH)
        return self._load(tiles.tile_path(0, index, width))

    def _load_entries(self, bundle: int) -> bytes:
        return self._load(self._entries_path(bundle))

    def _load(self, name: str) -> bytes:
        try:
            return (self._folder / name).read_bytes()
        except OSError:
            return b""


class _Cut:
    """Files of 256 things of one size; holds the last one that was read."""

    def __init__(self, load: Callable[[int], bytes], one_bytes: int) -> None:
        self._load, self._one_bytes = load, one_bytes
        self._held = -1, b""

    def at(self, index: int) -> bytes:
        """Return a thing; less than that where there is none."""
        number, place = divmod(index, tiles.WIDTH)
        if number != self._held[0]:
            self._held = number, self._load(number)
        return self._held[1][place * self._one_bytes : (place + 1) * self._one_bytes]
