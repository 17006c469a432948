# SPDX-License-Identifier: Apache-2.0
"""A generated log is one that the services could have written, and only scratch logs get one."""

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing
from itertools import islice

import psycopg
import pytest

from infra.generating.crowd import said, world_of
from infra.generating.loading import Generated, generate
from services.common import contracts
from services.common.audit.verify import verify_log
from services.common.errors import Refused
from services.common.eventlog.bulk import BulkReader
from services.common.eventlog.ownership import CATEGORIES
from services.common.eventlog.record import RecordedEvent, category_of
from services.intake.application.facts import data_of
from services.intake.domain.dossier import Dossier, evolve
from services.intake.domain.transitions import TRANSITIONS
from services.payment.application.queries import ledger
from tests.support.database import LOG_ID, Database, fresh_database
from tests.support.generated import fill_generated, mark_scratch
from tests.support.sealed_log import KEYS, seal

EVENTS, SEED = 6_000, 11
_ROLES = {name: role for role, names in CATEGORIES.items() for name in names}


@pytest.fixture(scope="module")
def made(database: Database) -> Generated:
    """Fill the log."""
    return fill_generated(database, EVENTS, SEED)


@pytest.fixture(scope="module")
def events(database: Database, made: Generated) -> list[RecordedEvent]:
    """Read the log."""
    assert EVENTS <= made.events < EVENTS + 10
    return list(BulkReader(database.url_for("motcua_audit"), LOG_ID).read())


def test_it_verifies_once_sealed(database: Database, made: Generated) -> None:
    """Hashes, versions, heads, keys and ciphertexts are right; the root is what was said."""
    seal(database)
    with psycopg.connect(database.url_for("motcua_audit")) as connection:
        report = verify_log(connection, LOG_ID, KEYS)
    assert report.good, report.findings[:5]
    assert (report.events, report.sealed, report.root) == (made.events, made.events, made.root)


def test_every_event_keeps_its_contract(events: list[RecordedEvent]) -> None:
    """Personal fields are stubs, everything else is what the newest contract says."""
    for event in events:
        contract = contracts.newest(event.type)
        assert contract.schema == event.schema
        contract.check(event.data)
        assert contract.encode(event.data) == event.raw_data


def test_dossiers_live_by_the_table_of_states(events: list[RecordedEvent]) -> None:
    """No event stands where its dossier's state does not allow it; many ends are there."""
    dossiers = dict[str, Dossier]()
    for event in events:
        if event.type in TRANSITIONS:
            known = dossiers.get(event.stream, Dossier())
            assert known.status in TRANSITIONS[event.type].sources, event
            dossiers[event.stream] = evolve(known, event.type, data_of(event))
    assert {1, 4, 9, 10} <= {one.status for one in dossiers.values()}


def test_no_dong_is_lost(database: Database, events: list[RecordedEvent]) -> None:
    """What machines stacked and banks told is what the ledger has, and receipts are numbered."""
    with closing(database.log("motcua_payment")) as log:
        balances = ledger(log).balances()
    told = Counter[str]()
    for event in events:
        if event.type == "kiosk.cash_note_credited":
            told[f"cash:{event.stream.split('-')[1]}"] += event.data["denomination_vnd"]
        elif event.type == "payment.bank_credit_received":
            told[f"bank:{event.data['provider']}"] += event.data["amount_vnd"]
    assert told == {k: v for k, v in balances.items() if k.startswith(("cash:", "bank:"))}
    issued = [event.data for event in events if event.type == "receipt.issued"]
    assert [one["number"] for one in issued] == list(range(1, len(issued) + 1))


def test_services_append_the_same_bytes(
    server_url: str, events: list[RecordedEvent]
) -> None:  # fmt: skip
    """The same requests through the log's own door become the same events, by the same writers."""
    with fresh_database(server_url) as other, ExitStack() as opened:
        logs = {
            role: opened.enter_context(closing(other.log(role))) for role in set(_ROLES.values())
        }
        for _, request in islice(said(world_of(SEED, EVENTS), EVENTS), 600):
            role = _ROLES[category_of(request.appends[0].stream)]
            logs[role].append(request)
        appended = list(BulkReader(other.url_for("motcua_audit"), LOG_ID).read())
    assert len(appended) > 700
    for ours, theirs in zip(events, appended, strict=False):
        assert (ours.event_id, ours.content_hash) == (theirs.event_id, theirs.content_hash)


def test_the_same_seed_tells_the_same(events: list[RecordedEvent]) -> None:
    """Another world of the same seed says the same, another seed something else."""

    def ids(seed: int) -> Iterator[object]:
        for _, request in said(world_of(seed, EVENTS), EVENTS):
            for append in request.appends:
                yield from (event.event_id for event in append.events)

    assert list(ids(SEED)) == [event.event_id for event in events]
    assert Counter(ids(SEED + 1)) != Counter(event.event_id for event in events)


def test_only_an_empty_scratch_log_is_filled(database: Database, made: Generated) -> None:
    """A log with events, a database that nobody marked and an unknown log stay as they are."""
    for mark, log_id, code in (
        ("scratch", LOG_ID, "log_not_empty"), ("the real one", LOG_ID, "not_scratch"),
        ("scratch", LOG_ID + 1, "no_such_log"),
    ):  # fmt: skip
        mark_scratch(database, mark)
        with pytest.raises(Refused) as refused:
            generate(database.owner_url, log_id, events=10, seed=1)
        assert refused.value.code == code
    assert BulkReader(database.url_for("motcua_audit"), LOG_ID).head() == made.events
