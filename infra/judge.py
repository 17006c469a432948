# SPDX-License-Identifier: Apache-2.0
"""The judge of a crash run: a program of its own that trusts nobody.

``python -m infra.judge --acks FILE --database-url URL --books FOLDER --mechanics FILE``

It knows what clients were told (``--acks``, one JSON object a line), the log (read with plain SQL
as ``motcua_audit``) and the outside world's own books (SQLite files of the bank, the SMS centre and
the one-stop system, and the machine's mechanics). It imports nothing of the services: canonical
bytes and hashes are computed again from their description in ADR-0001. Exit code 0: nothing is
wrong.
"""

import argparse
import hashlib
import json
import sqlite3
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import psycopg

COLUMNS: Final = (
    "pos, event_id, stream, version, type, schema, subject, occurred_at, recorded_at, data, meta,"
    " content_hash, leaf_hash"
)
RETURNED: Final = 10


@dataclass(frozen=True, slots=True)
class Event:
    """One row of the log; ``data`` decoded, ``raw`` as it stands there."""

    position: int
    event_id: str
    stream: str
    version: int
    type: str
    schema: int
    subject: str | None
    occurred_at: int
    recorded_at: int
    raw: bytes
    raw_meta: bytes
    content_hash: bytes
    leaf_hash: bytes
    data: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Everything the judge looks at."""

    acks: list[dict[str, Any]]
    log_id: int
    events: list[Event]
    transfers: list[dict[str, Any]] = field(default_factory=list)
    messages: list[dict[str, Any]] = field(default_factory=list)
    dossiers: list[dict[str, Any]] = field(default_factory=list)
    history: list[dict[str, Any]] = field(default_factory=list)
    mechanics: dict[str, Any] = field(default_factory=dict)

    def of(self, kind: str) -> list[Event]:
        """Return the events of one type."""
        return [event for event in self.events if event.type == kind]


def canonical(value: object) -> bytes:
    """Return RFC 8785 bytes for what the log allows: no floats, ASCII keys."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def order(seen: Evidence) -> Iterator[str]:
    """Dense positions, contiguous versions, time that never falls."""
    versions: Counter[str] = Counter()
    for place, event in enumerate(seen.events, start=1):
        versions[event.stream] += 1
        if event.position != place:
            yield f"position {event.position} stands at place {place}"
            return
        if event.version != versions[event.stream]:
            yield f"{event.stream} jumps to version {event.version}"
    for before, after in pairwise(seen.events):
        if after.recorded_at < before.recorded_at:
            yield f"recorded_at falls at position {after.position}"


def hashes(seen: Evidence) -> Iterator[str]:
    """Content and leaf hash of every event, from its fields."""
    for event in seen.events:
        content = {
            "data": event.data, "event_id": event.event_id, "log_id": seen.log_id,
            "meta": json.loads(event.raw_meta), "occurred_at": event.occurred_at,
            "schema": event.schema, "stream": event.stream, "subject": event.subject,
            "type": event.type, "version": event.version,
        }  # fmt: skip
        digest = hashlib.sha256(canonical(content)).digest()
        stamp = event.recorded_at.to_bytes(8, "big", signed=True)
        if canonical(event.data) != event.raw:
            yield f"data at position {event.position} is not canonical"
        if digest != event.content_hash:
            yield f"content hash at position {event.position}"
        if hashlib.sha256(b"\x00" + digest + stamp).digest() != event.leaf_hash:
            yield f"leaf hash at position {event.position}"


_KEPT: Final = {
    "deposited": ("kiosk.dossier_deposited", "dossier.registered"),
    "paid": ("payment.settled",),
    "accepted": ("dossier.accepted",),
    "completed": ("dossier.completed",),
    "loaded": ("kiosk.result_loaded", "dossier.ready"),
    "collected": ("kiosk.result_released", "dossier.returned"),
}
"""What a client was told → events of the dossier that must stand in the log exactly once."""


def promises(seen: Evidence) -> Iterator[str]:
    """Whatever a client was told stands in the log, once."""
    counts = Counter((event.subject, event.type) for event in seen.events)
    codes = {event.subject: event.data["code"] for event in seen.of("dossier.accepted")}
    for ack in seen.acks:
        for kind in _KEPT.get(ack["what"], ()):
            if counts[ack["dossier"], kind] != 1:
                found = counts[ack["dossier"], kind]
                yield f"{ack['what']} {ack['dossier']}: {kind} stands {found} times in the log"
        if ack["what"] == "accepted" and codes.get(ack["dossier"]) != ack["code"]:
            yield f"accepted {ack['dossier']}: told {ack['code']}, log {codes.get(ack['dossier'])}"


