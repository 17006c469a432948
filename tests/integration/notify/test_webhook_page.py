# SPDX-License-Identifier: Apache-2.0
"""Receivers written from the documentation alone, run as they stand there."""

import os
import re
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from infra.local.system import answers, free_port
from services.notify.domain.credentials import shown_secret, token_digest, webhook_secret
from services.notify.domain.signature import signatures
from services.notify.domain.subscriber_commands import Add, SetWebhook
from tests.support.database import Database
from tests.support.subscribing import WEBHOOK_KEY
from tests.support.waiting import wait_until
from tests.support.webhooks import READY, RETURNED, post_office

NAME = "page"
SECRET = shown_secret(webhook_secret(WEBHOOK_KEY, NAME, 1))


def program(language: str, mark: str) -> str:
    """Return the page's program in ``language`` that has ``mark`` in it."""
    text = Path("docs/subscribing.md").read_text(encoding="utf-8")
    found = re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    (one,) = [block for block in found if mark in block]
    return str(one)


@contextmanager
def receiver(folder: Path, port: int) -> Iterator[Path]:
    """Run the page's receiver with a copy of the package; gives its store."""
    (folder / "receiver.py").write_text(program("python", "do_POST"), encoding="utf-8")
    shutil.copytree("motcua_subscriber", folder / "motcua_subscriber", dirs_exist_ok=True)
    store = folder / "ioc.db"
    given = {"STORE": str(store), "SECRET": SECRET, "PORT": str(port), "PYTHONPATH": str(folder)}
    base = {name: value for name, value in os.environ.items() if "MOTCUA" not in name}
    with (folder / "out").open("ab") as out:
        child = subprocess.Popen(
            [sys.executable, "receiver.py"], cwd=folder, env={**base, **given}, stdout=out,
            stderr=out,
        )  # fmt: skip
    try:
        wait_until(lambda: answers(port), what="the receiver")
        yield store
    finally:
        child.kill()
        child.wait(10)


def counted(store: Path) -> dict[str, int]:
    """Return what the receiver counted."""
    with sqlite3.connect(store, timeout=10) as reader:
        return dict(reader.execute("SELECT type, n FROM tally").fetchall())


def test_the_receiver_of_the_page(database: Database, tmp_path: Path) -> None:
    """Killed and started again while it is sent to, it counts each event once."""
    port = free_port()
    with post_office(database, tmp_path) as post:
        post.names.append(NAME)
        post.order(NAME, Add(name=NAME, types=(READY, RETURNED), after=post.log.head(),
                             token_digest=token_digest(NAME), by="x"))  # fmt: skip
        post.order(NAME, SetWebhook(url=f"http://127.0.0.1:{port}/", by="x"))
        with receiver(tmp_path, port) as store:
            post.sender()
            post.append(40), post.append(7, RETURNED)
            wait_until(lambda: counted(store).get(READY, 0) >= 10, what="the first ten")
        with receiver(tmp_path, port) as store:
            wait_until(lambda: counted(store).get(RETURNED, 0) >= 7, what="the rest")
            assert counted(store) == {READY: 40, RETURNED: 7}


@pytest.mark.parametrize(
    ("changed", "good"),
    [
        ({}, True),
        ({"SECRET": shown_secret(b"x" * 32)}, False),
        ({"ID": "other"}, False),
        ({"STAMP": str(int(time.time()) - 301)}, False),
        ({"STAMP": "0x5"}, False),
        ({"SIGNATURE": "v1,AAAA"}, False),
        ({"body": '{"a":2}'}, False),
    ],
)
@pytest.mark.parametrize("secrets", [1, 2])
def test_the_shell_of_the_page(
    tmp_path: Path, changed: dict[str, str], good: bool, secrets: int
) -> None:
    """What signs here, fits there, also beside another secret; what was altered does not."""
    (tmp_path / "verify.sh").write_text(program("sh", "openssl"), encoding="utf-8")
    body, stamp, name = '{"a":"ê\\n"}', int(time.time()), "01936d5e-0000-8000-8000-000000000007"
    signing = [b"y" * 32, webhook_secret(WEBHOOK_KEY, NAME, 1)][2 - secrets :]
    given = {
        "SECRET": SECRET, "ID": name, "STAMP": str(stamp),
        "SIGNATURE": signatures(signing, name, stamp, body.encode()), **changed,
    }  # fmt: skip
    sent = given.pop("body", body).encode()
    done = subprocess.run(
        ["sh", "verify.sh"], cwd=tmp_path, input=sent, capture_output=True, check=False,
        timeout=10, env={**os.environ, **given},
    )  # fmt: skip
    assert (done.returncode == 0) == good, done.stderr
