# SPDX-License-Identifier: Apache-2.0
"""Webhooks over real sockets from a real log: killed, refused, slow, gone, sent again."""

import itertools
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest

from motcua_subscriber import SQLiteInbox, open_certificate
from motcua_subscriber.inbox import digest_of
from services.common.clock import VIETNAM, SystemClock
from services.notify.adapters.checkpoints import PostgresCheckpoints
from services.notify.adapters.webhook_ledger import PostgresLedger, deliveries_of
from services.notify.application.certificates import Certificates, certificate_signer
from services.notify.application.ports import LeadLostError
from services.notify.domain.credentials import shown_secret, webhook_secret
from services.notify.domain.subscriber_commands import OrderRedrive, Resume, Rotate
from services.notify.domain.webhook import Progress
from tests.support.database import LOG_ID, Database
from tests.support.offices import CONTACT, HandClock, Office
from tests.support.sealed_log import seal
from tests.support.subscribing import WEBHOOK_KEY
from tests.support.waiting import wait_until
from tests.support.webhooks import READY, RETURNED, Inbox, Post, post_office

NewInbox = Callable[[], Inbox]


@pytest.fixture
def post(database: Database, tmp_path: Path) -> Iterator[Post]:
    """Whoever sends."""
    with post_office(database, tmp_path) as post:
        yield post


@pytest.fixture
def new_inbox(tmp_path: Path) -> Iterator[NewInbox]:
    """Make receivers; all close finally."""
    with ExitStack() as opened:
        yield lambda: opened.enter_context(closing(Inbox(tmp_path)))


def test_senders_are_killed_and_the_day_is_whole(post: Post, new_inbox: NewInbox) -> None:
    """Each event once in effect and in order, and the certificate of the day agrees."""
    inbox = new_inbox()
    post.add(inbox)
    inbox.order(cuts=3)
    first, second = post.sender(), post.sender()
    wait_until(lambda: first.ready() and second.ready(), what="senders ready")
    positions = post.append(200)
    wait_until(lambda: first.metric("webhook_leader") + second.metric("webhook_leader") == 1,
               what="one lead")  # fmt: skip
    for goal in (50, 120):
        wait_until(lambda goal=goal: len(inbox.effects()) >= goal, what=f"{goal} effects")
        (lead,) = [one for one in post.senders if one.metric("webhook_leader")]
        lead.kill()
        post.sender()
    post.wait_taken(inbox, positions)
    assert inbox.answers()["204"] >= 200 - 3
    assert inbox.answers()["cut"] == 3
    name = inbox.name
    wait_until(lambda: post.state(name).confirmed >= positions[-1], what="a confirmation")
    assert post.progress(name).through >= positions[-1]
    seal(post.database)
    url = post.database.url_for("motcua_notify")
    clock = HandClock(SystemClock().now() + timedelta(days=1, minutes=6))
    signer = certificate_signer(LOG_ID, bytes(range(3, 35)))
    with closing(PostgresCheckpoints(url, LOG_ID)) as checkpoints:
        certificates = Certificates(post.log, checkpoints, clock, signer)
        day = SystemClock().now().astimezone(VIETNAM).date()
        text = str(certificates.of_day(post.state(name), day))
    certificate = open_certificate(text, str(signer.verifier))
    with closing(SQLiteInbox(inbox.receiver.inbox_path)) as taken:
        mine = digest_of(taken.taken(certificate.after, certificate.through))
    assert mine == (certificate.count, certificate.digest)
    assert certificate.count == 200


def test_bad_days_of_a_receiver_cost_time_only(post: Post, new_inbox: NewInbox) -> None:
    """500, a redirect that is not followed, Retry-After, a hanging answer: later, in order."""
    inbox = new_inbox()
    post.add(inbox)
    inbox.order(errors=2, redirects=1, throttled=1, slow=4)
    sender = post.sender(MOTCUA_WEBHOOK_TIMEOUT_S="1.5")
    positions = post.append(3)
    wait_until(lambda: inbox.answers()["500"] >= 1, what="a first answer")
    inbox.order(slow=0)
    post.wait_taken(inbox, positions)
    with post.log._pool.connection() as connection:
        found = deliveries_of(connection, LOG_ID, inbox.name, 100, failed=False)
    told = [(where, attempt, outcome, status) for _, where, _, attempt, outcome, status, *_
            in reversed(found)]  # fmt: skip
    # Each request takes the next fault with it, also one whose answer comes too late.
    late = sum(outcome == "timeout" for _, _, outcome, _ in told)
    answers = [500, 500, 503, 302, 204, 204, 204]
    assert 1 <= late <= 2
    assert [status for _, _, _, status in told] == [None] * late + answers[late:]
    assert [attempt for _, attempt, _, _ in told] == [1, 2, 3, 4, 5, 1, 1]
    times = {status: when for when, *_, status, _, _ in found}
    assert times[204] - times[503] >= timedelta(seconds=0.9)
    assert {row["path"] for row in inbox.receiver.told()["answers"]} == {"/events"}
    wait_until(lambda: sender.metric("webhook_lag_events") == 0, what="no lag")
    assert sender.metric("webhook_attempts_total") == 7


