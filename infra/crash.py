# SPDX-License-Identifier: Apache-2.0
"""``make crash``: dossiers under load while everything is killed, seeded; then the account of it.

Clients know only what was answered to them. The judge reads the log and the outside world's books:
every acknowledged deposit is in the log once, every effect happened once, the ledger sums to 0, and
whatever is unknown is recorded as unknown. ``SEED=`` gives another run.
"""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Final

from infra.audit_books import compare, whole_log
from infra.demo import citizens, notes_for
from infra.hands import Citizen, GaveUpError, Hands
from infra.local import prepare, settings, stack
from infra.local.servers import Servers, data_folder
from infra.local.settings import LOG_ID, MACHINE, Stack
from infra.local.system import end_on_sigterm
from services.common.eventlog.postgres import PostgresLog

REPORT: Final = Path("build/crash.json")
PATIENCE_S: Final = 240.0
PROCESSES: Final = (
    "intake", "payment", "notify", "kiosk-sync", "relay", "intake-web", "payment-web",
    "kiosk-sync-web", "kiosk-sync-downlink", "edge",
)  # fmt: skip
QUEUES: Final = (
    "intake.reactions", "payment.reactions", "notify.reactions", "kiosk_sync.reactions",
)  # fmt: skip
UNSURE: Final = "messages the SMS centre took"


class Faults:
    """Does one harm after the other, from a seed, until its list is empty."""

    def __init__(self, servers: Servers, local: Stack, seed: int) -> None:
        """Shuffle the harms: every process twice, broker and database three times, queues."""
        self._servers = servers
        self._local = local
        self.done: Counter[str] = Counter()
        self.enough = threading.Event()
        harms: list[tuple[str, Callable[[], None]]] = []
        harms += [(f"kill -9 {name}", partial(self._kill, name)) for name in PROCESSES * 2]
        harms += [("kill -9 rabbitmq", self._kill_broker)] * 2
        harms += [("rabbitmq loses everything", self._reset_broker)]
        harms += [("postgresql immediate", self._stop_database)] * 3
        harms += [(f"purge {name}", partial(self._purge, name)) for name in QUEUES]
        harms += [(f"unbind {name}", partial(self._unbind, name)) for name in QUEUES[:2]]
        harms += [(f"drop {name}.dlq", partial(self._drop, name)) for name in QUEUES[:2]]
        random.Random(seed).shuffle(harms)  # noqa: S311 - a seed that replays
        self._harms = harms

    def run(self, pause_s: float) -> None:
        """Do every harm, ``pause_s`` apart."""
        for name, harm in self._harms:
            try:
                harm()
                self.done[name] += 1
            except OSError as error:
                self.done[f"not done: {name} ({type(error).__name__})"] += 1
            if self.enough.wait(pause_s):
                return

    def _kill(self, name: str) -> None:
        conf = str(self._local.folder / "supervisord.conf")
        command = [sys.executable, "-W", "ignore", "-m", "supervisor.supervisorctl", "-c", conf]
        found = subprocess.run(
            [*command, "pid", name], check=False, capture_output=True, text=True, timeout=30
        )
        pid = int(found.stdout.strip() or 0)
        if pid > 1:
            os.kill(pid, signal.SIGKILL)

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

    def __init__(self, local: Stack, people: list[Citizen]) -> None:
        """Know the addresses and the people."""
        self._local = local
        self._people = people
        self._one_at_the_machine = threading.Lock()
        self.acknowledged: list[str] = []
        self.without_code: list[str] = []

    def run(self) -> None:
        """Take every dossier as far as it goes; four people at a time."""
        with ThreadPoolExecutor(4) as pool:
            for _ in pool.map(self._one, range(len(self._people))):
                pass

    def _one(self, place: int) -> None:
        citizen, hands = self._people[place], Hands(self._local, PATIENCE_S)
        with self._one_at_the_machine:
            dossier = hands.deposit(citizen)
            self.acknowledged.append(dossier)
        offer = hands.await_offer(dossier)
        if offer is not None:
            if citizen.pays == "qr":
                hands.pay_by_qr(offer)
            else:
                with self._one_at_the_machine:
                    hands.pay_by_cash(dossier, notes_for(int(offer["amount_vnd"])))
            hands.await_paid(dossier)
        code = hands.accept(dossier)
        hands.finish(code, MACHINE)
        hands.await_completed(dossier)
        with self._one_at_the_machine:
            hands.load(dossier, place + 1)
        try:
            secret = Hands(self._local, 90.0).await_code(citizen.phone)
        except GaveUpError:
            self.without_code.append(dossier)
            return
        with self._one_at_the_machine:
            hands.collect(dossier, secret)
        hands.await_reported(code)


