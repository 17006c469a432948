# SPDX-License-Identifier: Apache-2.0
"""Static tiles as ``c2sp.org/tlog-tiles`` words them: a tree cut into files of 256 hashes.

An entry of ours is what a leaf hash covers: content hash (32 bytes) ‖ recorded_at (8 bytes).
"""

from collections.abc import Callable, Iterator
from typing import Final

from services.common.integrity.merkle import HASH_BYTES, node

WIDTH: Final = 256
BITS: Final = 8
ENTRY_BYTES: Final = 40
BUNDLED_BYTES: Final = 2 + ENTRY_BYTES
"""An entry in its bundle, where its length stands before it."""


def tile_path(level: int, index: int, width: int = WIDTH) -> str:
    """Return the path of a hash tile, ``tile/0/x001/234``, partial ones with ``.p/<width>``."""
    return f"tile/{level}/{_index(index)}{_partial(width)}"


def entries_path(index: int, width: int = WIDTH) -> str:
    """Return the path of an entry bundle."""
    return f"tile/entries/{_index(index)}{_partial(width)}"


def tiles_of(size: int) -> Iterator[tuple[int, int, int]]:
    """Yield (level, index, width) of every tile of a tree with ``size`` leaves."""
    level, count = 0, size
    while count:
        full, rest = divmod(count, WIDTH)
        for index in range(full):
            yield level, index, WIDTH
        if rest:
            yield level, full, rest
        level, count = level + 1, full


def tile_reader(load: Callable[[int, int], bytes]) -> Callable[[int, int], bytes]:
    """Return a ``merkle.Reader`` over tiles; ``load(level, index)`` gives a tile's bytes."""

    def read(level: int, index: int) -> bytes:
        tile_level, inner = divmod(level, BITS)
        first = index << inner
        hashes = load(tile_level, first // WIDTH)
        start = first % WIDTH * HASH_BYTES
        return fold(hashes[start : start + (HASH_BYTES << inner)])

    return read


def fold(hashes: bytes) -> bytes:
    """Return the root over 2^n hashes that stand one behind the other."""
    row = [hashes[at : at + HASH_BYTES] for at in range(0, len(hashes), HASH_BYTES)]
    while len(row) > 1:
        row = [node(row[at], row[at + 1]) for at in range(0, len(row), 2)]
    return row[0]


class Edge:
    """The tiles that are not full yet, one for each level; tells which hashes are final."""

    def __init__(self, size: int, rows: list[list[bytes]]) -> None:
        """Take the hashes of the partial tile of each level, lowest first."""
        self.size = size
        self._rows = rows

    @classmethod
    def of(cls, size: int, row: Callable[[int, int, int], list[bytes]]) -> "Edge":
        """Find the edge of a tree; ``row(level, first, count)`` reads hashes of level 0, 8, 16."""
        rows, level, count = list[list[bytes]](), 0, size
        while count:
            full, rest = divmod(count, WIDTH)
            rows.append(row(level, full * WIDTH, rest) if rest else [])
            level, count = level + BITS, full
        return cls(size, rows)

    def copy(self) -> "Edge":
        """Return one that grows on its own."""
        return Edge(self.size, [list(row) for row in self._rows])

    def append(self, leaf: bytes) -> list[tuple[int, int, bytes]]:
        """Add a leaf; returns (level, index, hash) of each subtree of 256^n leaves it completes."""
        self.size += 1
        done, tile, carry = list[tuple[int, int, bytes]](), 0, leaf
        while True:
            if tile == len(self._rows):
                self._rows.append([])
            self._rows[tile].append(carry)
            if len(self._rows[tile]) < WIDTH:
                return done
            carry = fold(b"".join(self._rows[tile]))
            self._rows[tile] = []
            tile += 1
            level = tile * BITS
            done.append((level, (self.size >> level) - 1, carry))


def entry(content_hash: bytes, recorded_at_us: int) -> bytes:
    """Return the entry of an event."""
    return content_hash + recorded_at_us.to_bytes(8, signed=True)


def bundle(entries: list[bytes]) -> bytes:
    """Return an entry bundle: each entry behind its length in two bytes."""
    return b"".join(len(one).to_bytes(2) + one for one in entries)


def _index(index: int) -> str:
    parts = [f"{index % 1000:03d}"]
    while index >= 1000:  # noqa: PLR2004 - three digits a folder
        index //= 1000
        parts.append(f"x{index % 1000:03d}")
    return "/".join(reversed(parts))


def _partial(width: int) -> str:
    return "" if width == WIDTH else f".p/{width}"
