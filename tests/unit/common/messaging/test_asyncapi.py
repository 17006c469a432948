# SPDX-License-Identifier: Apache-2.0
"""The AsyncAPI document is right by an independent judge, and says all that the topology does."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT7

from services.common import contracts
from services.common.messaging import asyncapi, topology
from services.common.messaging.envelope import parse
from tests.support.judge import judge

MADE = asyncapi.document("26.11.0")
ACCEPTED = "dossier.accepted.v1"


def no_such_action(document: dict[str, Any]) -> None:
    document["operations"][f"send.{ACCEPTED}"]["action"] = "publish"


def lost_channel(document: dict[str, Any]) -> None:
    del document["channels"][ACCEPTED]


def lost_message(document: dict[str, Any]) -> None:
    del document["components"]["messages"][ACCEPTED]


def no_title(document: dict[str, Any]) -> None:
    del document["info"]["title"]


def wrong_schema(document: dict[str, Any]) -> None:
    document["components"]["schemas"][ACCEPTED]["properties"]["code"]["type"] = "word"


def wrong_binding(document: dict[str, Any]) -> None:
    document["channels"][ACCEPTED]["bindings"]["amqp"]["exchange"]["type"] = "parcel"


WRONG: tuple[Callable[[dict[str, Any]], None], ...] = (
    no_such_action, lost_channel, lost_message, no_title, wrong_schema, wrong_binding,
)  # fmt: skip


def small() -> dict[str, Any]:
    """Return a copy with one event only, so that many can be judged."""
    document = copy.deepcopy(MADE)
    parts = document["components"]
    for table, name in (
        (document["channels"], ACCEPTED), (document["operations"], f"send.{ACCEPTED}"),
        (parts["messages"], ACCEPTED),
    ):  # fmt: skip
        for other in table.keys() - {name}:
            del table[other]
    for other in parts["schemas"].keys() - {ACCEPTED, "envelope"}:
        del parts["schemas"][other]
    return document


@pytest.fixture(scope="module")
def verdicts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """What the judge says about the document and about each spoilt copy, asked once."""
    folder = tmp_path_factory.mktemp("asyncapi")
    documents = {"right": MADE, "small": small()}
    for spoil in WRONG:
        documents[spoil.__name__] = small()
        spoil(documents[spoil.__name__])
    files = []
    for name, document in documents.items():
        files.append(folder / f"{name}.json")
        files[-1].write_text(asyncapi.text(document), encoding="utf-8")
    return dict(zip(documents, judge(files), strict=True))


def test_an_independent_validator_takes_it(verdicts: dict[str, dict[str, Any]]) -> None:
    """No complaint but that 3.1 exists."""
    for name in ("right", "small"):
        assert verdicts[name]["understood"]
        codes = {one["code"] for one in verdicts[name]["complaints"]}
        assert codes <= {"asyncapi-latest-version"}


@pytest.mark.parametrize("spoil", WRONG, ids=lambda spoil: spoil.__name__)
def test_a_wrong_document_is_refused(
    verdicts: dict[str, dict[str, Any]], spoil: Callable[[dict[str, Any]], None]
) -> None:
    """So the judge looks at what matters here."""
    verdict = verdicts[spoil.__name__]
    assert [one for one in verdict["complaints"] if one["severity"] == 0]


def test_every_example_is_a_message_that_consumers_take() -> None:
    """Valid by its schema, with the envelope's, and readable by the platform's own parser."""
    Draft7Validator.check_schema(asyncapi.ENVELOPE)
    resource = Resource.from_contents(MADE, default_specification=DRAFT7)
    registry = Registry().with_resource("urn:all", resource)
    for contract in contracts.all_contracts():
        message = MADE["components"]["messages"][contract.wire_name]
        [example] = [one["payload"] for one in message["examples"]]
        payload = json.loads(json.dumps(message["payload"]).replace('"#/', '"urn:all#/'))
        checker = Draft7Validator(payload, registry=registry)
        checker.validate(example)
        assert not checker.is_valid({**example, "type": "vn.motcua247.other.v1"})
        assert not checker.is_valid({**example, "data": {}})
        envelope = parse(json.dumps(example).encode())
        assert (envelope.type, envelope.schema) == (contract.type, contract.schema)


def test_it_says_what_the_topology_says() -> None:
    """Every event is sent once, every reactor takes exactly what its queue is bound to."""
    known = {contract.wire_name for contract in contracts.all_contracts()}
    queues = {queue.name: set(queue.types) for queue in topology.queues()}
    assert set(MADE["channels"]) == known | set(queues) | {topology.CHECKPOINTS}
    sent = {name for name in MADE["operations"] if name.startswith("send.")}
    assert sent == {f"send.{name}" for name in known | {topology.CHECKPOINTS}}
    for name, types in queues.items():
        taken = MADE["operations"][f"receive.{name}"]["messages"]
        names = {one["$ref"].rpartition("/")[2] for one in taken}
        assert {one.rpartition(".v")[0] for one in names} == types


def test_the_stored_document_is_small() -> None:
    """One that nobody can open is no documentation."""
    assert Path("docs/reference/asyncapi.json").stat().st_size < 600_000
