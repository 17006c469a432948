# SPDX-License-Identifier: Apache-2.0
"""``make chaos``: three subscribers outside while everything between the log and them is harmed.

Each must end with every event it is owed exactly once in effect, as the log itself says, and with a
certificate of the day that fits its inbox. A fourth one comes back after three days in the middle
of it. Report in ``build/chaos.json``; exit code 0 only if nothing is wrong. ``SEED=`` gives another
run, the same number the same plan.
"""

import json
import os
import random
import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from infra.chaosing.away import Away
from infra.chaosing.harm import Harms
from infra.chaosing.outsiders import Outsider, Outsiders
from infra.chaosing.personal import looked_through
from infra.chaosing.plan import BROKER, QUEUE, plan, shortfall
from infra.chaosing.tomorrow import certificate_key, tomorrows_feed
from infra.chaosing.verdict import Account, account, recoveries, summary
from infra.crash import Crowd, Notes
from infra.hands import Citizen
from infra.local import prepare, stack
from infra.local.fresh import fresh_stack
from infra.local.keeper import kept
from infra.local.servers import Servers
from infra.local.settings import LOG_ID, Stack
from infra.local.system import end_on_sigterm, wait_until
from infra.people import citizens
from motcua_subscriber import CertificateError, FeedClient, FeedError, SQLiteInbox, Subscriber
from services.common.clock import VIETNAM
from services.common.eventlog.postgres import PostgresLog
from services.notify.application.certificates import certificate_signer

REPORT: Final = Path("build/chaos.json")
VISITORS_MAX: Final = 60
AT_ONCE: Final = 3
READY_S: Final = 300.0
COMES_BACK_S: Final = 15.0
SETTLED_S: Final = 150.0
SEALED_S: Final = 90.0
NAMED_MAX: Final = 50
"""So many positions of a kind stand in the report."""
_STAY: Final = ("relay", "sealer", "witness", "notify-feed", "notify-webhooks", "past-feed")
_PAGE: Final = 1_000


def main() -> int:
    """Run, judge, write the report; returns the exit code."""
    return kept(_main)


def _main() -> int:
    end_on_sigterm()
    seed = int(os.environ.get("SEED", "1"))
    servers = Servers({}, "chaos")
    with fresh_stack(servers) as local:
        return _prepared(servers, local, seed)


def _prepared(servers: Servers, local: Stack, seed: int) -> int:
    prepare.everything(local)
    outsiders, away = Outsiders(servers, local), Away(local, seed)
    try:
        stack.supervise(local, {**outsiders.programs, **away.programs})
        stack.supervisor(local)
        try:
            stack.wait_ready(local, (*prepare.NAMEKO, *prepare.WEB), READY_S)
            with closing(PostgresLog(local.database_url("motcua_audit"), LOG_ID)) as log:
                run = Run(local, outsiders, away, log, Harms(servers, local, outsiders, log))
                return run.whole(seed)
        finally:
            stack.stop(local)
    finally:
        away.close()
        outsiders.close()


