# SPDX-License-Identifier: Apache-2.0
"""``python -m infra.pictures``: the pictures in ``docs/img``, taken of a running installation.

Sets everything up, lets a few people come, looks as an auditor does, and takes everything down.
Needs Debian's chromium (``make browser``).
"""

import os
import random
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from playwright.sync_api import Page, sync_playwright

from infra.hands import Hands
from infra.local import browser, prepare, settings, stack
from infra.local.fresh import fresh_stack
from infra.local.keeper import kept
from infra.local.servers import Servers
from infra.local.settings import LOG_ID, Stack
from infra.local.system import MissingError, end_on_sigterm
from infra.people import citizens, notes_for
from services.common.audit.subjects import read
from services.common.clock import SystemClock
from services.common.eventlog.keys import PostgresKeys
from services.common.eventlog.postgres import PostgresLog
from services.common.eventlog.recording import Recorder

FOLDER: Final = Path("docs/img")
SIZE: Final = {"width": 1120, "height": 1500}
VISITORS: Final = 6
_SEED: Final = 11
_FEE_ASKED: Final = "amount_vnd"
_MOMENT: Final = "payment.settled"


def main() -> int:
    """Take the pictures; returns the exit code."""
    return kept(_main)


def _main() -> int:
    end_on_sigterm()
    try:
        with fresh_stack(Servers(os.environ, "pictures")) as local:
            try:
                prepare.everything(local)
                stack.supervise(local)
                stack.supervisor(local)
                stack.wait_ready(local, (*prepare.NAMEKO, *prepare.WEB))
                return _take(local)
            finally:
                stack.stop(local)
    except (MissingError, TimeoutError) as error:
        print(error, file=sys.stderr)
        return 2


def _take(local: Stack) -> int:
    dossier = _people(local)
    site = f"{local.http('audit-web-http')}/audit"
    FOLDER.mkdir(parents=True, exist_ok=True)
    with _page() as page:
        page.goto(f"{site}/login/start")
        page.get_by_role("button", name="Lê Thị Kiểm").click()
        page.wait_for_url(site, wait_until="load")
        page.goto(f"{site}/dossiers/{dossier}")
        page.screenshot(path=FOLDER / "audit-dossier.png")
        moment = page.locator("li.step", has_text=_MOMENT).get_by_role("link", name="Trạng thái")
        moment.click()
        page.locator("form.live").wait_for()
        page.screenshot(path=FOLDER / "audit-state.png")
    return 0


def _people(local: Stack) -> str:
    """Let people hand in; returns the dossier of one whose result was collected."""
    hands, first = Hands(local), ""
    for citizen in citizens(random.Random(_SEED), VISITORS):  # noqa: S311 - the same people again
        dossier = hands.deposit(citizen)
        offer = hands.await_offer(dossier)
        if offer is not None:
            hands.pay_by_cash(dossier, notes_for(int(offer[_FEE_ASKED])))
            hands.await_paid(dossier)
        if not first and offer is not None:
            first = dossier
            code = hands.accept(dossier)
            hands.finish(code, settings.MACHINE)
            hands.await_completed(dossier)
            hands.load(dossier, 3)
            hands.collect(dossier, hands.await_code(citizen.phone))
            hands.await_reported(code)
    _look(local, first)
    return first


def _look(local: Stack, dossier: str) -> None:
    """Let somebody open the citizen's contact, which the log notes."""
    kek = bytes.fromhex(local.secret("kek").read_text())
    key = bytes.fromhex(local.secret("service_key").read_text())
    log = PostgresLog(local.database_url("motcua_audit"), LOG_ID)
    keys = PostgresKeys(local.database_url("motcua_audit", keys=True), kek)
    try:
        read(Recorder(log, keys, SystemClock(), key), dossier, purpose="contact", reader="cb007")
    finally:
        log.close()
        keys.close()


@contextmanager
def _page() -> Iterator[Page]:
    path = browser.program()
    if path is None:
        raise MissingError("chromium is not on this machine: run `make browser`")
    with tempfile.TemporaryDirectory() as profile, sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            profile, executable_path=path, args=list(browser.FLAGS), viewport=SIZE,  # type: ignore[arg-type]
            color_scheme="light",
        )  # fmt: skip
        try:
            yield context.pages[0]
        finally:
            context.close()


if __name__ == "__main__":
    sys.exit(main())