def main() -> int:
    """Run, judge, write the report; returns the exit code."""
    end_on_sigterm()
    seed = int(os.environ.get("SEED", "1"))
    servers = Servers({}, "crash")
    with servers as addresses:
        folder = data_folder("stack")
        try:
            return _run(servers, settings.make_stack(folder, addresses), seed)
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _run(servers: Servers, local: Stack, seed: int) -> int:
    prepare.everything(local)
    stack.supervise(local)
    stack.supervisor(local)
    try:
        stack.wait_ready(local, (*prepare.NAMEKO, *prepare.WEB))
        crowd = Crowd(local, citizens(random.Random(seed)))  # noqa: S311 - made up
        faults = Faults(servers, local, seed)
        harm = threading.Thread(target=faults.run, args=(1.0,))
        harm.start()
        try:
            crowd.run()
        except BaseException:
            faults.enough.set()
            raise
        finally:
            harm.join()
        return _judge(local, crowd, faults, seed)
    finally:
        stack.stop(local)


def _judge(local: Stack, crowd: Crowd, faults: Faults, seed: int) -> int:
    """Compare until everything agrees or 60 s are over; write and print the report."""
    log = PostgresLog(local.database_url("motcua_audit"), LOG_ID)
    deadline = time.monotonic() + 60
    while True:
        problems = _problems(log, local, crowd)
        if not problems or time.monotonic() > deadline:
            break
        time.sleep(1)
    log.close()
    report = {"seed": seed, "faults": dict(faults.done), "dossiers": len(crowd.acknowledged),
              "without_code": len(crowd.without_code), "problems": problems}  # fmt: skip
    REPORT.parent.mkdir(exist_ok=True)
    REPORT.write_text(json.dumps(report, indent=1, ensure_ascii=False), encoding="utf-8")
    print(json.dumps(report, indent=1, ensure_ascii=False))
    return 1 if problems else 0


def _problems(log: PostgresLog, local: Stack, crowd: Crowd) -> list[str]:
    events, books = whole_log(log), Hands(local, PATIENCE_S).books()
    found = [
        f"{line.what}: {line.ours} / {line.theirs}"[:600]
        for line in compare(log, books)
        if not line.agrees and line.what != UNSURE
    ]
    counts = Counter(event.stream for event in events if event.type == "dossier.registered")
    found += [
        f"acknowledged {dossier} registered {counts[f'dossier-{dossier}']} times"
        for dossier in crowd.acknowledged
        if counts[f"dossier-{dossier}"] != 1
    ]
    taken = [event for event in events if event.type == "notification.accepted"]
    accepted = [str(event.data["provider_message"]) for event in taken]
    unknown = sum(event.type == "notification.outcome_unknown" for event in events)
    theirs = [message["id"] for message in books["smsc"]["messages"]]
    if set(accepted) - set(theirs) or len(theirs) - len(accepted) > unknown:
        found.append(f"messages: {len(accepted)} accepted, {unknown} unknown, {len(theirs)} sent")
    if len(crowd.without_code) > unknown:
        found.append(f"{len(crowd.without_code)} citizens without a code, {unknown} unknown")
    return found


if __name__ == "__main__":
    sys.exit(main())
