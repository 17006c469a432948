# SPDX-License-Identifier: Apache-2.0
"""Personal data whose purpose is over: which they are, and why some are kept still.

The periods are data (``retention.json``): purpose, days since the last thing that happened with a
closed dossier, the reference that stands in each ``subject.erased``, and where the period comes
from. Nothing is remembered beside the log: what is due follows from it, so a run that broke off is
simply begun anew.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from importlib import resources
from pathlib import Path
from typing import Final
from uuid import UUID

from services.auditing.application.past import state_of
from services.common import contracts
from services.common.audit.subjects import ERASED, erased_keys, personal_fields
from services.common.clock import to_micros
from services.common.errors import Malformed, Problem
from services.common.eventlog.port import EventLog
from services.common.eventlog.record import RecordedEvent, category_of
from services.intake.application.facts import dossier_of
from services.intake.domain.transitions import CLOSED

DAYS_MAX: Final = 36_500
_PAGE: Final = 1_000
_NO_NEWS: Final = frozenset({"subject", "access"})
"""Categories that say something about personal data and nothing of the dossier's affairs."""
_PERSONAL: Final = frozenset(one.type for one in contracts.all_contracts() if one.personal)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """How long values are kept for one purpose.

    Attributes:
        days: since the last thing that happened with the dossier, which is closed.
        reference: number of the rule; stands in the log.
        source: the act it follows from, or who decided.
    """

    days: int
    reference: str
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """What is over for one dossier.

    Attributes:
        dossier: its id.
        purposes: for which its values were kept.
        kept: why they are kept still: ``dossier_open``, ``money_owed``, ``custody_case``; empty
            where nothing holds them.
    """

    dossier: str
    purposes: tuple[str, ...]
    kept: str = ""


@dataclass(slots=True)
class _Holding:
    last_us: int = 0
    keys: dict[UUID, str] = field(default_factory=dict)


def purposes_in_use() -> frozenset[str]:
    """Return every purpose that a contract keeps a value for."""
    return frozenset(
        purpose for one in contracts.all_contracts() for purpose in one.personal.values()
    )


def read_rules(path: Path | None = None) -> dict[str, Rule]:
    """Return the rules by purpose, ours where no other file is named.

    Raises:
        Malformed: a rule is wrong, or a purpose that is in use has none.
        OSError: the file cannot be read.
    """
    ours = resources.files("infra").joinpath("retention.json")
    text = (ours if path is None else path).read_text(encoding="utf-8")
    try:
        rules = {name: Rule(**said) for name, said in json.loads(text).items()}
        for name, rule in rules.items():
            assert isinstance(rule.days, int), f"{name}: days is a whole number"
            assert 0 < rule.days <= DAYS_MAX, f"{name}: days are 1 to {DAYS_MAX}"
            assert rule.source, f"{name}: its source is said"
            assert rule.reference, f"{name}: its reference is said"
        missing = sorted(purposes_in_use() - rules.keys())
        assert not missing, f"no rule for {', '.join(missing)}"
    except (ValueError, TypeError, AttributeError, AssertionError) as error:
        found = Problem("rules", "malformed", str(error), f"quy tắc lưu giữ sai: {error}")
        raise Malformed("retention rules", (found,)) from error
    return rules


def due_at(log: EventLog, rules: Mapping[str, Rule], now: datetime) -> Iterator[Due]:
    """Yield, oldest dossier first, whose personal values were kept long enough at ``now``.

    Reads the whole log once, then the stories of those that are due.

    Raises:
        Unavailable: the log is down; begin anew.
    """
    before = {
        purpose: to_micros(now - timedelta(days=rule.days)) for purpose, rule in rules.items()
    }
    for dossier, held in _held(log).items():
        purposes = sorted(
            {one for one in held.keys.values() if one in before and held.last_us <= before[one]}
        )
        if purposes:
            kept = why_kept(log, dossier, log.read_subject(dossier))
            yield Due(dossier=dossier, purposes=tuple(purposes), kept=kept)


def _held(log: EventLog) -> dict[str, _Holding]:
    """Return, by dossier, the keys that no erasure names yet and when something happened last."""
    found: dict[str, _Holding] = {}
    after = 0
    # Whoever has left the database has nothing personal any more (ADR-0028).
    while page := log.read_all(after, limit=_PAGE, present_only=True):
        for event in page:
            if event.subject is None:
                continue
            held = found.setdefault(event.subject, _Holding())
            if category_of(event.stream) not in _NO_NEWS:
                held.last_us = event.recorded_at_us
            if event.type in _PERSONAL:
                held.keys |= {one.key: one.purpose for one in personal_fields([event])}
            elif event.type == ERASED:
                held.keys = {k: p for k, p in held.keys.items() if k not in erased_keys([event])}
        after = page[-1].position
    return {dossier: held for dossier, held in found.items() if held.keys}


def why_kept(log: EventLog, dossier: str, story: Sequence[RecordedEvent]) -> str:
    """Return what is still open about a dossier (see ``Due.kept``); empty where it is over."""
    if dossier_of(log, dossier).status not in CLOSED:
        return "dossier_open"
    state = state_of(story)
    if any(state.get(f"payment.{name}") for name in ("owed", "overpaid", "advance")):
        return "money_owed"
    opened = {e.data["case"] for e in story if e.type == "office.custody_case_opened"}
    ended = {e.data["case"] for e in story if e.type == "office.custody_case_closed"}
    return "custody_case" if opened - ended else ""