class Run:
    """One run: visitors and faults, then the account."""

    def __init__(
        self, local: Stack, outsiders: Outsiders, away: Away, log: PostgresLog, harms: Harms
    ) -> None:
        """Bind; ``log`` is read as an auditor."""
        self._local, self._outsiders, self._away = local, outsiders, away
        self._log, self._harms = log, harms
        self._began = datetime.now(VIETNAM).date()

    def whole(self, seed: int) -> int:
        """Harm, let everything settle, judge, report; returns the exit code."""
        people = citizens(random.Random(seed), VISITORS_MAX)  # noqa: S311 - made up
        self._harms.tap()
        self._storm(seed, people)
        settled_s = self._settled()
        report = self._report(seed, people, settled_s)
        REPORT.parent.mkdir(exist_ok=True)
        REPORT.write_text(json.dumps(report, indent=1, ensure_ascii=False), encoding="utf-8")
        return _said(report)

    def _storm(self, seed: int, people: list[Citizen]) -> None:
        notes = Notes(self._local.folder / "acks.ndjson")
        crowd, harms, faults = Crowd(self._local, people, notes, AT_ONCE), self._harms, plan(seed)
        coming_back = threading.Timer(COMES_BACK_S, self._away.come_back)
        coming_back.daemon = True

        def harm() -> None:
            wait_until("the first dossier", lambda: crowd.under_way > 0, SETTLED_S)
            coming_back.start()
            harms.run(faults, lambda: crowd.under_way)

        thread = threading.Thread(target=harm)
        thread.start()
        try:
            crowd.run(harms.enough)
        except BaseException:
            harms.enough.set()
            raise
        finally:
            thread.join()

    def _settled(self) -> float:
        """Stop whatever writes, wait until everybody has everything; returns seconds waited.

        Who has not got it by then is judged as he stands.
        """
        programs = stack.programs(self._local.folder)
        outside = ("listener-", "sandbox-")
        writers = [one for one in programs if one not in _STAY and not one.startswith(outside)]
        with ThreadPoolExecutor(len(writers)) as pool:
            list(pool.map(lambda name: stack.supervisor(self._local, "stop", name), writers))
        began = time.monotonic()
        rows = [(one, set(self._owed(one))) for one in self._outsiders.all]
        rows.append((self._away.outsider, set(self._owed_away())))

        def all_there() -> bool:
            return all(owed <= set(one.effects()) for one, owed in rows)

        _patiently(all_there, SETTLED_S)
        took = time.monotonic() - began
        # What comes once more must come before the verdict.
        _patiently(lambda: self._harms.depth(QUEUE) == 0, SETTLED_S / 5)
        return round(took, 1)

    def _owed(self, one: Outsider) -> list[int]:
        return _positions(self._log, one, 0)

    def _owed_away(self) -> list[int]:
        url = self._away.local.database_url("motcua_audit")
        with closing(PostgresLog(url, LOG_ID)) as log:
            return _positions(log, self._away.outsider, self._away.after)

    def _report(self, seed: int, people: Sequence[Citizen], settled_s: float) -> dict[str, Any]:
        done, everybody = self._harms.done, self._outsiders.all
        accounts = {
            one.name: account(self._owed(one), one.effects(), ordered=one.ordered)
            for one in everybody
        }
        away = self._away.outsider
        accounts[away.name] = account(self._owed_away(), away.effects(), ordered=True)
        certificates = self._certificates()
        personal = looked_through(
            self._local, self._harms, token=everybody[0].token, book=self._outsiders.book,
            people=people,
        )  # fmt: skip
        did = [fault for fault in done if "not_done" not in fault]
        recovered = recoveries(did, [one.taken() for one in everybody])
        return {
            "seed": seed, "faults": len(did), "planned": len(plan(seed)),
            "broker_restarts": sum(fault["kind"] == BROKER for fault in did),
            "under_load": sum(bool(fault["under_way"]) for fault in did),
            "lost": sum(len(one.lost) for one in accounts.values()),
            "doubled": sum(len(one.doubled) for one in accounts.values()),
            "recovery_s": summary(recovered), "settled_s": settled_s,
            "subscribers": {name: _shown(one) for name, one in accounts.items()},
            "certificates": certificates, "personal": personal,
            "wrong": _wrong(accounts, certificates, personal) + shortfall(done), "log": done,
        }  # fmt: skip

    def _certificates(self) -> dict[str, dict[str, str]]:
        """Hold the certificate of each day against each inbox."""
        days = _days(self._began, datetime.now(VIETNAM).date())
        key = str(certificate_signer(LOG_ID, certificate_key(self._local)).verifier)
        with tomorrows_feed(self._local) as url:
            told = {one.name: _checked(one, url, days, key) for one in self._outsiders.all}
        past = f"http://127.0.0.1:{self._away.feed_port}"
        away = self._away.outsider
        return {**told, away.name: _checked(away, past, self._away.days, key)}


