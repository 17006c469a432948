# SPDX-License-Identifier: Apache-2.0
"""How facts are shown: names, places, money, times and people in the reader's language."""

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, cast

from flask import Flask, g
from markupsafe import Markup

from services.common.canonical import Json
from services.common.clock import to_micros
from services.common.contracts.field_meanings import MEANINGS, key_of
from services.common.eventlog.record import RecordedEvent
from services.common.web import formats
from services.common.web.rendering import knows, say
from services.intake.domain.transitions import NAMES

NOTHING: Final = "—"
_TIMES: Final = frozenset({"dossier.due_at", "dossier.stopped_at", "at.recorded"})
_COUNTS: Final = frozenset({"dossier.procedure_version", "at.position"})
GROUPS: Final = ("dossier", "payment", "place", "message")
"""Families of names, in the order in which a state shows them."""


def what(name: str) -> str:
    """Return what a state calls ``name``: ``payment.owed`` → "Phải trả lại"."""
    family, _, rest = name.partition(".")
    if family == "message":
        template, _, number = rest.partition(".")
        return say("what.message", template=template, number=number)
    return say(f"what.{name}") if knows(f"what.{name}") else name


def value(name: str, fact: Json) -> str:
    """Return how a state shows the fact called ``name``."""
    if fact is None or fact == "":
        return NOTHING
    if isinstance(fact, bool):
        return say("value.yes" if fact else "value.no")
    family = name.partition(".")[0]
    if name == "dossier.status":
        return f"{fact} · {NAMES[cast('int', fact)][0 if g.language == 'en' else 1]}"
    if isinstance(fact, int):
        if family == "payment":
            return formats.money(g.language, fact)
        return formats.number(g.language, fact)
    if name in _TIMES:
        return formats.when(g.language, to_micros(datetime.fromisoformat(str(fact))))
    if family == "place":
        return place(str(fact))
    key = f"{family}.{fact}"
    return say(key) if knows(key) else str(fact)


def place(text: str) -> str:
    """Return where something is: ``cell:VT01/3`` → "ngăn 3, máy VT01"."""
    kind, _, rest = text.partition(":")
    where, _, number = rest.partition("/")
    if kind == "office":
        key = f"at.office.{number}"
        return say(key if knows(key) else "at.office", where=where)
    if kind in {"bin", "cell"} and number:
        return say(f"at.{kind}", where=where, number=number)
    key = f"at.{kind}"
    return say(key, where=where) if knows(key) else text


def who(actor: str) -> str:
    """Return who that is: ``official:cb001`` → "cán bộ cb001"."""
    kind, colon, name = actor.partition(":")
    if colon and knows(f"who.{kind}"):
        return say(f"who.{kind}", name=name)
    if not colon and "." in actor:
        return say("who.service", name=kind.partition(".")[0])
    return actor or NOTHING


def grouped(state: Mapping[str, Json]) -> list[tuple[str, list[tuple[str, Json]]]]:
    """Return a state by family, each with what is known of it; families without facts left out."""
    families = []
    for family in GROUPS:
        facts = [
            (name, fact) for name, fact in state.items()
            if name.startswith(f"{family}.") and name != "dossier.status_name"
        ]  # fmt: skip
        if facts:
            families.append((family, facts))
    return families


def meaning(event: RecordedEvent, field: str) -> str:
    """Return what a field of an event means; empty where its contract says nothing."""
    found = MEANINGS.get(key_of(event.type, field))
    return "" if found is None else found.en if g.language == "en" else found.vi


def written(fact: Json) -> str:
    """Return a field of an event as the log has it."""
    return fact if isinstance(fact, str) else json.dumps(fact, ensure_ascii=False)


def breakable(text: str) -> Markup:
    """Return an address or type that may be broken after a dot."""
    parts: Sequence[Markup] = [Markup.escape(part) for part in text.split(".")]
    return Markup(".<wbr>").join(parts)


def install_showing(app: Flask) -> None:
    """Give these to every template."""
    shown: dict[str, Callable[..., Any]] = {
        "what": what, "value": value, "who": who, "grouped": grouped, "meaning": meaning,
        "written": written, "breakable": breakable,
    }  # fmt: skip
    app.context_processor(lambda: dict(shown))
