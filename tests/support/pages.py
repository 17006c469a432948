# SPDX-License-Identifier: Apache-2.0
"""Words of pages checked against their templates, and an identity provider on a socket."""

import json
import re
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from urllib.parse import urlencode, urljoin, urlsplit

import requests

from infra.local.system import answers, free_port
from services.common.web.people import LoginConfig
from services.common.web.words import LANGUAGES, read_words
from tests.support.database import LOG_ID
from tests.support.waiting import wait_until

CLIENT, CLIENT_SECRET = "motcua247", "client-secret-of-the-tests"
SESSION_KEY = bytes(range(64, 96))
_ASKED = re.compile(r"\b(?:t|say)\(\s*(['\"])([a-z0-9_.]+)\1\s*(?:(~)|[,)])")
_PUT_IN = re.compile(r"\{([a-z_]*)\}")


@dataclass(frozen=True)
class Provider:
    """Where the identity provider listens."""

    issuer: str

    def order(self, *faults: str) -> None:
        """Let the next ID tokens be wrong."""
        request = urllib.request.Request(
            f"{self.issuer}/control/faults", data=json.dumps(faults).encode(),
            headers={"Content-Type": "application/json"},
        )  # fmt: skip
        with urllib.request.urlopen(request, timeout=5):
            pass

    def choose(self, way: str, person: str) -> str:
        """Follow the redirect ``way`` and choose somebody; returns where it sends back to."""
        page = requests.get(way, timeout=5)
        assert page.status_code == 200, page.text
        hidden = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', page.text))
        form = {name: unescape(value) for name, value in hidden.items()} | {"person": person}
        answer = requests.post(urljoin(way, "/choose"), data=form, timeout=5, allow_redirects=False)
        assert answer.status_code == 303, answer.text
        return answer.headers["Location"]


@contextmanager
def provider_for(public_url: str, folder: Path, *areas: str) -> Iterator[Provider]:
    """Run the sandbox's identity provider for a site."""
    secret = folder / "client-secret"
    secret.write_text(CLIENT_SECRET)
    port = free_port()
    backs = [word for area in areas for word in ("--back", f"{public_url}/{area}/login")]
    child = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", "infra.sandbox.identity", "--port", str(port),
         "--client", CLIENT, "--secret-file", str(secret), *backs],
    )  # fmt: skip
    try:
        wait_until(lambda: answers(port), timeout_s=30, what="identity provider")
        yield Provider(f"http://127.0.0.1:{port}")
    finally:
        child.terminate()
        child.wait(10)


def login_of(public_url: str, issuer: str, *, roles_claim: str = "roles") -> LoginConfig:
    """Return settings of a login for tests."""
    return LoginConfig(
        issuer=issuer, client_id=CLIENT, client_secret=CLIENT_SECRET, roles_claim=roles_claim,
        public_url=public_url, session_key=SESSION_KEY, session_s=3600,
    )  # fmt: skip


def settings_of(public_url: str, database_url: str, issuer: str) -> dict[str, str]:
    """Return the environment of a process with pages under ``public_url``, whoever serves them."""
    return {
        "MOTCUA_LOG_ID": str(LOG_ID), "MOTCUA_DATABASE_URL": database_url,
        "MOTCUA_HTTP_PORT": str(urlsplit(public_url).port), "MOTCUA_PUBLIC_URL": public_url,
        "MOTCUA_OIDC_ISSUER": issuer, "MOTCUA_OIDC_CLIENT_ID": CLIENT,
        "MOTCUA_OIDC_CLIENT_SECRET": CLIENT_SECRET, "MOTCUA_SESSION_KEY": SESSION_KEY.hex(),
    }  # fmt: skip


def check_words(package: str, folder: Path, *families: str) -> None:
    """Check that both tables say the same things, and that nothing is asked for in vain.

    Args:
        package: import name with ``words``.
        folder: where its templates and code are.
        families: beginnings of keys that are put together when they are asked for.
    """
    tables = {language: read_words(package, language) for language in LANGUAGES}
    first, *others = tables.values()
    for other in others:
        assert first.keys() == other.keys()
        for key, text in first.items():
            assert text.strip(), key
            assert set(_PUT_IN.findall(text)) == set(_PUT_IN.findall(other[key])), key
    asked, begun = set[str](), set(families)
    for file in sorted(folder.rglob("*")):
        if file.suffix in {".html", ".py"}:
            for _, key, more in _ASKED.findall(file.read_text(encoding="utf-8")):
                (begun if more else asked).add(key)
    shell = read_words("services.common.web", "vi")
    assert asked - first.keys() - shell.keys() == set(), "asked for, and nowhere said"
    quoted = "".join(
        file.read_text(encoding="utf-8")
        for file in folder.rglob("*") if file.suffix in {".html", ".py"}
    )  # fmt: skip
    unused = {
        key for key in first
        if not key.startswith(tuple(begun)) and not re.search(rf"['\"]{re.escape(key)}['\"]", quoted)
    }  # fmt: skip
    assert unused == set(), "said, and never asked for"


def query(**values: str) -> str:
    """Return a query string."""
    return urlencode(values)