def effects(seen: Evidence) -> Iterator[str]:
    """No effect twice, whoever asked for it and however often."""
    once = (
        "dossier.registered", "dossier.accepted", "dossier.completed", "dossier.ready",
        "dossier.returned", "payment.requested", "payment.settled", "grant.release_issued",
    )  # fmt: skip
    for (subject, kind), count in Counter((e.subject, e.type) for e in seen.events).items():
        if kind in once and count > 1:
            yield f"{kind} of {subject} stands {count} times"
    codes = Counter(event.data["code"] for event in seen.of("dossier.accepted"))
    pouches = Counter(event.data["pouch"] for event in seen.of("kiosk.dossier_deposited"))
    yield from (f"pouch {name} was taken in {n} times" for name, n in pouches.items() if n > 1)
    yield from (
        f"code {code} was given {count} times" for code, count in codes.items() if count > 1
    )


def money(seen: Evidence) -> Iterator[str]:
    """Every đồng of the bank's and the validator's books is in exactly one place of ours."""
    received = {e.data["reference"]: e.data["amount_vnd"] for e in
                seen.of("payment.bank_credit_received")}  # fmt: skip
    booked = {row["reference"]: row["amount"] for row in seen.transfers}
    if received != booked:
        yield f"bank credits: ours {received}, the bank's {booked}"
    matched = Counter(e.data["reference"] for e in seen.of("payment.bank_credit_matched"))
    unmatched = Counter(e.stream.rpartition(".")[2] for e in
                        seen.of("payment.bank_credit_unmatched"))  # fmt: skip
    for reference in booked:
        if matched[reference] + unmatched[reference] != 1:
            yield f"bank credit {reference} is placed {matched[reference]} times"
    yield from _notes(seen)
    settled = {event.subject for event in seen.of("payment.settled")}
    for event in seen.of("payment.bank_credit_matched"):
        if event.subject not in settled:
            yield f"bank credit {event.data['reference']} pays {event.subject}, never settled"
    yield from _told_money(seen)
    yield from _ledger(seen)


def _notes(seen: Evidence) -> Iterator[str]:
    """Each note of the box is journalled, and booked once: for its dossier, or as nobody's."""
    notes = []
    for journalled, booked in (
        ("kiosk.cash_note_credited", "payment.cash_credited"),
        ("kiosk.cash_note_unplaced", "payment.cash_unplaced"),
    ):
        times = Counter(event.data["note_event"] for event in seen.of(booked))
        for event in seen.of(journalled):
            notes.append(event.data["denomination_vnd"])
            if times[event.event_id] != 1:
                yield f"note {event.event_id}: {booked} {times[event.event_id]} times"
    if sorted(notes) != sorted(seen.mechanics["box"]):
        yield f"notes: journalled {sorted(notes)}, in the box {sorted(seen.mechanics['box'])}"


def _told_money(seen: Evidence) -> Iterator[str]:
    """What a payer was told stands at the payer's own dossier; a repeated note may be more."""
    placed = {(e.subject, e.data["reference"]) for e in seen.of("payment.bank_credit_matched")}
    notes = Counter((e.subject, e.data["denomination_vnd"]) for e in
                    seen.of("payment.cash_credited"))  # fmt: skip
    for ack in seen.acks:
        dossier = ack.get("dossier")
        if ack["what"] == "transferred" and (dossier, ack["reference"]) not in placed:
            yield f"transfer {ack['reference']} does not pay for {dossier}"
        told = Counter((dossier, note) for note in ack.get("notes", ()))
        yield from (f"note of {note} is not credited to {of}" for of, note in told - notes)


