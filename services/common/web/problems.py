# SPDX-License-Identifier: Apache-2.0
"""Errors as people and programs read them: RFC 9457 problem documents in two languages."""

from collections.abc import Sequence
from typing import Final

from flask import Flask, Response, g, json, request
from marshmallow import Schema, ValidationError, fields
from werkzeug.exceptions import HTTPException

from services.common.contracts import problems_of
from services.common.errors import (
    Conflict,
    EventsArchived,
    Malformed,
    Problem,
    Refused,
    Unavailable,
)
from services.common.telemetry.logs import get_logger

TYPE: Final = "application/problem+json"
RETRY_AFTER_S: Final = 2
_LOG = get_logger(__name__)
_CODES: Final = {
    400: ("bad_request", "yêu cầu không đọc được"),
    401: ("not_authenticated", "cần đăng nhập bằng mã truy cập hợp lệ"),
    403: ("not_allowed", "không có quyền"),
    404: ("not_found", "không tìm thấy"),
    405: ("method_not_allowed", "phương thức không được phép"),
    413: ("too_large", "yêu cầu quá lớn"),
    415: ("unsupported_media_type", "kiểu nội dung không được hỗ trợ"),
    422: ("invalid", "dữ liệu không hợp lệ"),
}
_ABSENT: Final = frozenset({"not_registered"})
_KEPT_HEADERS: Final = ("Allow", "WWW-Authenticate", "Retry-After")


class FieldProblemSchema(Schema):
    """One wrong field."""

    field = fields.String(required=True)
    code = fields.String(required=True)
    en = fields.String(required=True)
    vi = fields.String(required=True)


class ProblemSchema(Schema):
    """A problem document."""

    type = fields.String(required=True)
    title = fields.String(required=True)
    status = fields.Integer(required=True)
    code = fields.String(required=True)
    detail_en = fields.String(required=True)
    detail_vi = fields.String(required=True)
    request_id = fields.String(required=True)
    problems = fields.List(fields.Nested(FieldProblemSchema), required=True)


def problem(status: int, code: str, en: str, vi: str, problems: Sequence[Problem] = ()) -> Response:
    """Return a problem document."""
    body = {
        "type": f"urn:motcua247:problem:{code}",
        "title": code.replace("_", " "),
        "status": status,
        "code": code,
        "detail_en": en,
        "detail_vi": vi,
        "request_id": str(getattr(g, "request_id", "")),
        "problems": [{"field": p.field, "code": p.code, "en": p.en, "vi": p.vi} for p in problems],
    }
    response = Response(json.dumps(body, ensure_ascii=False), status, content_type=TYPE)
    if status == 503:  # noqa: PLR2004 - Service Unavailable
        response.headers["Retry-After"] = str(RETRY_AFTER_S)
    return response


def install(app: Flask) -> None:
    """Turn every error of the tree, and those of the framework, into problem documents."""
    app.register_error_handler(Refused, _refused)
    app.register_error_handler(Conflict, _conflict)
    app.register_error_handler(Malformed, _malformed)
    app.register_error_handler(Unavailable, _unavailable)
    app.register_error_handler(ValidationError, _invalid)
    app.register_error_handler(HTTPException, _http)
    app.register_error_handler(Exception, _unexpected)


def _refused(error: Refused) -> Response:
    found = () if error.field is None else (Problem(error.field, error.code, error.en, error.vi),)
    status = 404 if request.method == "GET" and error.code in _ABSENT else 409
    if isinstance(error, EventsArchived):
        status = 410
    return problem(status, error.code, error.en, error.vi, found)


def _conflict(error: Conflict) -> Response:
    en = f"somebody else was faster: {error.stream} is at version {error.actual_version}"
    return problem(409, "conflict", en, "người khác vừa thay đổi, xin tải lại")


def _malformed(error: Malformed) -> Response:
    en = f"{error.what} is not acceptable"
    return problem(422, "invalid", en, _CODES[422][1], error.problems)


def _invalid(error: ValidationError) -> Response:
    return problem(422, "invalid", "some fields are wrong", _CODES[422][1], problems_of(error))


def _unavailable(error: Unavailable) -> Response:
    _LOG.warning("request_unavailable", dependency=error.dependency)
    en = f"{error.dependency} is not available, ask again with the same key"
    return problem(503, "unavailable", en, "hệ thống đang bận, xin thử lại", ())


def _http(error: HTTPException) -> Response:
    status = error.code or 500
    code, vi = _CODES.get(status, ("error", "lỗi"))
    found: Sequence[Problem] = ()
    cause = getattr(error, "exc", None)
    if isinstance(cause, ValidationError):
        found = problems_of(cause)
    answer = problem(status, code, str(error.description or error.name), vi, found)
    for name, value in error.get_headers():
        if name in _KEPT_HEADERS:
            answer.headers[name] = value
    return answer


def _unexpected(error: Exception) -> Response:
    _LOG.error("request_failed", error=type(error).__name__, exc_info=error)
    return problem(500, "internal", "an unexpected error, it was logged", "lỗi hệ thống")
