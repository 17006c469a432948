# SPDX-License-Identifier: Apache-2.0
"""What an auditor asks the log by command line: any moment, any form, never a person."""

import csv
import io
import json
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, closing
from datetime import timedelta

import pytest

from services.common.clock import VIETNAM
from tests.support.database import Database, fresh_database
from tests.support.offices import HandClock, Office
from tests.support.sealed_log import motcua


class Past:
    """A log in which one dossier was handed in, registered, paid for and loaded."""

    def __init__(self, database: Database, office: Office) -> None:
        self.database = database
        self.dossier = office.deposit(pouch="P-1")
        office.deposit(pouch="P-2")
        office.settle(self.dossier)
        office.load(self.dossier)
        office.release(self.dossier)
        self.story = list(office.log.read_subject(self.dossier))
        self.head = office.log.head()

    def ask(self, *words: str) -> list[dict[str, object]]:
        """Return what is answered as JSON."""
        done = motcua(self.database, *words, "--format", "json")
        assert (done.returncode, done.stderr) == (0, ""), done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    def state(self, *words: str) -> dict[str, object]:
        """Return the state at a moment."""
        rows = self.ask("state-at", self.dossier, *words)
        return {str(row["what"]): row["value"] for row in rows}


@pytest.fixture(scope="module")
def past(server_url: str) -> Iterator[Past]:
    """A log of its own."""
    with fresh_database(server_url) as database, ExitStack() as opened:

        def log_as(role: str) -> object:
            return opened.enter_context(closing(database.log(role)))

        keys = opened.enter_context(closing(database.keys("motcua_kiosk_sync")))
        yield Past(database, Office(log_as, keys, HandClock()))  # type: ignore[arg-type]


def test_events_by_whatever_is_asked(past: Past) -> None:
    """A dossier, a stream, a type, a part; in log order."""
    positions = [event.position for event in past.story]
    assert [row["position"] for row in past.ask("query", "--dossier", past.dossier)] == positions
    whole = past.ask("query")
    assert [row["position"] for row in whole] == list(range(1, past.head + 1))
    some = motcua(past.database, "query", "--after", "2", "--limit", "1", "--format", "json")
    assert [json.loads(line) for line in some.stdout.splitlines()] == [whole[2]]
    assert "there are more than 1" in some.stderr
    assert past.ask("query", "--after", "2", "--at", "3", "--limit", "1") == [whole[2]]
    assert past.ask("query", "--at", "3") == whole[:3]
    kinds = {str(row["type"]) for row in past.ask("query", "--type", "kiosk.dossier_deposited")}
    assert kinds == {"kiosk.dossier_deposited"}
    one = past.ask("query", "--stream", f"payment-{past.dossier}")
    assert [row["type"] for row in one] == ["payment.settled"]
    assert past.ask("query", "--dossier", str(uuid.uuid4())) == []
    assert "Nguyễn" not in json.dumps(whole, ensure_ascii=False)


def test_state_at_a_position_and_at_a_time(past: Past) -> None:
    """Before, in between and at the end; a time without a zone is Vietnam's."""
    deposited, *_, released = past.story
    early = past.state("--at", str(deposited.position))
    assert early["place.pouch"] == "bin:VT01/1"
    assert "payment.settled" not in early
    end = past.state()
    assert (end["place.result"], end["payment.settled"]) == ("citizen", True)
    assert end["at.position"] == released.position
    moment = deposited.recorded_at.astimezone(VIETNAM)
    for written in (moment.isoformat(), moment.replace(tzinfo=None).isoformat()):
        assert past.state("--at", written) == early
    later = (released.recorded_at + timedelta(days=1)).isoformat()
    assert past.state("--at", later) == end


def test_what_became_different(past: Past) -> None:
    """Between two moments; from before it was known; nothing between equal ones."""
    first, last = str(past.story[0].position), str(past.story[-1].position)
    rows = past.ask("diff", past.dossier, "--from", first)
    changed = {str(row["what"]): (row["before"], row["after"]) for row in rows}
    assert changed["place.result"] == (None, "citizen")
    assert "place.pouch" not in changed
    assert past.ask("diff", past.dossier, "--from", last, "--to", last) == []
    born = {row["what"] for row in past.ask("diff", past.dossier, "--from", "0", "--to", first)}
    assert "place.pouch" in born


def test_other_forms(past: Past) -> None:
    """CSV is read back; the table is for eyes; nothing found is said."""
    done = motcua(past.database, "query", "--dossier", past.dossier, "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert [int(row["position"]) for row in rows] == [one.position for one in past.story]
    assert json.loads(rows[0]["data"]) == past.story[0].data
    table = motcua(past.database, "state-at", past.dossier).stdout
    assert "citizen" in table
    nothing = motcua(past.database, "query", "--type", "dossier.refused").stdout
    assert "nothing found" in nothing


def test_following(past: Past) -> None:
    """From a position on, then it ends when told so."""
    done = motcua(past.database, "tail", "--after", "0", "--for-s", "0.5")
    assert [json.loads(line)["position"] for line in done.stdout.splitlines()] == list(
        range(1, past.head + 1)
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("state-at", str(uuid.uuid4())), "nothing was known"),
        (("state-at", "H30.12-261123-0001"), "no dossier"),
        (("state-at", "x"), "H30.12"),
        (("query", "--at", "yesterday"), "yesterday"),
        (("query", "--dossier", "7"), "H30.12"),
    ],
)
def test_what_cannot_be_asked(past: Past, words: tuple[str, ...], said: str) -> None:
    """One line that names it, code 2, nothing on the output."""
    done = motcua(past.database, *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_bad_options_are_named(past: Past) -> None:
    """By the command line itself."""
    for words, named in (
        (("query", "--limit", "0"), "--limit"), (("query", "--format", "xml"), "--format"),
        (("diff", past.dossier), "--from"),
    ):  # fmt: skip
        done = motcua(past.database, *words)
        assert done.returncode == 2
        assert named in done.stderr
