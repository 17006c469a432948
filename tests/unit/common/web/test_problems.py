# SPDX-License-Identifier: Apache-2.0
"""Every error of the tree as HTTP: status, code, both languages, and no inner detail."""

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from services.common.errors import Conflict, Malformed, Problem, Refused, Unavailable
from services.common.web.app import create_app

FIELD = Problem("copies", "not_positive", "must be positive", "phải lớn hơn 0")


def answer_to(error: Exception, method: str = "POST") -> TestResponse:
    """Return what an application answers when a route raises ``error``."""
    app: Flask
    app, _ = create_app("tests.web", "test")

    @app.route("/do", methods=["GET", "POST"])
    def do() -> str:
        raise error

    return app.test_client().open("/do", method=method)


@pytest.mark.parametrize(
    ("error", "status", "code", "fields"),
    [
        (Refused("fee_unpaid", "unpaid", "chưa nộp"), 409, "fee_unpaid", []),
        (Refused("bad", "bad", "sai", field="copies"), 409, "bad", ["copies"]),
        (Conflict("dossier-1", 1, 2), 409, "conflict", []),
        (Malformed("command", (FIELD,)), 422, "invalid", ["copies"]),
        (Unavailable("postgresql", "secret host"), 503, "unavailable", []),
        (RuntimeError("secret host"), 500, "internal", []),
    ],
)
def test_errors_as_problem_documents(
    error: Exception, status: int, code: str, fields: list[str]
) -> None:
    """Each error has its status and code, names its fields, and tells nothing about servers."""
    response = answer_to(error)
    body = response.get_json()
    assert (response.status_code, response.mimetype) == (status, "application/problem+json")
    assert (body["status"], body["code"]) == (status, code)
    assert body["type"] == f"urn:motcua247:problem:{code}"
    assert body["detail_en"]
    assert body["detail_vi"]
    assert [problem["field"] for problem in body["problems"]] == fields
    assert all(problem["en"] and problem["vi"] for problem in body["problems"])
    assert "secret host" not in response.get_data(as_text=True)
    assert ("Retry-After" in response.headers) == (status == 503)


def test_absent_things_are_404_for_questions_only() -> None:
    """A question about an unknown dossier is 404; a command on it stays a refusal."""
    absent = Refused("not_registered", "no such dossier", "không có hồ sơ này")
    assert answer_to(absent, "GET").status_code == 404
    assert answer_to(absent, "POST").status_code == 409