def test_a_slow_receiver_holds_up_nobody(post: Post, new_inbox: NewInbox) -> None:
    """Others get theirs meanwhile, and no connection to the database is kept for it."""
    slow, quick = new_inbox(), new_inbox()
    post.add(slow), post.add(quick)
    slow.order(slow=0.9)
    sender = post.sender()
    positions = post.append(60)
    post.wait_taken(quick, positions)
    assert len(slow.effects()) < len(positions) - 5
    with psycopg.connect(post.database.owner_url) as connection:
        (held,) = connection.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            " AND usename = 'motcua_notify' AND state LIKE 'idle in%'"
        ).fetchone() or (None,)
    assert held == 0
    wait_until(lambda: sender.metric("webhook_lag_events") > 0, what="the lag to be told")
    slow.order(slow=0)
    post.wait_taken(slow, positions)


def test_gone_is_gone_and_patience_ends(post: Post, new_inbox: NewInbox) -> None:
    """410 stops at once, endless errors after their time; a person lets both go on."""
    gone, failing = new_inbox(), new_inbox()
    post.add(gone), post.add(failing)
    gone.order(gone=1)
    failing.order(errors=1000)
    sender = post.sender(MOTCUA_WEBHOOK_PATIENCE_S="2")
    positions = post.append(2)
    stops = {}
    for inbox, reason in ((gone, "gone"), (failing, "no_answer")):
        wait_until(lambda inbox=inbox: post.state(inbox.name).suspended, what=reason)
        stops[inbox.name] = post.state(inbox.name).suspended["webhook"]
        assert (stops[inbox.name].reason, stops[inbox.name].position) == (reason, positions[0])
    assert gone.answers() == {"410": 1}
    wait_until(lambda: sender.metric("webhook_suspended") == 2, what="both to be shown")
    failing.order(errors=0)
    for inbox in (gone, failing):
        post.order(inbox.name, Resume(scope="webhook", by="x"))
        post.wait_taken(inbox, positions)
    assert post.state(failing.name).sends


def test_a_lead_without_its_lock_moves_nothing(post: Post) -> None:
    """Only one leads; the one that lost its session, or is behind another, writes nothing."""
    url = post.database.url_for("motcua_notify")
    with (
        closing(PostgresLedger.begin(url, LOG_ID)) as old,
        closing(PostgresLedger.begin(url, LOG_ID)) as new,
    ):
        assert old.take()
        assert not new.take()
        old.record("law", None, Progress(through=5), None)
        with psycopg.connect(post.database.owner_url, autocommit=True) as admin:
            admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'"
                " AND granted AND classid = 1296258888 AND database ="
                " (SELECT oid FROM pg_database WHERE datname = current_database())"
            )
        wait_until(new.take, what="the lead to be free")
        new.record("law", Progress(through=5), Progress(through=9), None)
        for before, after in ((5, 6), (9, 10)):
            with pytest.raises(LeadLostError):
                old.record("law", Progress(through=before), Progress(through=after), None)
        for before in (Progress(through=5), None):
            with pytest.raises(LeadLostError):
                new.record("law", before, Progress(through=7), None)
        assert new.progress("law") == Progress(through=9)


def test_the_lead_changes_under_way(post: Post, new_inbox: NewInbox) -> None:
    """Its session is ended while receivers answer: events come twice at most, none is missing."""
    inbox = new_inbox()
    post.add(inbox)
    post.sender(), post.sender()
    inbox.order(slow=0.02)
    positions = post.append(120)
    with psycopg.connect(post.database.owner_url, autocommit=True) as admin:
        for goal in (10, 40, 70):
            wait_until(lambda goal=goal: len(inbox.effects()) >= goal, what=f"{goal} effects")
            admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name = 'webhooks' AND datname = current_database()"
            )
    post.wait_taken(inbox, positions)


