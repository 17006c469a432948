# SPDX-License-Identifier: Apache-2.0
"""How much memory a command takes, with all processes it starts."""

import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_EACH_S = 0.1
_KIB_PER_MIB = 1024


@dataclass(frozen=True, slots=True)
class Weighed:
    """What a command took: seconds, and MiB at its peak (shared pages are counted once)."""

    code: int
    out: str
    took_s: float
    peak_mib: float


def weigh(words: Sequence[str], env: Mapping[str, str], *, timeout_s: float) -> Weighed:
    """Run a command to its end and look at its processes ten times a second."""
    began, peak_kib = time.monotonic(), 0
    with subprocess.Popen(words, env=env, stdout=subprocess.PIPE, text=True) as child:
        try:
            while child.poll() is None:
                peak_kib = max(peak_kib, _tree_kib(child.pid))
                assert time.monotonic() - began < timeout_s, f"{words} takes too long"
                time.sleep(_EACH_S)
        finally:
            child.kill()
        took_s = time.monotonic() - began
        assert child.stdout is not None
        return Weighed(child.returncode, child.stdout.read(), took_s, peak_kib / _KIB_PER_MIB)


def _tree_kib(process: int) -> int:
    """Return the proportional set size of a process and all below it; 0 for one that ended."""
    kib = 0
    with suppress(OSError, ProcessLookupError):
        for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                kib = int(line.split()[1])
        for task in Path(f"/proc/{process}/task").iterdir():
            children = (task / "children").read_text().split()
            kib += sum(_tree_kib(int(one)) for one in children)
    return kib
