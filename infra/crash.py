# SPDX-License-Identifier: Apache-2.0
"""``make crash``: dossiers under load while everything is killed, seeded; then the account of it.

People know only what was answered to them, and write it down at once. The judge is a program of its
own (``infra.judge``) that gets these notes, the log and the outside world's books. ``SEED=`` gives
another run, the same number the same plan.
"""

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http.client import HTTPException
from pathlib import Path
from typing import Final, TypeVar

from infra.hands import Citizen, GaveUpError, Hands
from infra.local import prepare, stack
from infra.local.fresh import fresh_stack
from infra.local.keeper import kept
from infra.local.servers import Servers
from infra.local.settings import LOG_ID, MACHINE, Stack
from infra.local.system import end_on_sigterm, wait_until
from infra.people import DOSSIERS, citizens, notes_for

T = TypeVar("T")
REPORT: Final = Path("build/crash.json")
PATIENCE_S: Final = 240.0
CITIZENS_MAX: Final = 60
"""A machine has that many cells; whoever comes after the first 20 comes only while harm is done."""
LEAST: Final = {"kill -9 rabbitmq": 3, "postgresql immediate": 3, "rabbitmq loses everything": 1}
LEAST_KILLS: Final = 20
QUEUES: Final = (
    "intake.reactions", "payment.reactions", "notify.reactions", "kiosk_sync.reactions",
)  # fmt: skip


_NOT_DONE: Final = (OSError, HTTPException, ValueError, subprocess.SubprocessError)
"""What a server or a supervisor that is just being harmed may answer."""


class Notes:
    """What people were told, one JSON object a line, on disk before anybody goes on."""

    def __init__(self, path: Path) -> None:
        """Begin an empty file."""
        self.path = path
        self._file = path.open("w", encoding="utf-8")
        self._lock = threading.Lock()
        self.count = 0

    def write(self, what: str, **facts: object) -> None:
        """Note one acknowledgement."""
        with self._lock:
            self._file.write(json.dumps({"what": what, **facts}) + "\n")
            self._file.flush()
            os.fsync(self._file.fileno())
            self.count += 1


class Faults:
    """Does one harm after the other, from a seed, until its list is empty."""

    def __init__(self, servers: Servers, local: Stack, seed: int) -> None:
        """Shuffle the harms: our processes twice, broker and database three times, queues."""
        self._servers = servers
        self._local = local
        self.done: list[dict[str, object]] = []
        self.enough = threading.Event()
        names = stack.programs(local.folder)
        self.processes = [name for name in names if not name.startswith("sandbox-")]
        harms: list[tuple[str, Callable[[], None]]] = []
        harms += [(f"kill -9 {name}", partial(self._kill, name)) for name in self.processes * 2]
        harms += [("kill -9 rabbitmq", self._kill_broker)] * 3
        harms += [("rabbitmq loses everything", self._reset_broker)]
        harms += [("postgresql immediate", self._stop_database)] * 3
        harms += [(f"purge {name}", partial(self._purge, name)) for name in QUEUES]
        harms += [(f"unbind {name}", partial(self._unbind, name)) for name in QUEUES[:2]]
        harms += [(f"drop {name}.dlq", partial(self._drop, name)) for name in QUEUES[:2]]
        random.Random(seed).shuffle(harms)  # noqa: S311 - a seed that replays
        self._harms = harms

    @property
    def plan(self) -> list[str]:
        """What is going to be done, in this order."""
        return [name for name, _ in self._harms]

    def run(self, pause_s: float, under_way: Callable[[], int]) -> None:
        """Do every harm, ``pause_s`` apart, from when the first dossier is under way."""
        try:
            self._run(pause_s, under_way)
        finally:
            self.enough.set()

    def _run(self, pause_s: float, under_way: Callable[[], int]) -> None:
        wait_until("the first dossier", lambda: under_way() > 0, PATIENCE_S)
        began = time.monotonic()
        for place, (name, harm) in enumerate(self._harms, start=1):
            entry: dict[str, object] = {
                "what": name, "at_s": round(time.monotonic() - began, 1), "under_way": under_way()
            }  # fmt: skip
            try:
                harm()
            except _NOT_DONE as error:
                entry["not_done"] = type(error).__name__
            entry["under_way_after"] = under_way()
            self.done.append(entry)
            print(f"{place:>3}/{len(self._harms)} {entry['at_s']:>6} s  {name}", flush=True)
            if self.enough.wait(pause_s):
                return

    def _kill(self, name: str) -> None:
        """Kill a process that runs; raises TimeoutError when there is none to kill."""
        os.kill(stack.running_pid(self._local, name), signal.SIGKILL)

    def _kill_broker(self) -> None:
        rabbit = self._servers.rabbit
        assert rabbit is not None, "private servers only"
        rabbit.kill()
        rabbit.start()

    def _reset_broker(self) -> None:
        rabbit = self._servers.rabbit
        assert rabbit is not None, "private servers only"
        rabbit.kill()
        rabbit.reset_state()
        rabbit.start()
        prepare.broker(self._local)

    def _stop_database(self) -> None:
        postgres = self._servers.postgres
        assert postgres is not None, "private servers only"
        postgres.stop("immediate")
        postgres.start()

    def _purge(self, queue: str) -> None:
        self._api("DELETE", f"/queues/motcua/{queue}/contents")

    def _drop(self, queue: str) -> None:
        self._api("DELETE", f"/queues/motcua/{queue}.dlq")

    def _unbind(self, queue: str) -> None:
        path = f"/bindings/motcua/e/motcua.events/q/{queue}"
        found = self._api("GET", path)
        for binding in found if isinstance(found, list) else []:
            self._api("DELETE", f"{path}/{binding['properties_key']}")

    def _api(self, method: str, path: str) -> object:
        rabbit = self._servers.rabbit
        assert rabbit is not None, "private servers only"
        return rabbit.api(method, path)