def _ledger(seen: Evidence) -> Iterator[str]:
    given: Counter[str | None] = Counter()
    for event in seen.of("payment.cash_credited"):
        given[event.subject] += event.data["denomination_vnd"]
    for event in seen.of("payment.bank_credit_matched"):
        given[event.subject] += event.data["amount_vnd"]
    accounts: Counter[str] = Counter(advance=sum(given.values()))
    for event in seen.of("payment.settled"):
        fee, extra = event.data["amount_vnd"], given[event.subject] - event.data["amount_vnd"]
        if event.data["paid_vnd"] != fee + event.data["overpaid_vnd"] or extra < 0:
            yield f"settlement of {event.subject} does not add up"
        accounts["advance"] -= fee + extra
        accounts["fees"] += fee
        accounts["overpaid"] += extra
    unmatched = {event.stream for event in seen.of("payment.bank_credit_unmatched")}
    accounts["unplaced"] = sum(
        event.data["amount_vnd"]
        for event in seen.of("payment.bank_credit_received")
        if event.stream in unmatched
    )
    placed = {event.data["reference"] for event in seen.of("payment.bank_credit_matched")}
    accounts["unplaced"] += sum(
        event.data["denomination_vnd"]
        for event in seen.of("payment.cash_unplaced")
        if event.data["note_event"] not in placed
    )
    outside = sum(row["amount"] for row in seen.transfers) + sum(seen.mechanics["box"])
    if sum(accounts.values()) != outside:
        yield f"ledger: {dict(accounts)} is not the {outside} of the outside world"


def words(seen: Evidence) -> Iterator[str]:
    """Each message went out once, or its outcome is recorded as unknown."""
    theirs = Counter(row["id"] for row in seen.messages)
    ours = Counter(event.data["provider_message"] for event in seen.of("notification.accepted"))
    unknown = {event.stream for event in seen.of("notification.outcome_unknown")}
    yield from (f"message {name} is nowhere at the SMS centre" for name in ours - theirs)
    if len(theirs) - len(ours) > len(unknown):
        yield f"{len(theirs)} messages went out, {len(ours)} accepted, {len(unknown)} unknown"
    texts = Counter((row["destination"], row["text"]) for row in seen.messages)
    yield from (f"a text went out {n} times to one phone" for n in texts.values() if n > 1)
    yield from _announced(seen)
    without = [ack["dossier"] for ack in seen.acks if ack["what"] == "no_code"]
    if len(without) > len(unknown):
        yield f"no code for {without}, and only {len(unknown)} unknown outcomes"


def _announced(seen: Evidence) -> Iterator[str]:
    """Each acceptance and each stored grant calls for one message; each message has an outcome."""
    calls = Counter(event.subject for event in seen.of("dossier.accepted"))
    calls += Counter(event.data["dossier"] for event in seen.of("kiosk.grant_stored"))
    asked = Counter(event.subject for event in seen.of("notification.requested"))
    for dossier in {*calls, *asked}:
        if calls[dossier] != asked[dossier]:
            yield f"{dossier} calls for {calls[dossier]} messages, {asked[dossier]} were asked"
    last = {event.stream: event.type for event in seen.events}
    for event in seen.of("notification.requested"):
        if last[event.stream] in {"notification.requested", "notification.attempted"}:
            yield f"{event.stream} has no outcome: {last[event.stream]}"


def portal(seen: Evidence) -> Iterator[str]:
    """The one-stop system knows what we say it acknowledged; 9 → 10 once."""
    ours: dict[str, int] = {event.data["code"]: 2 for event in seen.of("dossier.accepted")}
    twice: Counter[str] = Counter()
    for event in seen.of("dossier.reported"):
        ours[event.data["code"]] = event.data["status"]
        twice[event.data["code"]] += event.data["status"] == RETURNED
    theirs = {row["code"]: row["status"] for row in seen.dossiers}
    for code in sorted({*ours, *theirs}):
        if ours.get(code) != theirs.get(code):
            yield f"{code}: acknowledged {ours.get(code)}, their book says {theirs.get(code)}"
    tens = Counter(row["code"] for row in seen.history if row["status"] == RETURNED)
    yield from (f"{code}: 9 → 10 booked {count} times" for code, count in tens.items()
                if count > max(1, twice[code]))  # fmt: skip
    told = {ack["code"] for ack in seen.acks if ack["what"] == "reported"}
    yield from (f"{code}: told 10, not in their book" for code in told - set(tens))


