# SPDX-License-Identifier: Apache-2.0
"""Nothing outlives the command that started it.

The work runs in a child; this process adopts whatever loses its parent below (daemons, programs
of a test that was killed) and ends it when the work is over. Signals that mean "stop" reach the
work, which stops what it started in good order; what it forgot is ended here.
"""

import contextlib
import ctypes
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Final

GRACE_S: Final = 40.0
_LAST_S: Final = 5.0  # another user's process may refuse even SIGKILL
_SET_CHILD_SUBREAPER: Final = 36


def kept(work: Callable[[], int]) -> int:
    """Return the exit code of ``work`` once no process that it started is left."""
    ctypes.CDLL(None).prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child == 0:
        os._exit(_work(work))

    def forward(number: int, _frame: FrameType | None) -> None:
        # A terminal sends Ctrl-C to the work by itself.
        if number != signal.SIGINT:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGTERM)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, forward)
    code = _reap_until(child)
    end_descendants(os.getpid())
    return code


def end_descendants(root: int, grace_s: float = GRACE_S) -> None:
    """End every process below ``root``: SIGTERM, and SIGKILL for what is left after ``grace_s``."""
    deadline, told = time.monotonic() + grace_s, set[int]()
    while (living := descendants(root)) and time.monotonic() < deadline + _LAST_S:
        late = time.monotonic() > deadline
        for pid in living if late else living - told:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL if late else signal.SIGTERM)
        told |= living
        time.sleep(0.05)
        _reap()


def descendants(root: int) -> set[int]:
    """Return the processes below ``root`` that have not ended."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, parent = entry.read_text(errors="replace").rpartition(") ")[2].split()[:2]
            if state != "Z":
                parents[int(entry.parent.name)] = int(parent)
    found: set[int] = set()
    wave = {root}
    while wave:
        wave = {pid for pid, parent in parents.items() if parent in wave} - found
        found |= wave
    return found


def _work(work: Callable[[], int]) -> int:
    try:
        return work()
    except KeyboardInterrupt:
        return 130
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1
    except BaseException:  # noqa: BLE001 - the process ends here
        traceback.print_exc()
        return 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()


def _reap_until(child: int) -> int:
    while True:
        pid, status = os.wait()
        if pid == child:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code


def _reap() -> None:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
