# SPDX-License-Identifier: Apache-2.0
"""The tree: RFC 6962's own vectors, an independent implementation, and laws over random trees."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymerkle import InmemoryTree, verify_consistency, verify_inclusion

from services.common.integrity import tiles
from services.common.integrity.merkle import (
    EMPTY_ROOT,
    Frontier,
    ProofError,
    Reader,
    check_consistency,
    check_inclusion,
    consistency_proof,
    frontier_of,
    inclusion_proof,
    root_of,
)

VECTORS = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657",
           "606162636465666768696a6b6c6d6e6f"]  # fmt: skip
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
"""The test vectors of RFC 6962's reference implementation: inputs, and root after each."""


def leaf(data: bytes) -> bytes:
    return hashlib.sha256(b"\x00" + data).digest()


LEAVES = [leaf(bytes.fromhex(one)) for one in VECTORS]


def reader(leaves: list[bytes]) -> Reader:
    """Read complete subtrees straight from the leaves."""
    return lambda level, index: root_of(leaves[index << level : (index + 1) << level])


def many(count: int) -> list[bytes]:
    return [leaf(number.to_bytes(4)) for number in range(count)]


def test_the_vectors() -> None:
    """The empty tree and each of eight."""
    assert Frontier().root() == EMPTY_ROOT
    frontier = Frontier()
    for one, root in zip(LEAVES, ROOTS, strict=True):
        frontier.append(one)
        assert frontier.root().hex() == root


def test_known_paths() -> None:
    """Audit path of leaf 0 of 8, and the consistency proof from 6 to 8, as published."""
    path = inclusion_proof(0, 8, reader(LEAVES))
    assert [one.hex() for one in path] == [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ]
    proof = consistency_proof(6, 8, reader(LEAVES))
    assert [one.hex() for one in proof] == [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ]


@given(st.integers(1, 300), st.data())
def test_every_leaf_is_proven_and_nothing_else(size: int, data: st.DataObject) -> None:
    """A true path is taken; another leaf, place, size or root, or a changed path is not."""
    leaves = many(size)
    root, index = root_of(leaves), data.draw(st.integers(0, size - 1))
    path = inclusion_proof(index, size, reader(leaves))
    check_inclusion(leaves[index], index, size, path, root)
    wrong = bytes(32)
    for bad in (
        (wrong, index, size, path, root), (leaves[index], index, size, path, wrong),
        (leaves[index], index, size, [*path, wrong], root),
        (leaves[index], size, size, path, root), (leaves[index], -1, size, path, root),
    ):  # fmt: skip
        with pytest.raises(ProofError):
            check_inclusion(*bad)
    if path:
        spot = data.draw(st.integers(0, len(path) - 1))
        for broken in (path[:-1], [*path[:spot], wrong, *path[spot + 1 :]]):
            with pytest.raises(ProofError):
                check_inclusion(leaves[index], index, size, broken, root)
        with pytest.raises(ProofError):
            check_inclusion(leaves[index], (index + 1) % size, size, path, root)


@given(st.integers(0, 300), st.integers(0, 300), st.data())
def test_growth_is_proven_and_nothing_else(one: int, other: int, data: st.DataObject) -> None:
    """A true proof is taken; other roots, a changed or a longer proof are not."""
    old, new = sorted((one, other))
    leaves = many(new)
    roots = root_of(leaves[:old]), root_of(leaves)
    proof = consistency_proof(old, new, reader(leaves))
    check_consistency(old, new, proof, *roots)
    wrong = bytes(32)
    tries = [([*proof, wrong], *roots), (proof, wrong, roots[1])]
    if old:
        tries.append((proof, roots[0], wrong))
    if proof:
        spot = data.draw(st.integers(0, len(proof) - 1))
        tries.append((proof[:-1], *roots))
        tries.append(([*proof[:spot], wrong, *proof[spot + 1 :]], *roots))
    for bad in tries:
        with pytest.raises(ProofError):
            check_consistency(old, new, *bad)
    if old != new:
        with pytest.raises(ProofError):
            check_consistency(new, old, proof, *roots)
        with pytest.raises(ProofError):
            consistency_proof(new, old, reader(leaves))


