# SPDX-License-Identifier: Apache-2.0
"""What is no text is refused at the door: no table could hold it, no hash could be made of it."""

import json
from typing import Any

import pytest
from flask.testing import FlaskClient
from flask.views import MethodView
from marshmallow import Schema, fields

from services.common.web.app import StrictBlueprint, create_app


class Words(Schema):
    """A body with a reason of any shape."""

    reason = fields.Raw()


@pytest.fixture
def client() -> FlaskClient:
    """An application with one act and one question."""
    app, api = create_app("tests.web", "test")
    blueprint = StrictBlueprint("do", __name__)

    @blueprint.route("/do")
    class Do(MethodView):
        @blueprint.arguments(Words)
        @blueprint.response(200)
        def post(self, words: dict[str, Any]) -> Any:
            """Say it again."""
            return words

    @blueprint.route("/of/<string:name>")
    class Of(MethodView):
        @blueprint.response(200)
        def get(self, name: str) -> Any:
            """Say it again."""
            return {"name": name}

    api.register_blueprint(blueprint)
    return app.test_client()


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"reason": "a\x00b"}, "json.reason"), ({"reason": "\ud800"}, "json.reason"),
        ({"reason": ["a", {"b": "\udfff"}]}, "json.reason.1.b"), ({"reason\x00": 1}, "json"),
        ({"x\ud800": {"reason\ud800": "\x00"}}, "json"), ("\x00", "json"),
    ],
)  # fmt: skip
def test_bodies(client: FlaskClient, body: object, field: str) -> None:
    """Refused by the place where it stands, however deep; never a fault of ours."""
    answer = client.post("/do", data=json.dumps(body), content_type="application/json")
    assert answer.status_code == 422
    (found,) = answer.get_json()["problems"]
    assert (found["field"], found["code"]) == (field, "not_text")


@pytest.mark.parametrize("text", ["Nguyễn Thị Út", "ដើម", "🂡 \t\n", "\\u0000", ""])
def test_texts_of_every_language(client: FlaskClient, text: str) -> None:
    """Taken as they are."""
    answer = client.post("/do", json={"reason": text})
    assert (answer.status_code, answer.get_json()) == (200, {"reason": text})


@pytest.mark.parametrize("address", ["/of/a%00b", "/of/a?x=%00", "/of/a?%00=x", "/of/a?x=1&x=%00"])
def test_addresses(client: FlaskClient, address: str) -> None:
    """Neither path nor query may hold what the database would stumble over."""
    assert client.get("/of/a").status_code == 200
    answer = client.get(address)
    assert (answer.status_code, answer.get_json()["code"]) == (400, "bad_request")
