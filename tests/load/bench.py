# SPDX-License-Identifier: Apache-2.0
"""``make bench``: ours against peers on the same servers; one JSON file and one table a subject.

``python -m tests.load.bench [--quick] [SUBJECT …]``; all subjects by default.
"""

import sys
from collections.abc import Callable

from tests.load import appending, columns, limit, reactor, reading, rebuilding
from tests.load.report import FULL, QUICK, Entry, Scale, write

SUBJECTS: dict[str, Callable[[Scale], list[Entry]]] = {
    "append": appending.rows,
    "limit": limit.rows,
    "reading": reading.rows,
    "columns": columns.rows,
    "rebuild": rebuilding.rows,
    "reactor": reactor.rows,
}


def main(words: list[str]) -> int:
    """Measure the subjects named; returns the exit code. A target that is missed is no error."""
    scale = QUICK if "--quick" in words else FULL
    names = [word for word in words if word != "--quick"] or list(SUBJECTS)
    if unknown := [name for name in names if name not in SUBJECTS]:
        print(f"no such subject: {', '.join(unknown)}; there are {', '.join(SUBJECTS)}",
              file=sys.stderr)  # fmt: skip
        return 2
    for name in names:
        write(name, SUBJECTS[name](scale))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