@given(st.integers(1, 200), st.integers(1, 200))
def test_another_implementation_agrees(one: int, other: int) -> None:
    """Roots, audit paths and growth as pymerkle has them."""
    old, new = sorted((one, other))
    data = [number.to_bytes(4) for number in range(new)]
    theirs = InmemoryTree(algorithm="sha256")
    for entry in data:
        theirs.append_entry(entry)
    leaves = [leaf(entry) for entry in data]
    assert theirs.get_root(old) == root_of(leaves[:old])
    assert theirs.get_root(new) == root_of(leaves)
    proof = theirs.prove_inclusion(old, new)
    verify_inclusion(leaves[old - 1], root_of(leaves), proof)
    assert [bytes.fromhex(step) for step in proof.serialize()["path"]][1:] == inclusion_proof(
        old - 1, new, reader(leaves)
    )
    growth = theirs.prove_consistency(old, new)
    verify_consistency(root_of(leaves[:old]), root_of(leaves), growth)


@given(st.integers(0, 700))
def test_a_frontier_is_found_again(size: int) -> None:
    """From complete subtrees, equal to the one that grew leaf by leaf; copies grow apart."""
    leaves = many(size)
    grown = Frontier()
    for one in leaves:
        grown.append(one)
    found = frontier_of(size, reader(leaves))
    assert (found.size, found.peaks) == (grown.size, grown.peaks)
    copy = found.copy()
    copy.append(bytes(32))
    assert found.root() == grown.root()
    with pytest.raises(ProofError):
        Frontier(size + 1, grown.peaks + [b""] * ((size + 1).bit_count() == size.bit_count()))


@given(st.integers(1, 70_000), st.data())
def test_tiles_hold_the_whole_tree(size: int, data: st.DataObject) -> None:
    """Which tiles there are, and subtree hashes read from them."""
    wanted = list(tiles.tiles_of(size))
    assert sum(width for level, _, width in wanted if level == 0) == size
    assert all(1 <= width <= tiles.WIDTH for _, _, width in wanted)
    small = min(size, 1_500)
    leaves = many(small)
    level = data.draw(st.integers(0, (small.bit_length() - 1)))
    index = data.draw(st.integers(0, (small >> level) - 1))

    def load(tile_level: int, tile_index: int) -> bytes:
        span = 1 << tiles.BITS * tile_level
        first = tile_index * tiles.WIDTH
        last = min(first + tiles.WIDTH, small // span)
        return b"".join(root_of(leaves[n * span : (n + 1) * span]) for n in range(first, last))

    assert tiles.tile_reader(load)(level, index) == reader(leaves)(level, index)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (tiles.tile_path(0, 0), "tile/0/000"), (tiles.tile_path(1, 999), "tile/1/999"),
        (tiles.tile_path(0, 1234067), "tile/0/x001/x234/067"),
        (tiles.tile_path(2, 1000, 5), "tile/2/x001/000.p/5"),
        (tiles.entries_path(67, 255), "tile/entries/067.p/255"),
    ],
)  # fmt: skip
def test_paths(path: str, expected: str) -> None:
    """As the specification's examples."""
    assert path == expected


def test_an_entry_is_what_the_leaf_covers() -> None:
    """Forty bytes; bundles carry lengths in two."""
    entry = tiles.entry(bytes(32), 1_700_000_000_000_000)
    assert len(entry) == tiles.ENTRY_BYTES
    assert tiles.bundle([entry, b""]) == b"\x00\x28" + entry + b"\x00\x00"


def test_an_edge_tells_what_is_final() -> None:
    """Every subtree of 256^n leaves once, as soon as it is complete, wherever one begins."""
    leaves = many(66_000)
    edge, told = tiles.Edge.of(0, lambda *_: []), dict[tuple[int, int], bytes]()
    for number, one in enumerate(leaves, start=1):
        for level, index, found in edge.append(one):
            assert (index + 1) << level == number
            told[level, index] = found
        if number in {255, 256, 257, 65_536, 65_537}:
            again = tiles.Edge.of(number, lambda level, first, count: (
                leaves[first : first + count] if level == 0
                else [told[level, at] for at in range(first, first + count)]
            ))  # fmt: skip
            assert again.copy().append(bytes(32)) == edge.copy().append(bytes(32))
    assert sorted(told) == [*((8, n) for n in range(257)), (16, 0)]
    read = reader(leaves)
    assert told[8, 3] == read(8, 3)
    assert told[16, 0] == read(16, 0)