class Crowd:
    """Citizens and officials who go on until they are answered."""

    def __init__(self, local: Stack, people: list[Citizen], notes: Notes, at_once: int = 4) -> None:
        """Know the addresses, the people, where they write and how many come at a time."""
        self._at_once = at_once
        self._local = local
        self._people = people
        self._notes = notes
        self._one_at_the_machine = threading.Lock()
        self._counting = threading.Lock()
        self.under_way = 0

    def run(self, enough: threading.Event) -> None:
        """Take every dossier as far as it goes; more people until ``enough``."""
        with ThreadPoolExecutor(self._at_once) as pool:
            for _ in pool.map(partial(self._counted, enough), range(len(self._people))):
                pass

    def _counted(self, enough: threading.Event, place: int) -> None:
        if place >= DOSSIERS and enough.is_set():
            return
        self._count(1)
        try:
            self._one(place)
        except BaseException:
            enough.set()
            raise
        finally:
            self._count(-1)

    def _count(self, more: int) -> None:
        with self._counting:
            self.under_way += more

    def _one(self, place: int) -> None:
        citizen, hands, note = self._people[place], self._hands(), self._notes.write
        with self._one_at_the_machine:
            dossier = hands.deposit(citizen)
            note("deposited", dossier=dossier)
        self._pay(hands, citizen, dossier)
        code = hands.accept(dossier)
        note("accepted", dossier=dossier, code=code)
        hands.finish(code, MACHINE)
        hands.await_completed(dossier)
        note("completed", dossier=dossier)
        with self._one_at_the_machine:
            hands.load(dossier, place + 1)
            note("loaded", dossier=dossier)
        try:
            secret = self._hands(90.0).await_code(citizen.phone)
        except GaveUpError:
            note("no_code", dossier=dossier)
            return
        with self._one_at_the_machine:
            if or_already("already_returned", partial(hands.collect, dossier, secret)) is not False:
                note("collected", dossier=dossier)
        hands.await_reported(code)
        note("reported", code=code)

    def _pay(self, hands: Hands, citizen: Citizen, dossier: str) -> None:
        offer = hands.await_offer(dossier)
        if offer is None:
            return
        if citizen.pays == "qr":
            reference = hands.pay_by_qr(offer)
            self._notes.write("transferred", dossier=dossier, reference=reference)
        else:
            notes = notes_for(int(offer["amount_vnd"]))
            with self._one_at_the_machine:
                told = or_already("already_paid", partial(hands.pay_by_cash, dossier, notes))
            if told is not None:
                self._notes.write("cash", dossier=dossier, notes=notes)
        hands.await_paid(dossier)
        self._notes.write("paid", dossier=dossier)

    def _hands(self, patience_s: float = PATIENCE_S) -> Hands:
        return Hands(self._local, patience_s)


