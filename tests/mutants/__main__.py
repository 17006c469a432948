# SPDX-License-Identifier: Apache-2.0
"""``make mutants``: plant each fault in a copy of the tree and run the tests that must notice.

``python -m tests.mutants [part of a name …]``; exit code 0 only if every fault was noticed and the
same tests pass on the untouched tree.
"""

import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.mutants.table import MUTANTS, Mutant

TIMEOUT_S = 600


def copy_tree(target: Path) -> None:
    """Copy what git knows of this tree, as it stands now."""
    listed = subprocess.run(["git", "ls-files", "-z"], check=True, capture_output=True, text=True)
    for name in filter(None, listed.stdout.split("\0")):
        source, goal = Path(name), target / name
        if source.is_file():
            goal.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, goal)


def passes(tree: Path, tests: tuple[str, ...]) -> bool:
    """Run ``tests`` in ``tree``; a test that hangs has noticed too."""
    command = [sys.executable, "-m", "pytest", "-x", "-p", "no:cacheprovider", *tests]
    try:
        done = subprocess.run(
            command, cwd=tree, check=False, capture_output=True, text=True, timeout=TIMEOUT_S
        )
    except subprocess.TimeoutExpired:
        return False
    if done.returncode not in {0, 1}:
        raise SystemExit(f"pytest could not run {tests}:\n{done.stdout[-3000:]}")
    return done.returncode == 0


def noticed(tree: Path, mutant: Mutant) -> bool:
    """Plant ``mutant``, run its tests, take it out again."""
    path = tree / mutant.file
    right = path.read_text(encoding="utf-8")
    if right.count(mutant.old) != 1:
        raise SystemExit(f"{mutant.name}: its text stands not exactly once in {mutant.file}")
    path.write_text(right.replace(mutant.old, mutant.new), encoding="utf-8")
    try:
        return not passes(tree, mutant.caught_by)
    finally:
        path.write_text(right, encoding="utf-8")


def main(words: list[str]) -> int:
    """Plant, report; returns the exit code."""
    chosen = [one for one in MUTANTS if not words or any(word in one.name for word in words)]
    console = Console(width=120)
    report = Table("planted fault", "noticed by", "", "s", title="mutants")
    survivors = 0
    with tempfile.TemporaryDirectory(prefix="motcua-mutants-") as folder:
        tree = Path(folder)
        copy_tree(tree)
        tests = tuple(sorted({test for one in chosen for test in one.caught_by}))
        if not passes(tree, tests):
            console.print("the tests do not pass on the untouched tree")
            return 1
        for one in chosen:
            began = time.monotonic()
            found = noticed(tree, one)
            survivors += not found
            verdict = "noticed" if found else "SURVIVED"
            took = f"{time.monotonic() - began:.1f}"
            report.add_row(one.name, "\n".join(one.caught_by), verdict, took)
            console.print(f"{verdict:<9} {one.name} ({took} s)")
    console.print(report)
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
