# SPDX-License-Identifier: Apache-2.0
"""The gate of the published language: what subscribers were promised is not broken.

``released.json`` holds schema and example of every version ever published. Against it every
difference is a ``Break`` with its rule, but for two that harm nobody: a further optional field in
the newest version of a type, and a further word in a list that is marked open. Everything else
needs a new version, with an upcaster from the one before.

rule               refuses
``version_removed``    a version that was published is gone
``version_skipped``    a new version that does not follow the last one
``version_frozen``     any change of a version that has a successor
``upcaster``           a version with a successor cannot be lifted, or its example is not accepted
``example``            a published example is gone or changed, or a schema does not take its own
``field_removed``      a field is gone
``field_required``     a new field that must be there, or another duty to be there
``type``               another type, form, pattern or bound, or null where there was none
``unit``               another unit
``meaning``            another description (see ``release`` for better words)
``personal``           a field became personal, or is so no longer, or for another purpose
``words``              a word more in a closed list, or a word less in any
``name_reused``        a name of an earlier version that means something else now
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from services.common import contracts
from services.common.canonical import Json
from services.common.contracts.json_schema import JsonSchema, schema_of
from services.common.contracts.registry import EventContract
from services.common.errors import Malformed

FILE: Final = Path(contracts.__file__).with_name("released.json")
_TYPE: Final = (
    "type", "format", "pattern", "minimum", "maximum", "minLength", "maxLength", "minItems",
    "maxItems", "additionalProperties",
)  # fmt: skip
_MEANING: Final = ("description", "x-vi")
_TITLES: Final = ("title", "x-title-vi")

Entry = Mapping[str, Any]
"""``schema`` and ``example`` of one version."""
Language = Mapping[str, Entry]
"""Entries by wire name."""


@dataclass(frozen=True, slots=True, order=True)
class Break:
    """One promise that is broken; ``field`` is a dotted path, or empty for the event itself."""

    event: str
    field: str
    rule: str
    detail: str

    def __str__(self) -> str:
        """Name event, field and rule in one line."""
        place = f"{self.event}.{self.field}" if self.field else self.event
        return f"{place}: {self.rule}: {self.detail}"


def spoken() -> dict[str, Entry]:
    """Return the language as the code speaks it."""
    return {
        contract.wire_name: {"schema": schema_of(contract), "example": contract.example()}
        for contract in contracts.all_contracts()
    }


def released() -> dict[str, Entry]:
    """Return the language as it was published."""
    language: dict[str, Entry] = json.loads(FILE.read_text(encoding="utf-8"))
    return language


def released_text(language: Language) -> str:
    """Return the text of ``released.json``: one line for each version, sorted."""
    lines = [
        f"{json.dumps(name)}: {json.dumps(language[name], ensure_ascii=False, sort_keys=True)}"
        for name in sorted(language)
    ]
    return "{\n" + ",\n".join(lines) + "\n}\n"


def compare(
    before: Language, now: Language, *, reworded: frozenset[str] = frozenset()
) -> list[Break]:
    """Return every promise of ``before`` that ``now`` breaks.

    Args:
        before: what was published.
        now: what is to be published.
        reworded: events whose descriptions only say the same in better words.
    """
    found = [
        Break(name, "", "version_removed", "it was published and must stay readable for ever")
        for name in before.keys() - now.keys()
    ]
    for name in before.keys() & now.keys():
        found += _changed(name, before, now)
    for name in now.keys() - before.keys():
        found += _added(name, before, now)
    return sorted(one for one in found if one.rule != "meaning" or one.event not in reworded)


def broken(*, reworded: frozenset[str] = frozenset()) -> list[Break]:
    """Return every promise that today's code breaks, reading of what was ever written included."""
    before, now = released(), spoken()
    return compare(before, now, reworded=reworded) + unreadable(
        {name: entry for name, entry in {**now, **before}.items() if name in now}
    )


def unreadable(language: Language) -> list[Break]:
    """Return the examples of ``language`` that today's code cannot read or lift to the newest."""
    found = []
    for name, entry in language.items():
        event_type, version = split(name)
        try:
            contract = contracts.lookup(event_type, version)
            contract.check(entry["example"])
        except Malformed as error:
            found.append(Break(name, "", "example", str(error)))
            continue
        found += _unlifted(contract, entry["example"])
    return sorted(found)


def split(wire_name: str) -> tuple[str, int]:
    """Return type and version of ``dossier.accepted.v1``."""
    event_type, _, version = wire_name.rpartition(".v")
    return event_type, int(version)


def _unlifted(contract: EventContract, example: Mapping[str, Json]) -> Iterator[Break]:
    last = contracts.newest(contract.type)
    if contract is not last and contract.upcast is None:
        yield Break(contract.wire_name, "", "upcaster", f"nothing lifts it to {last.wire_name}")
        return
    try:
        last.check(contracts.current(contract.type, contract.schema, example))
    except (Malformed, KeyError) as error:
        yield Break(contract.wire_name, "", "upcaster", f"its example, lifted: {error}")


