# SPDX-License-Identifier: Apache-2.0
"""The witness as a process: what it cosigned it knows for ever, and it cannot be led astray."""

import hashlib
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from services.common.audit.witness import read_config
from services.common.config import ConfigError, Settings
from services.common.integrity.notes import NEXT_KEY, Note, Signer
from services.common.integrity.witnessing import SIZE_TYPE, AddCheckpoint, checked_cosignature
from tests.support.processes import Process
from tests.support.witnesses import LOG, ORIGIN, WITNESS, SomeLog, start_witness

NEXT = Signer(ORIGIN, bytes(range(5, 37)))


@pytest.fixture
def memory(tmp_path: Path) -> Path:
    return tmp_path / "witness.db"


@pytest.fixture
def running(tmp_path: Path, memory: Path) -> Iterator[tuple[Process, str]]:
    process, url = start_witness(tmp_path, memory)
    process.wait_ready()
    yield process, url
    process.end()


def ask(url: str, body: str) -> requests.Response:
    return requests.post(f"{url}/add-checkpoint", data=body.encode(), timeout=10)


def cosigned(answer: requests.Response, body: str) -> bool:
    note = Note.parse(AddCheckpoint.parse(body).checkpoint)
    return answer.status_code == 200 and bool(
        checked_cosignature(note, answer.text, WITNESS.verifier)
    )


def test_it_remembers_through_its_death(
    running: tuple[Process, str], tmp_path: Path, memory: Path
) -> None:
    """Killed after its answer, it still knows; a log that forgot three events gets nothing."""
    log, (process, url) = SomeLog(), running
    assert cosigned(ask(url, log.request(0, 7)), log.request(0, 7))
    process.kill()
    again, url = start_witness(tmp_path, memory)
    try:
        again.wait_ready()
        stale = ask(url, log.request(0, 4))
        assert (stale.status_code, stale.text) == (409, "7\n")
        assert stale.headers["Content-Type"] == SIZE_TYPE
        assert cosigned(ask(url, log.request(7, 9)), log.request(7, 9))
        shown = requests.get(
            f"{url}/{hashlib.sha256(ORIGIN.encode()).hexdigest()}/checkpoint", timeout=10
        )
        assert Note.parse(shown.text).signed_by([LOG.verifier, WITNESS.verifier]) == [
            LOG.verifier, WITNESS.verifier,
        ]  # fmt: skip
        assert again.stop()[0] == 0
    finally:
        again.end()


def test_a_second_history_is_kept_as_evidence(running: tuple[Process, str], memory: Path) -> None:
    """Refused, logged, kept word for word."""
    log, (process, url) = SomeLog(), running
    ask(url, log.request(0, 7))
    forked = SomeLog(leaves=[bytes(32), *log.leaves[1:]])
    for body, status in ((forked.request(7, 7), 409), (forked.request(7, 20), 422)):
        answer = ask(url, body)
        assert answer.status_code == status
        with sqlite3.connect(memory) as connection:
            assert (body,) in connection.execute("SELECT request FROM evidence").fetchall()
        connection.close()
    assert [line["event"] for line in process.lines()].count("log_contradicts_itself") == 2
    assert process.metric("witness_answers_total") == 3
    assert cosigned(ask(url, log.request(7, 8)), log.request(7, 8))


def test_many_at_once_see_one_history(running: tuple[Process, str]) -> None:
    """Of requests that race each other from one size on, those that come late are told the size."""
    log, (_, url) = SomeLog(), running
    ask(url, log.request(0, 1))
    bodies = [log.request(1, size) for size in range(2, 22)]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda body: ask(url, body), bodies))
    taken = [
        size for size, one in zip(range(2, 22), answers, strict=True) if one.status_code == 200
    ]
    assert len(taken) == 1
    assert {one.text for one in answers if one.status_code == 409} == {f"{taken[0]}\n"}


def test_a_key_that_is_vouched_for_is_trusted(running: tuple[Process, str]) -> None:
    """The new key alone is a stranger until the old one has vouched for it."""
    _, url = running
    alone = SomeLog(signers=[NEXT])
    assert ask(url, alone.request(0, 3)).status_code == 403
    both = SomeLog(signers=[LOG, NEXT], extensions=(f"{NEXT_KEY}{NEXT.verifier}",))
    assert cosigned(ask(url, both.request(0, 4)), both.request(0, 4))
    assert cosigned(ask(url, alone.request(4, 5)), alone.request(4, 5))
    garbage = SomeLog(extensions=(f"{NEXT_KEY}garbage",))
    assert ask(url, garbage.request(5, 6)).status_code == 400


def test_other_requests_are_answered_too(running: tuple[Process, str]) -> None:
    """Unknown paths, no length, too long, not text."""
    _, url = running
    assert requests.get(f"{url}/x/checkpoint", timeout=10).status_code == 404
    assert requests.get(url, timeout=10).status_code == 404
    assert requests.post(f"{url}/other", data=b"x", timeout=10).status_code == 404
    assert ask(url, "x" * 70_000).status_code == 400
    assert requests.post(f"{url}/add-checkpoint", data=iter([b"x"]), timeout=10).status_code == 400
    assert requests.post(f"{url}/add-checkpoint", data=b"\xff", timeout=10).status_code == 400


def test_a_bad_configuration_is_told() -> None:
    """Everything at once; a witness's key is no log's key; a well-known key is none."""
    with pytest.raises(ConfigError, match=r"MOTCUA_WITNESS_NAME.*\n.*KEY.*\n.*LOGS"):
        read_config(Settings({}))
    good = {
        "MOTCUA_WITNESS_NAME": "w.example", "MOTCUA_WITNESS_KEY": bytes(range(32)).hex(),
        "MOTCUA_WITNESS_LOGS": str(LOG.verifier), "MOTCUA_WITNESS_MEMORY": "w.db",
        "MOTCUA_HTTP_PORT": "1", "MOTCUA_METRICS_PORT": "2",
    }  # fmt: skip
    assert read_config(Settings(good)).logs == {ORIGIN: (LOG.verifier,)}
    for wrong in (
        {"MOTCUA_WITNESS_LOGS": str(WITNESS.verifier)}, {"MOTCUA_WITNESS_KEY": "00" * 32},
        {"MOTCUA_WITNESS_NAME": "w w"},
    ):  # fmt: skip
        with pytest.raises(ConfigError):
            read_config(Settings({**good, **wrong}))