def test_chosen_types_a_redrive_and_an_inbox_from_a_backup(
    post: Post, new_inbox: NewInbox, tmp_path: Path
) -> None:
    """Of what is owed the chosen types are sent; what a receiver lost is sent once more."""
    inbox = new_inbox()
    post.add(inbox, READY, RETURNED, chosen=(READY,))
    post.sender()
    ready, returned = post.append(5), post.append(5, RETURNED)
    more = post.append(5)
    post.wait_taken(inbox, ready + more)
    assert returned
    with closing(SQLiteInbox(inbox.receiver.inbox_path)) as taken:
        lost = ready[2:]
        for table in ("motcua_taken", "effect"):
            taken.connection.execute(f"DELETE FROM {table} WHERE position BETWEEN ? AND ?",
                                     (lost[0], lost[-1]))  # fmt: skip
    order = OrderRedrive(first=ready[0], last=returned[-1], head=post.log.head(), reference="CV-9",
                         by="x")  # fmt: skip
    post.order(inbox.name, order)
    post.wait_taken(inbox, ready[:2] + more + lost)
    with post.log._pool.connection() as connection:
        found = deliveries_of(connection, LOG_ID, inbox.name, 100, failed=False)
    assert sorted(line[1] for line in found if line[-1]) == ready
    last = post.append(1)
    post.wait_taken(inbox, ready[:2] + more + lost + last)


def test_while_a_secret_is_replaced_both_fit(post: Post, new_inbox: NewInbox) -> None:
    """The receiver changes to the new secret whenever it likes; afterwards the old one is refused."""
    inbox = new_inbox()
    post.add(inbox)
    post.sender()
    until = (SystemClock().now() + timedelta(hours=1)).isoformat(timespec="seconds")
    post.order(inbox.name, Rotate(credential="webhook", token_digest=None, until=until, by="x"))
    positions = post.append(2)
    post.wait_taken(inbox, positions)
    secret = webhook_secret(WEBHOOK_KEY, inbox.name, 2)
    inbox.secret_file.write_text(shown_secret(secret))
    positions += post.append(2)
    post.wait_taken(inbox, positions)
    inbox.secret_file.write_text(shown_secret(b"x" * 32))
    post.append(1)
    wait_until(lambda: inbox.answers()["401"] >= 2, what="a forged secret to be refused")
    assert inbox.effects() == positions


def test_nothing_of_our_own_is_asked(post: Post, new_inbox: NewInbox) -> None:
    """Where no network was allowed, a webhook to this machine is suspended, not connected to."""
    inbox = new_inbox()
    post.add(inbox)
    post.sender(MOTCUA_WEBHOOK_NETWORKS="")
    post.append(1)
    wait_until(lambda: post.state(inbox.name).suspended, what="suspension")
    assert post.state(inbox.name).suspended["webhook"].reason == "forbidden_address"
    assert inbox.receiver.told() == {"effects": [], "answers": []}


def test_a_citizen_is_in_no_delivery(post: Post, new_inbox: NewInbox) -> None:
    """Name and number are in no body, no line of the delivery log and no line of any log."""
    inbox = new_inbox()
    post.add(inbox, "kiosk.session_started", "kiosk.dossier_deposited", "dossier.deposited")
    with ExitStack() as opened:
        keys = opened.enter_context(closing(post.database.keys("motcua_kiosk_sync")))
        logs: dict[str, object] = {}

        def log_as(role: str) -> object:
            if role not in logs:
                logs[role] = opened.enter_context(closing(post.database.log(role)))
            return logs[role]

        office = Office(log_as, keys, HandClock(SystemClock().now()))  # type: ignore[arg-type]
        dossier = office.deposit()
        sender = post.sender()
        wait_until(lambda: any(dossier.encode() in body for body in inbox.bodies()),
                   what="the dossier to be told")  # fmt: skip
        wait_until(lambda: sender.metric("webhook_lag_events") == 0, what="no lag")
    with psycopg.connect(post.database.owner_url) as connection:
        rows = connection.execute(
            "SELECT to_jsonb(d)::text FROM notify.webhook_delivery AS d"
        ).fetchall()
    assert rows
    said = [*inbox.bodies(), *(row[0].encode() for row in rows), sender.log.read_bytes()]
    assert isinstance(CONTACT, dict)
    for value, text in itertools.product(map(str, CONTACT.values()), said):
        for spelt in (value, json.dumps(value).strip('"'), value.strip("+")):
            assert spelt.encode() not in text
