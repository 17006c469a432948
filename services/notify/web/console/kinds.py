# SPDX-License-Identifier: Apache-2.0
"""Pages about types of events: what each tells, its schema and an example."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from flask import Blueprint, Flask, Response, g
from werkzeug.exceptions import NotFound

from services.common import contracts
from services.common.contracts.json_schema import schema_of
from services.common.contracts.registry import EventContract
from services.common.web.rendering import render

_SAYS: Final = {"vi": "x-vi", "en": "description"}


def kind_pages(blueprint: Blueprint) -> None:
    """Add the pages."""

    def types() -> Response:
        """List every type there is, in its newest version."""
        names = sorted({contract.type for contract in contracts.all_contracts()})
        return render("subscribers/types.html", found=[contracts.newest(name) for name in names])

    def kind(wire_name: str) -> Response:
        """Show one version: what it tells, its fields, an example, the schema."""
        every = {contract.wire_name: contract for contract in contracts.all_contracts()}
        if wire_name not in every:
            raise NotFound("there is no such type of event")
        contract = every[wire_name]
        schema = schema_of(contract)
        return render(
            "subscribers/type.html", contract=contract, schema=schema, says=_SAYS[g.language],
            fields=list(_rows(schema, "")), example=_text(contract.example()), text=_text(schema),
            versions=_versions(contract, every), is_newest=_is_newest(contract),
        )  # fmt: skip

    blueprint.add_url_rule("/types", "types", types)
    blueprint.add_url_rule("/types/<wire_name>", "type", kind)


def install_kinds(app: Flask) -> None:
    """Let every template name the newest version of a type."""
    app.context_processor(lambda: {"newest": lambda name: contracts.newest(name).wire_name})


def _versions(contract: EventContract, every: Mapping[str, EventContract]) -> list[EventContract]:
    return [one for one in every.values() if one.type == contract.type]


def _is_newest(contract: EventContract) -> bool:
    return contracts.newest(contract.type) is contract


def _rows(schema: Mapping[str, Any], above: str) -> Iterator[tuple[str, str, str, bool]]:
    """Yield path, form, meaning and whether it must be there, of every field and inner field."""
    required = schema.get("required", [])
    for name, field in schema.get("properties", {}).items():
        path = above + name
        yield path, _form(field), str(field[_SAYS[g.language]]), name in required
        if "x-personal" not in field:
            yield from _rows(field, f"{path}.")
            yield from _rows(field.get("items", {}), f"{path}[].")


def _form(field: Mapping[str, Any]) -> str:
    if "x-personal" in field:
        return "stub"
    kinds = field["type"] if isinstance(field["type"], list) else [field["type"]]
    words = [str(word) for word in field.get("enum", ()) if word is not None]
    form = " | ".join(words) if words else str(field.get("format", kinds[0]))
    unit = f" ({field['x-unit']})" if "x-unit" in field else ""
    return form + unit + (" | null" if "null" in kinds else "")


def _text(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2)
