# SPDX-License-Identifier: Apache-2.0
"""The auditors' pages in a real browser: for everybody, by keyboard, without scripts, narrow."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from infra.local.system import free_port
from tests.support.audited import CODE, ROLE, TRUSTED, Audited, fill
from tests.support.browsing import chromium, enter, logged_in, tab_to, unusable
from tests.support.database import fresh_database
from tests.support.pages import provider_for, settings_of
from tests.support.processes import Process


class Site:
    """The pages as a process over a sealed log."""

    def __init__(self, url: str, audited: Audited, folder: Path) -> None:
        self.url, self.audited, self.folder = url, audited, folder

    @property
    def dossier(self) -> str:
        return f"{self.url}/audit/dossiers/{self.audited.whole}"

    def pages(self) -> list[str]:
        """Return an address of every page, errors among them."""
        return [
            f"{self.url}/audit", f"{self.url}/audit?q=x", self.dossier, f"{self.dossier}/state",
            f"{self.dossier}/state?at=2001-01-01T00:00", f"{self.dossier}/difference",
            f"{self.url}/audit/events/{self.audited.head - 3}", f"{self.url}/audit/access",
            f"{self.url}/audit/checks", f"{self.url}/audit/seals", f"{self.url}/audit/help",
            f"{self.url}/audit/nothing", f"{self.url}/audit/login",
        ]  # fmt: skip

    @contextmanager
    def browser(self, **options: object) -> Iterator[BrowserContext]:
        """Run a browser in which an auditor is logged in."""
        with logged_in(self.folder, f"{self.url}/audit", "Lê Thị Kiểm", **options) as context:
            yield context


@pytest.fixture(scope="module")
def site(server_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The site with its identity provider."""
    folder, port = tmp_path_factory.mktemp("site"), free_port()
    url = f"http://127.0.0.1:{port}"
    with fresh_database(server_url) as database, provider_for(url, folder, "audit") as provider:
        audited = fill(database, readings=9)
        keys = folder / "trusted_keys"
        keys.write_text("\n".join(map(str, TRUSTED)), encoding="utf-8")
        environ = {
            **settings_of(url, database.url_for(ROLE), provider.issuer),
            "MOTCUA_TRUSTED_KEYS_FILE": str(keys),
        }  # fmt: skip
        process = Process("services.auditing", environ, folder / "audit-web.log")
        try:
            process.wait_ready()
            yield Site(url, audited, folder)
            assert process.stop()[0] == 0
        finally:
            process.end()


def test_everybody_can_use_every_page(site: Site) -> None:
    """Axe finds nothing, nor the browser: Vietnamese by day, English by night and 320 px wide."""
    with site.browser() as context:
        assert unusable(context.pages[0], f"{site.url}/audit", site.pages()) == []


def test_a_whole_journey_by_keyboard(site: Site) -> None:
    """From the login to a state of the past, a comparison and out again, without a mouse."""
    with chromium(site.folder / "keyboard") as context:
        page = context.pages[0]
        page.goto(f"{site.url}/audit")
        tab_to(page, ".button[href*='login/start']")
        enter(page, "**/authorize?**")
        tab_to_plain(page, "button[value=kt001]")
        enter(page, f"{site.url}/audit")
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.className") == "skip"
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.id") == "main"
        tab_to(page, "#q")
        page.keyboard.type(CODE)
        enter(page, f"{site.dossier}")
        tab_to(page, ".tabs a[href$='/state']")
        enter(page, "**/state")
        tab_to(page, "#step")
        page.keyboard.press("Home")
        expect(page.locator("#moment h3")).to_contain_text("Sự kiện 1 trên")
        page.keyboard.press("ArrowRight")
        expect(page.locator("#moment h3")).to_contain_text("Sự kiện 2 trên")
        assert page.url.endswith("?step=2")
        assert "Sự kiện 2 trên" in str(page.locator("#step").get_attribute("aria-valuetext"))
        assert page.evaluate("document.activeElement.id") == "step"
        tab_to(page, "#moment a[href*='difference']")
        enter(page, "**/difference?from=*")
        tab_to(page, "#from")
        page.keyboard.press("Home")
        tab_to(page, "main button")
        enter(page, "**/difference?from=0&to=*")
        expect(page.locator("table")).to_contain_text("Tiền mặt đã nhận")
        page.goto(f"{site.url}/audit")
        tab_to(page, "form.who button")
        enter(page, "**/audit/login?out=1")


def test_everything_works_without_scripts(site: Site) -> None:
    """The slider and every other form are plain forms; links lead everywhere."""
    with site.browser(java_script_enabled=False) as context:
        page = context.pages[0]
        page.fill("#q", CODE)
        page.get_by_role("button", name="Tìm").click()
        page.wait_for_url(site.dossier)
        page.get_by_role("link", name="Tại một thời điểm").click()
        page.wait_for_url("**/state")
        moment = page.locator("#moment h3")
        page.locator("#step").press("Home")
        page.get_by_role("button", name="Xem").first.click()
        page.wait_for_url("**/state?step=1")
        expect(moment).to_contain_text("Sự kiện 1 trên")
        page.get_by_role("link", name="Sự kiện sau").click()
        expect(moment).to_contain_text("Sự kiện 2 trên")
        page.fill("#at", "2001-01-01T00:00:00")
        page.get_by_role("button", name="Xem").last.click()
        expect(page.locator(".empty")).to_contain_text("chưa biết gì")
        page.get_by_role("link", name="So sánh", exact=True).click()
        page.select_option("#from", index=1)
        page.get_by_role("button", name="So sánh").click()
        page.wait_for_url("**/difference?from=*")
        expect(page.locator("table")).to_contain_text("Nộp thừa")
        page.get_by_role("link", name="Ai đã xem").click()
        page.fill("#reader", "cb008")
        page.get_by_role("button", name="Lọc").click()
        expect(page.locator("tbody tr")).to_have_count(3)
        page.get_by_role("link", name="English").click()
        expect(page.locator("h1")).to_have_text("Who read personal data")
        assert "reader=cb008" in page.url


def test_the_slider_shows_what_the_page_would_show(site: Site) -> None:
    """Moved by script, the state is that of the page at the same address; a lost login asks anew."""
    with site.browser() as context:
        page = context.pages[0]
        page.goto(f"{site.dossier}/state")
        slider = page.locator("#step")
        for step in (3, 5):
            slider.fill(str(step))
            expect(page.locator("#moment h3")).to_contain_text(f"Sự kiện {step} trên")
            moved = states(page)
            page.goto(f"{site.dossier}/state?step={step}")
            assert states(page) == moved
        assert page.locator(".go").first.is_hidden()
        context.clear_cookies()
        slider.fill("2")
        page.wait_for_url(re.compile(".*/audit/login.*"))


def states(page: Page) -> str:
    """Return what the page says of the moment."""
    return page.locator("#moment").inner_text()


def tab_to_plain(page: Page, selector: str) -> None:
    """Press Tab until something of a page that is not ours has the focus."""
    for _ in range(10):
        page.keyboard.press("Tab")
        if page.evaluate("s => document.activeElement.matches(s)", selector):
            return
    pytest.fail(f"{selector} cannot be reached by Tab")
