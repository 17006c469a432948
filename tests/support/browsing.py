# SPDX-License-Identifier: Apache-2.0
"""Debian's Chromium, driven by Playwright, and what is asked of every page in it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import BrowserContext, Page, expect, sync_playwright

from infra.local.browser import FLAGS, program
from infra.local.system import free_port

TIMEOUT_MS = 20_000
WIDE = {"width": 1280, "height": 900}
NARROW = {"width": 320, "height": 640}
DIFFERENT = (
    "color-contrast", "button-name", "document-title", "html-has-lang", "html-lang-valid", "label",
    "link-name", "scrollable-region-focusable",
)  # fmt: skip
"""Rules by which the same page in another language, by night or narrow can be worse."""


@contextmanager
def chromium(folder: Path, **options: Any) -> Iterator[BrowserContext]:
    """Run a browser with a new profile in ``folder`` for as long as the block runs."""
    path = program()
    if path is None:
        pytest.fail("chromium is not on this machine: run `make test`, or `make browser` first")
    with sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            str(folder), executable_path=path, args=list(FLAGS), timeout=30_000,
            **{"viewport": WIDE, **options},
        )  # fmt: skip
        context.set_default_timeout(TIMEOUT_MS)
        expect.set_options(timeout=TIMEOUT_MS)
        try:
            yield context
        finally:
            context.close()


@contextmanager
def logged_in(folder: Path, home: str, person: str, **options: Any) -> Iterator[BrowserContext]:
    """Run a browser in which ``person`` logged in to the pages under ``home``."""
    with chromium(folder / f"profile-{free_port()}", **options) as context:
        page = context.pages[0]
        page.goto(f"{home}/login")
        page.get_by_role("link", name="Đăng nhập").click()
        page.get_by_role("button", name=person).click()
        page.wait_for_url(home, wait_until="load")
        yield context


def unusable(page: Page, home: str, ways: Sequence[str]) -> list[str]:
    """Return what somebody could not use on the pages ``ways``, a complaint a line.

    By axe, by the browser and by width: in Vietnamese by day, in English by night and 320 px wide.
    """
    heard, found = complaints(page), list[str]()
    for language, scheme, size, rules in (
        ("vi", "light", WIDE, ()), ("en", "dark", NARROW, DIFFERENT),
    ):  # fmt: skip
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        page.set_viewport_size(size)  # type: ignore[arg-type]
        page.goto(f"{home}?lang={language}")
        for way in ways:
            page.goto(way)
            assert page.locator("html").get_attribute("lang") == language
            found += [f"{way} {language} {one}" for one in inaccessible(page, *rules)]
            wide = page.evaluate("document.documentElement.scrollWidth")
            found += [f"{way} is {wide} px wide"] if wide > size["width"] else []
    # The browser itself notes the answers 404 and 422, which are ours.
    return found + [one for one in heard if "status of 4" not in one]


def complaints(page: Page) -> list[str]:
    """Return from now on what the browser complains about: errors, refused by the policy."""
    heard: list[str] = []
    page.on("console", lambda said: heard.append(said.text) if said.type == "error" else None)
    page.on("pageerror", lambda error: heard.append(str(error)))
    return heard


def inaccessible(page: Page, *rules: str) -> list[str]:
    """Return axe's violations on the page, one a line; of some rules only, where they are named."""
    options: dict[str, Any] = {"resultTypes": ["violations"]}
    if rules:
        options["runOnly"] = list(rules)
    return [
        f"{one['id']} ({one['impact']}): {node['html'][:120]}"
        for one in Axe().run(page, options=options).response["violations"]
        for node in one["nodes"]
    ]


def tab_to(page: Page, selector: str, *, presses: int = 60) -> None:
    """Press Tab until what ``selector`` names has the focus, which must be seen."""
    for _ in range(presses):
        page.keyboard.press("Tab")
        if page.evaluate("s => document.activeElement.matches(s)", selector):
            outline = page.evaluate(
                "() => parseFloat(getComputedStyle(document.activeElement).outlineWidth)"
            )
            assert outline >= 2, f"the focus on {selector} is not seen"
            return
    pytest.fail(f"{selector} cannot be reached by Tab")


def enter(page: Page, way: str) -> None:
    """Press Enter and wait until the page under ``way`` (a glob) is there."""
    page.keyboard.press("Enter")
    page.wait_for_url(way, wait_until="load")
