# SPDX-License-Identifier: Apache-2.0
"""The subscribers' pages in a real browser: axe on every page, and an order by keyboard alone."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, expect

from infra.local.system import free_port
from tests.support.broker import fresh_broker
from tests.support.browsing import enter, logged_in, tab_to, unusable
from tests.support.consoled import ROLE, Consoled, consoled
from tests.support.database import fresh_database
from tests.support.offices import SERVICE_KEY
from tests.support.pages import provider_for, settings_of
from tests.support.processes import Process


class Site:
    """The pages as a process, with subscribers that have something behind them."""

    def __init__(self, url: str, place: Consoled, folder: Path) -> None:
        self.url, self.place, self.folder = url, place, folder
        self.home = f"{url}/subscribers"
        self.ioc = f"{self.home}/one/ioc"

    def pages(self) -> list[str]:
        """Return an address of every page, errors among them."""
        return [
            self.home, f"{self.ioc}?at=1", f"{self.home}/one/soc", f"{self.ioc}/deliveries",
            f"{self.ioc}/day?day=2020-01-01", f"{self.ioc}/replay?since=2001-01-01T00:00",
            f"{self.ioc}/replay?dossier=x", f"{self.home}/types",
            f"{self.home}/types/dossier.completed.v1", f"{self.home}/help", f"{self.home}/nothing",
        ]  # fmt: skip

    @contextmanager
    def browser(self) -> Iterator[BrowserContext]:
        """Run a browser in which an operator is logged in."""
        with logged_in(self.folder, self.home, "Trần Văn Hành") as context:
            yield context


@pytest.fixture(scope="module")
def site(
    server_url: str, amqp_url: str, management_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    """The site with its identity provider and a broker."""
    folder, port = tmp_path_factory.mktemp("site"), free_port()
    url = f"http://127.0.0.1:{port}"
    with (
        fresh_database(server_url) as database,
        fresh_broker(amqp_url, management_url) as broker,
        consoled(database, broker) as place,
        provider_for(url, folder, "subscribers") as provider,
    ):
        environ = {
            **settings_of(url, database.url_for(ROLE), provider.issuer),
            "MOTCUA_SERVICE_KEY": SERVICE_KEY.hex(), "MOTCUA_AMQP_URL": place.looker_url,
        }  # fmt: skip
        process = Process("services.notify", environ, folder / "notify-web.log", ("web",))
        try:
            process.wait_ready()
            yield Site(url, place, folder)
            assert process.stop()[0] == 0
        finally:
            process.end()


def test_everybody_can_use_every_page(site: Site) -> None:
    """Axe finds nothing, nor the browser: Vietnamese by day, English by night and 320 px wide."""
    with site.browser() as context:
        assert unusable(context.pages[0], site.home, site.pages()) == []


def test_an_order_by_keyboard(site: Site) -> None:
    """From the list to a dossier that is sent again, without a mouse."""
    with site.browser() as context:
        page = context.pages[0]
        tab_to(page, "tbody a[href$='/one/ioc']")
        enter(page, "**/one/ioc")
        tab_to(page, ".tabs a[href$='/replay']")
        enter(page, "**/replay")
        tab_to(page, "#dossier")
        page.keyboard.type(site.place.dossier)
        enter(page, "**/replay?dossier=*")
        tab_to(page, "#reference")
        page.keyboard.type("HS-7")
        enter(page, "**/one/ioc?ordered=2#redrives")
        expect(page.locator("p.good[role=status]")).to_contain_text("Đã ghi 2 yêu cầu")
        expect(page.locator("tbody tr")).to_have_count(2)
