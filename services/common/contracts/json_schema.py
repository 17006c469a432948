# SPDX-License-Identifier: Apache-2.0
"""JSON Schema (draft 7) of every contract: what subscribers may rely on.

The schemas say what travels: personal fields are stubs, money is whole đồng. They are open, that
is, a field they do not name is no error: subscribers ignore what they do not know, and the next
release may add it. Producers are strict (``registry``). Besides the standard words:

``x-vi``        the description in Vietnamese
``x-unit``      unit of a number
``x-personal``  purpose of the personal value whose stub this is
``x-open``      the list of words may grow
"""

import inspect
from collections.abc import Mapping
from typing import Any, Final

from marshmallow import fields, validate

from services.common.canonical import Json
from services.common.contracts import values as v
from services.common.contracts.event_meanings import TOLD_VI
from services.common.contracts.field_meanings import MEANINGS, key_of
from services.common.contracts.registry import EventContract, SchemaClass, StubSchema

JsonSchema = dict[str, Json]

DRAFT: Final = "http://json-schema.org/draft-07/schema#"
UUID: Final = "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"
INSTANT: Final = (
    "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}"
    r"(\.[0-9]{1,6})?(Z|[+-][0-9]{2}:[0-9]{2})$"
)
DAY: Final = "^[0-9]{4}-[0-9]{2}-[0-9]{2}$"
UNITS: Final = {"_vnd": "VND", "_days": "day"}
"""Unit by the end of a field's name; everything else is counted in pieces."""

_FORMS: Final[Mapping[type[fields.Field[Any]], JsonSchema]] = {
    v.Id: {"type": "string", "format": "uuid", "pattern": UUID},
    v.Instant: {"type": "string", "format": "date-time", "pattern": INSTANT},
    v.Day: {"type": "string", "format": "date", "pattern": DAY},
    v.Flag: {"type": "boolean"},
    fields.String: {"type": "string"},
    fields.Integer: {"type": "integer"},
    fields.List: {"type": "array"},
    fields.Dict: {"type": "object"},
}


def schema_of(contract: EventContract) -> JsonSchema:
    """Return the schema of ``contract``'s data, with descriptions in both languages."""
    inner = _object(contract, contract.fields, "")
    return {
        "$schema": DRAFT,
        "$id": f"urn:motcua247:{contract.wire_name}",
        "title": contract.en,
        "x-title-vi": contract.vi,
        "description": told_en(contract),
        "x-vi": told_vi(contract),
        **inner,
    }


def told_en(contract: EventContract) -> str:
    """Return what the event tells, in English."""
    text = inspect.getdoc(contract.fields)
    assert text, "every schema has a docstring"
    return " ".join(text.replace("``", "`").split())


def told_vi(contract: EventContract) -> str:
    """Return what the event tells, in Vietnamese."""
    assert contract.wire_name in TOLD_VI, f"event_meanings.py lacks {contract.wire_name}"
    return TOLD_VI[contract.wire_name]


def meaning_keys(contract: EventContract) -> set[str]:
    """Return the keys of ``MEANINGS`` that the contract's fields use."""
    return {key_of(contract.type, path) for path in _paths(contract.fields, "")}


def _paths(schema: SchemaClass, above: str) -> list[str]:
    found = []
    for name, field in schema().fields.items():
        inner = _nested(field)
        path = name if inner is None and schema is StubSchema else above + name
        found.append(path)
        found += [] if inner is None else _paths(inner, f"{path}.")
    return found


def _nested(field: fields.Field[Any]) -> SchemaClass | None:
    if isinstance(field, fields.List):
        return _nested(field.inner)
    return type(field.schema) if isinstance(field, fields.Nested) else None


def _object(contract: EventContract, schema: SchemaClass, above: str) -> JsonSchema:
    known = schema().fields
    return {
        "type": "object",
        "properties": {name: _property(contract, f, above + name) for name, f in known.items()},
        "required": [name for name, field in known.items() if field.required],
    }


def _property(contract: EventContract, field: fields.Field[Any], path: str) -> JsonSchema:
    key = key_of(contract.type, path)
    assert key in MEANINGS, f"field_meanings.py lacks {path} (of {contract.wire_name})"
    meaning = MEANINGS[key]
    unit = next((unit for end, unit in UNITS.items() if path.endswith(end)), None)
    said = meaning if field.allow_none else [_never_null(text) for text in meaning]
    return {
        **_form(contract, field, path),
        "description": said[0],
        "x-vi": said[1],
        **({} if unit is None else {"x-unit": unit}),
        **({"x-personal": contract.personal[path]} if path in contract.personal else {}),
    }


def _never_null(text: str) -> str:
    """Leave out what null means where it cannot be."""
    said, null, _ = text.partition("; null ")
    return f"{said}." if null else text


def _form(contract: EventContract, field: fields.Field[Any], path: str) -> JsonSchema:
    if isinstance(field, fields.Nested):
        inner = type(field.schema)
        above = "" if inner is StubSchema else f"{path}."
        form = _object(contract, inner, above)
    else:
        form = dict(_FORMS[type(field)])
    if isinstance(field, fields.List):
        form["items"] = _form(contract, field.inner, path)
    if isinstance(field, fields.Dict):
        assert field.value_field is not None, "a contract says what a map holds"
        form["additionalProperties"] = _form(contract, field.value_field, path)
    for validator in field.validators:
        form.update(_limits(validator, "Items" if isinstance(field, fields.List) else "Length"))
    if field.metadata.get("open"):
        form["x-open"] = True
    return _or_null(form) if field.allow_none else form


def _or_null(form: JsonSchema) -> JsonSchema:
    words = form.get("enum")
    listed: JsonSchema = {"enum": [*words, None]} if isinstance(words, list) else {}
    return {**form, "type": [form["type"], "null"], **listed}


def _limits(found: object, length: str) -> JsonSchema:
    """Say a validator in the words of JSON Schema; one that has none is a programmer's error."""
    limits: JsonSchema
    match found:
        case validate.Range(min_inclusive=True, max_inclusive=True):
            limits = {"minimum": found.min, "maximum": found.max}
        case validate.Length(equal=None):
            limits = {f"min{length}": found.min, f"max{length}": found.max}
        case validate.Regexp():
            limits = {"pattern": str(found.regex.pattern).replace(r"\Z", "$")}
        case validate.OneOf():
            limits = {"enum": list(found.choices)}
        case _:
            raise AssertionError(f"no words for {found!r}")
    return {word: value for word, value in limits.items() if value is not None}