def _positions(log: PostgresLog, one: Outsider, after: int) -> list[int]:
    """Return what ``one`` is owed behind ``after``, from the log itself."""
    owed: list[int] = []
    granted = 0
    name = f"subscriber-{one.name}"
    while events := log.read_all(after, limit=_PAGE):
        for event in events:
            if event.stream == name and event.type == "subscriber.added":
                granted = int(str(event.data["after"]))
        owed += [event.position for event in events if event.type in one.types]
        after = events[-1].position
    return [position for position in owed if position > granted]


def _checked(one: Outsider, url: str, days: Iterable[date], key: str) -> dict[str, str]:
    """Return what the package says of each day: ``matches``, or what is wrong."""
    told: dict[str, str] = {}
    with closing(SQLiteInbox(one.store)) as inbox:
        subscriber = Subscriber(FeedClient(url, one.token), inbox)

        def asked(day: date) -> bool:
            try:
                found = subscriber.check_day(day, key)
            except (FeedError, CertificateError) as error:
                told[day.isoformat()] = str(error)
                return False
            text = f"missing {len(found.missing)}, too much {len(found.too_much)}"
            told[day.isoformat()] = f"matches, {found.owed}" if found.complete else text
            return True

        for day in days:  # the log is sealed every now and then
            _patiently(lambda day=day: asked(day), SEALED_S)  # type: ignore[misc]
    return told


def _patiently(check: Callable[[], bool], timeout_s: float) -> None:
    """Wait for ``check``; the verdict says what did not happen."""
    try:
        wait_until("it", check, timeout_s)
    except TimeoutError:
        print(f"not within {timeout_s:.0f} s", flush=True)


def _days(first: date, last: date) -> list[date]:
    return [first + timedelta(days=n) for n in range((last - first).days + 1)]


def _shown(one: Account) -> dict[str, Any]:
    return {
        "owed": one.owed, "lost": one.lost[:NAMED_MAX], "doubled": one.doubled[:NAMED_MAX],
        "foreign": one.foreign[:NAMED_MAX], "disordered": one.disordered[:NAMED_MAX],
    }  # fmt: skip


def _wrong(
    accounts: dict[str, Account], certificates: dict[str, dict[str, str]], personal: dict[str, Any]
) -> list[str]:
    """Return a line for everything that is not as it must be."""
    found = [f"{name}: {len(one.lost)} lost, {len(one.doubled)} doubled, {len(one.foreign)} not"
             f" owed, {len(one.disordered)} out of order"
             for name, one in accounts.items() if not one.right]  # fmt: skip
    found += [f"{name}: owed nothing" for name, one in accounts.items() if not one.owed]
    found += [
        f"{name}: certificate of {day}: {said}"
        for name, days in certificates.items()
        for day, said in days.items()
        if not said.startswith("matches")
    ]
    found += [f"a visitor in {place}" for place in personal["found"]]
    found += [
        f"nothing looked through: {place}" for place, n in personal["bodies"].items() if not n
    ]
    return found + ["the search finds nobody anywhere"] * personal["blind"]


def _said(report: dict[str, Any]) -> int:
    """Print the account; returns the exit code."""
    print(f"\nseed {report['seed']}: {report['faults']} faults, {report['broker_restarts']} of them"
          f" broker restarts, {report['under_load']} with visitors")  # fmt: skip
    for name, one in report["subscribers"].items():
        days = ", ".join(f"{day} {said}" for day, said in report["certificates"][name].items())
        print(f"{name:<9} owed {one['owed']:>6}  lost {len(one['lost'])}"
              f"  doubled {len(one['doubled'])}  certificate {days}")  # fmt: skip
    bodies = ", ".join(f"{n} {place}" for place, n in report["personal"]["bodies"].items())
    print(f"looked through for visitors: {bodies}; found in {len(report['personal']['found'])}")
    recovery = report["recovery_s"]
    print(f"recovery {recovery['median']} s median, {recovery['max']} s longest")
    for line in report["wrong"]:
        print(f"WRONG {line}")
    print(f"{len(report['wrong'])} wrong")
    return int(bool(report["wrong"]))


if __name__ == "__main__":
    sys.exit(main())