def or_already(refusal: str, act: Callable[[], T]) -> T | None:
    """Act; None if the machine died before it answered and now says that it was done already."""
    try:
        return act()
    except GaveUpError as error:
        if refusal not in str(error):
            raise
        return None


def main() -> int:
    """Run, judge, write the report; returns the exit code."""
    return kept(_main)


def _main() -> int:
    end_on_sigterm()
    seed = int(os.environ.get("SEED", "1"))
    servers = Servers({}, "crash")
    with fresh_stack(servers) as local:
        return _run(servers, local, seed)


def _run(servers: Servers, local: Stack, seed: int) -> int:
    prepare.everything(local)
    stack.supervise(local)
    stack.supervisor(local)
    try:
        stack.wait_ready(local, (*prepare.NAMEKO, *prepare.WEB))
        notes = Notes(local.folder / "acks.ndjson")
        people = citizens(random.Random(seed), CITIZENS_MAX)  # noqa: S311 - made up
        crowd = Crowd(local, people, notes)
        faults = Faults(servers, local, seed)
        harm = threading.Thread(target=faults.run, args=(1.0, lambda: crowd.under_way))
        harm.start()
        try:
            crowd.run(faults.enough)
        except BaseException:
            faults.enough.set()
            raise
        finally:
            harm.join()
        return _verdict(local, notes, faults, seed)
    finally:
        stack.stop(local)


def _verdict(local: Stack, notes: Notes, faults: Faults, seed: int) -> int:
    """Ask the judge, write and print the report."""
    command = [
        sys.executable, "-m", "infra.judge", "--acks", str(notes.path),
        "--database-url", local.database_url("motcua_audit"), "--log-id", str(LOG_ID),
        "--books", str(local.folder / "books"),
        "--mechanics", str(local.folder / "machines" / MACHINE / "mechanics.json"),
    ]  # fmt: skip
    judged = subprocess.run(command, check=False, capture_output=True, text=True, timeout=180)
    if not judged.stdout:
        raise RuntimeError(f"the judge said nothing: {judged.stderr[-2000:]}")
    verdict = json.loads(judged.stdout)
    loaded = Counter(str(fault["what"]) for fault in faults.done if _under_load(fault))
    kills = sum(n for what, n in loaded.items() if what.startswith("kill -9"))
    missing = shortfall(loaded, faults.processes)
    report = {
        "seed": seed, "faults": len(faults.done), "under_load": sum(loaded.values()),
        "kills_under_load": kills, "kinds_under_load": dict(loaded), "missing": missing,
        "log": faults.done, "verdict": verdict,
    }  # fmt: skip
    REPORT.parent.mkdir(exist_ok=True)
    REPORT.write_text(json.dumps(report, indent=1, ensure_ascii=False), encoding="utf-8")
    print(f"{len(faults.done)} faults, {sum(loaded.values())} of them under load, {kills} kill -9")
    print(judged.stderr)
    for line in missing:
        print(f"harm not done: {line}")
    return judged.returncode or int(bool(missing))


def _under_load(fault: Mapping[str, object]) -> bool:
    """Say whether a harm was done, and while dossiers were under way before and after it."""
    return bool(fault["under_way"] and fault["under_way_after"] and "not_done" not in fault)


def shortfall(loaded: Mapping[str, int], processes: Iterable[str]) -> list[str]:
    """Return what a run must do under load and did not; a run without harm proves nothing."""
    least = {**LEAST, **{f"kill -9 {name}": 1 for name in processes}}
    found = [
        f"{what}: {loaded.get(what, 0)} of {n}"
        for what, n in least.items()
        if loaded.get(what, 0) < n
    ]
    kills = sum(n for what, n in loaded.items() if what.startswith("kill -9"))
    return found if kills >= LEAST_KILLS else [*found, f"kill -9: {kills} of {LEAST_KILLS}"]


if __name__ == "__main__":
    sys.exit(main())