def _changed(name: str, before: Language, now: Language) -> Iterator[Break]:
    old, new = before[name]["schema"], now[name]["schema"]
    if before[name]["example"] != now[name]["example"]:
        yield Break(name, "", "example", "a published example is never edited")
    event_type, version = split(name)
    if _mute(old) != _mute(new) and f"{event_type}.v{version + 1}" in before:
        yield Break(name, "", "version_frozen", f"version {version + 1} was published after it")
    if any(old.get(word) != new.get(word) for word in (*_TITLES, *_MEANING)):
        yield Break(name, "", "meaning", "it is described differently")
    yield from _objects(name, "", old, new)
    for path, one in _fields(new):
        if path not in dict(_fields(old)):
            yield from _reused(name, path, one, before)


def _objects(name: str, above: str, old: JsonSchema, new: JsonSchema) -> Iterator[Break]:
    """Compare the fields of two objects."""
    was, is_ = _mapping(old.get("properties")), _mapping(new.get("properties"))
    must, must_now = _words(old.get("required")), _words(new.get("required"))
    for field in was.keys() - is_.keys():
        yield Break(name, above + field, "field_removed", "it was published")
    for field in is_.keys() - was.keys():
        if field in must_now:
            yield Break(name, above + field, "field_required", "a new field must be optional")
    for field in was.keys() & is_.keys():
        if (field in must) != (field in must_now):
            yield Break(name, above + field, "field_required", "its duty to be there changed")
        yield from _values(name, above + field, was[field], is_[field])


def _values(name: str, path: str, old: JsonSchema, new: JsonSchema) -> Iterator[Break]:
    """Compare two values of one field."""
    for word in _TYPE:
        if old.get(word) != new.get(word):
            yield Break(name, path, "type", f"{word}: {old.get(word)} became {new.get(word)}")
    if old.get("x-unit") != new.get("x-unit"):
        detail = f"{old.get('x-unit')} became {new.get('x-unit')}"
        yield Break(name, path, "unit", detail)
    if any(old.get(word) != new.get(word) for word in _MEANING):
        yield Break(name, path, "meaning", f"{old.get('description')} → {new.get('description')}")
    if old.get("x-personal") != new.get("x-personal"):
        yield Break(name, path, "personal", f"{old.get('x-personal')} → {new.get('x-personal')}")
    yield from _lists(name, path, old, new)
    yield from _objects(name, f"{path}.", old, new)
    if isinstance(old.get("items"), dict) and isinstance(new.get("items"), dict):
        yield from _values(name, path, _mapping(old["items"]), _mapping(new["items"]))
    elif old.get("items") != new.get("items"):
        yield Break(name, path, "type", "what the list holds changed")


def _lists(name: str, path: str, old: JsonSchema, new: JsonSchema) -> Iterator[Break]:
    if ("enum" in old) != ("enum" in new):
        yield Break(name, path, "words", "a list of words came or went")
    if bool(old.get("x-open")) != bool(new.get("x-open")):
        yield Break(name, path, "words", "whether the list is open changed")
    was, is_ = _words(old.get("enum")), _words(new.get("enum"))
    if gone := sorted(map(str, was - is_)):
        yield Break(name, path, "words", f"gone: {', '.join(gone)}")
    if (more := sorted(map(str, is_ - was))) and "enum" in old and not old.get("x-open"):
        yield Break(name, path, "words", f"the list is closed; new: {', '.join(more)}")


def _added(name: str, before: Language, now: Language) -> Iterator[Break]:
    event_type, version = split(name)
    last = max([0, *(split(one)[1] for one in before if split(one)[0] == event_type)])
    if (version > 1 and f"{event_type}.v{version - 1}" not in now) or version <= last:
        yield Break(name, "", "version_skipped", f"the last one was {last}")
    for path, new in _fields(now[name]["schema"]):
        yield from _reused(name, path, new, before)


def _reused(name: str, path: str, new: JsonSchema, before: Language) -> Iterator[Break]:
    """Say where a published version of the same type used this name for something else."""
    event_type, _ = split(name)
    for other, entry in before.items():
        old = dict(_fields(entry["schema"])).get(path)
        if other == name or split(other)[0] != event_type or old is None:
            continue
        same = _kind(old) == _kind(new) and all(
            old.get(word) == new.get(word) for word in ("x-unit", "x-personal")
        )
        if not same or _plain(old) != _plain(new):
            yield Break(name, path, "name_reused", f"in {other} it is something else")


def _fields(schema: JsonSchema, above: str = "") -> Iterator[tuple[str, JsonSchema]]:
    for field, inner in _mapping(schema.get("properties")).items():
        yield above + field, inner
        yield from _fields(inner, f"{above}{field}.")
        yield from _fields(_mapping(inner.get("items")), f"{above}{field}.")


def _kind(schema: JsonSchema) -> tuple[Json, Json]:
    """Return type and form without null, which a later version may add."""
    kind = schema.get("type")
    return (kind[0] if isinstance(kind, list) else kind), schema.get("format")


def _plain(schema: JsonSchema) -> str:
    """Return the meaning without what null stands for."""
    return str(schema.get("description")).partition("; null ")[0].removesuffix(".")


def _mute(value: Any) -> Any:
    """Return a schema without the texts that are for people only."""
    if isinstance(value, list):
        return [_mute(one) for one in value]
    if not isinstance(value, dict):
        return value
    texts = {*_MEANING, *_TITLES}
    return {
        key: _mute(one) for key, one in value.items() if not (key in texts and isinstance(one, str))
    }


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _words(value: Any) -> set[Any]:
    return set(value) if isinstance(value, list) else set()
