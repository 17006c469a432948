# SPDX-License-Identifier: Apache-2.0
"""The Merkle tree of RFC 6962 (as RFC 9162 section 2.1 words it) over leaf hashes.

A leaf hash comes ready from the log (``record.leaf_hash``). Leaf 0 is the event at position 1.
Proofs are made from a ``Reader`` of complete subtrees, so nobody ever holds a whole tree.
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from typing import Final

HASH_BYTES: Final = 32
EMPTY_ROOT: Final = hashlib.sha256(b"").digest()
Reader = Callable[[int, int], bytes]
"""``read(level, index)``: hash of the complete subtree over leaves index·2^level … +2^level − 1."""


class ProofError(Exception):
    """A proof does not prove what it should; the message says why."""


def node(left: bytes, right: bytes) -> bytes:
    """Return the hash of an inner node."""
    return hashlib.sha256(b"\x01" + left + right).digest()


class Frontier:
    """The right edge of a tree: all that is needed to grow it and to name its root.

    Attributes:
        size: number of leaves.
        peaks: hashes of the complete subtrees, largest first; one for each bit of ``size``.
    """

    __slots__ = ("peaks", "size")

    def __init__(self, size: int = 0, peaks: Iterable[bytes] = ()) -> None:
        """Begin empty, or where an earlier one was left."""
        self.size = size
        self.peaks = list(peaks)
        if len(self.peaks) != size.bit_count():
            msg = f"a tree of {size} leaves has {size.bit_count()} peaks, not {len(self.peaks)}"
            raise ProofError(msg)

    def append(self, leaf: bytes) -> None:
        """Add one leaf hash."""
        carry = self.size
        self.size += 1
        while carry & 1:
            leaf = node(self.peaks.pop(), leaf)
            carry >>= 1
        self.peaks.append(leaf)

    def append_subtree(self, level: int, root: bytes) -> None:
        """Add 2^level leaves by the root over them; ``size`` is a multiple of so many."""
        carry = self.size >> level
        if carry << level != self.size:
            raise ProofError(f"no subtree of 2^{level} begins at leaf {self.size}")
        self.size += 1 << level
        while carry & 1:
            root = node(self.peaks.pop(), root)
            carry >>= 1
        self.peaks.append(root)

    def root(self) -> bytes:
        """Return the root hash."""
        if not self.peaks:
            return EMPTY_ROOT
        *rest, root = self.peaks
        for peak in reversed(rest):
            root = node(peak, root)
        return root

    def copy(self) -> "Frontier":
        """Return one that grows on its own."""
        return Frontier(self.size, self.peaks)


def root_of(leaves: Iterable[bytes]) -> bytes:
    """Return the root over leaf hashes."""
    frontier = Frontier()
    for leaf in leaves:
        frontier.append(leaf)
    return frontier.root()


def frontier_of(size: int, read: Reader) -> Frontier:
    """Return the frontier of the first ``size`` leaves."""
    peaks, start = [], 0
    for level in reversed(range(size.bit_length())):
        if size >> level & 1:
            peaks.append(read(level, start >> level))
            start += 1 << level
    return Frontier(size, peaks)


def inclusion_proof(index: int, size: int, read: Reader) -> list[bytes]:
    """Return the audit path of leaf ``index`` in the tree of ``size`` leaves.

    Raises:
        ProofError: there is no such leaf.
    """
    if not 0 <= index < size:
        msg = f"no leaf {index} in a tree of {size}"
        raise ProofError(msg)
    path, low, high = list[bytes](), 0, size
    while high - low > 1:
        middle = low + _split(high - low)
        if index < middle:
            path.append(_range(middle, high, read))
            high = middle
        else:
            path.append(_range(low, middle, read))
            low = middle
    path.reverse()
    return path


def consistency_proof(old: int, new: int, read: Reader) -> list[bytes]:
    """Return the proof that the tree of ``new`` leaves begins with that of ``old``.

    Empty for equal sizes and for an empty old tree.

    Raises:
        ProofError: ``old`` is larger.
    """
    if not 0 <= old <= new:
        msg = f"a tree of {new} does not contain one of {old}"
        raise ProofError(msg)
    if old in {0, new}:
        return []
    path, low, high, whole = list[bytes](), 0, new, True
    while old != high:
        middle = low + _split(high - low)
        if old <= middle:
            path.append(_range(middle, high, read))
            high = middle
        else:
            path.append(_range(low, middle, read))
            low, whole = middle, False
    if not whole:
        path.append(_range(low, high, read))
    path.reverse()
    return path


def check_inclusion(leaf: bytes, index: int, size: int, path: Sequence[bytes], root: bytes) -> None:
    """Check that ``leaf`` stands at ``index`` of the tree with ``root``; raises ProofError."""
    if not 0 <= index < size:
        msg = f"no leaf {index} in a tree of {size}"
        raise ProofError(msg)
    left = list(path)
    found = _lead_up(leaf, index, size, left)
    if left:
        raise ProofError("the path is too long")
    if found != root:
        raise ProofError("the path does not lead to the root")


def check_consistency(
    old: int, new: int, path: Sequence[bytes], old_root: bytes, new_root: bytes
) -> None:
    """Check that the tree of ``new`` leaves begins with that of ``old``; raises ProofError."""
    if not 0 <= old <= new:
        msg = f"a tree of {new} does not contain one of {old}"
        raise ProofError(msg)
    left = list(path)
    if old == 0:
        roots = EMPTY_ROOT, (EMPTY_ROOT if new == 0 else new_root)
    else:
        roots = _both_roots(old, new, old_root, left)
    if left:
        raise ProofError("the proof is too long")
    if roots[0] != old_root:
        raise ProofError("the proof does not lead to the old root")
    if roots[1] != new_root:
        raise ProofError("the proof does not lead to the new root")


def _lead_up(leaf: bytes, index: int, size: int, path: list[bytes]) -> bytes:
    """Return the root that ``path`` leads to; takes from its end, as the proof was made."""
    if size == 1:
        return leaf
    middle, other = _split(size), _pop(path)
    if index < middle:
        return node(_lead_up(leaf, index, middle, path), other)
    return node(other, _lead_up(leaf, index - middle, size - middle, path))


def _both_roots(
    old: int, new: int, old_root: bytes | None, path: list[bytes]
) -> tuple[bytes, bytes]:
    """Return the roots of the old and the new tree; ``old_root`` None inside of the old tree."""
    if old == new:
        same = _pop(path) if old_root is None else old_root
        return same, same
    middle, other = _split(new), _pop(path)
    if old <= middle:
        before, after = _both_roots(old, middle, old_root, path)
        return before, node(after, other)
    before, after = _both_roots(old - middle, new - middle, None, path)
    return node(other, before), node(other, after)


def _pop(path: list[bytes]) -> bytes:
    if not path:
        raise ProofError("the proof is too short")
    return path.pop()


def _split(count: int) -> int:
    """Return the largest power of two below ``count``."""
    return 1 << (count - 1).bit_length() - 1


def _range(low: int, high: int, read: Reader) -> bytes:
    """Return the root over leaves ``low`` … ``high`` − 1; ``low`` begins a subtree."""
    count = high - low
    if count & (count - 1) == 0:
        level = count.bit_length() - 1
        return read(level, low >> level)
    middle = low + _split(count)
    return node(_range(low, middle, read), _range(middle, high, read))