def custody(seen: Evidence) -> Iterator[str]:
    """Each pouch and each result in exactly one place; what is unknown is recorded so."""
    pouches = _in_the_bin(seen)
    if pouches != sorted(seen.mechanics["bin"]):
        yield f"pouches: journalled {pouches}, in the bin {sorted(seen.mechanics['bin'])}"
    inside: Counter[str] = Counter()
    for event in seen.of("kiosk.result_loaded"):
        inside[str(event.data["cell"])] += 1
    for event in seen.of("kiosk.result_released") + seen.of("kiosk.result_recalled"):
        inside[str(event.data["cell"])] -= 1
    full = sorted(cell for cell, full in seen.mechanics["cells"].items() if full)
    if sorted((+inside).elements()) != full or -inside:
        yield f"cells: journalled {dict(inside)}, full {full}"


def _in_the_bin(seen: Evidence) -> list[str]:
    pouches: list[str] = []
    for event in seen.events:
        if event.type == "kiosk.dossier_deposited":
            pouches.append(event.data["pouch"])
        elif event.type == "kiosk.bin_emptied":
            pouches = []
    return sorted(pouches)


CHECKS: Final[dict[str, Callable[[Evidence], Iterator[str]]]] = {
    "order of the log": order, "hashes": hashes, "promises to clients": promises,
    "effects once": effects, "money": money, "messages": words, "one-stop system": portal,
    "custody": custody,
}  # fmt: skip


def judge(seen: Evidence) -> dict[str, list[str]]:
    """Return what is wrong, by check; empty lists are good news."""
    return {name: list(check(seen)) for name, check in CHECKS.items()}


def read_log(url: str, log_id: int) -> list[Event]:
    """Read the whole log with plain SQL."""
    query = f"select {COLUMNS} from eventlog.event where log_id = %s order by pos"  # noqa: S608
    with psycopg.connect(url, connect_timeout=5) as connection:
        rows = connection.execute(query, (log_id,)).fetchall()
    return [Event(row[0], str(row[1]), *(*row[2:], json.loads(row[9]))) for row in rows]


def read_book(path: Path, table: str) -> list[dict[str, Any]]:
    """Read one table of an outside book, without touching it."""
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as connection:
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute(f"select * from {table}")]  # noqa: S608


def gather(options: argparse.Namespace) -> Evidence:
    """Read everything once."""
    lines = options.acks.read_text(encoding="utf-8").splitlines()
    return Evidence(
        acks=[json.loads(line) for line in lines],
        log_id=options.log_id,
        events=read_log(options.database_url, options.log_id),
        transfers=read_book(options.books / "bank.db", "transfer"),
        messages=read_book(options.books / "smsc.db", "message"),
        dossiers=read_book(options.books / "one_stop.db", "dossier"),
        history=read_book(options.books / "one_stop.db", "history"),
        mechanics=json.loads(options.mechanics.read_text(encoding="utf-8")),
    )


def table(verdict: Mapping[str, Sequence[str]]) -> str:
    """Return the verdict for people: a line a check, below it what is wrong."""
    lines = []
    for name, found in verdict.items():
        lines.append(f"{name:<22} {f'{len(found)} WRONG' if found else 'agrees'}")
        lines += [f"    {each[:300]}" for each in found[:20]]
    return "\n".join(lines)


def main(words_: list[str]) -> int:
    """Judge until nothing is wrong or patience ends; print the verdict as JSON."""
    parser = argparse.ArgumentParser(prog="python -m infra.judge", description=__doc__)
    parser.add_argument("--acks", type=Path, required=True, help="what clients were told")
    parser.add_argument("--database-url", required=True, help="the log, as motcua_audit")
    parser.add_argument("--log-id", type=int, required=True)
    parser.add_argument("--books", type=Path, required=True, help="folder of the outside's books")
    parser.add_argument("--mechanics", type=Path, required=True, help="the machine's insides")
    parser.add_argument("--patience", type=float, default=60.0, help="seconds for late effects")
    options = parser.parse_args(words_)
    deadline = time.monotonic() + options.patience
    while True:
        seen = gather(options)
        verdict = judge(seen)
        if not any(verdict.values()) or time.monotonic() > deadline:
            break
        time.sleep(1)
    unknown = Counter(e.type for e in seen.events if e.type.endswith("_unknown"))
    report = {
        "events": len(seen.events), "acknowledgements": len(seen.acks), "unknown": dict(unknown),
        "wrong": {name: found for name, found in verdict.items() if found},
    }  # fmt: skip
    print(json.dumps(report, indent=1, ensure_ascii=False))
    print(table(verdict), file=sys.stderr)
    return 1 if report["wrong"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
