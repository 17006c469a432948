# SPDX-License-Identifier: Apache-2.0
"""Throw generated requests at an application, led by its own OpenAPI document."""

import warnings
from collections import Counter
from collections.abc import Mapping

import schemathesis
from flask import Flask
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.errors import HypothesisDeprecationWarning
from schemathesis import GenerationMode, checks
from schemathesis.specs.openapi import checks as documented

CHECKS = [
    checks.not_a_server_error,
    documented.status_code_conformance,
    documented.content_type_conformance,
    documented.response_schema_conformance,
    documented.response_headers_conformance,
    documented.negative_data_rejection,
]


def check_openapi(
    app: Flask,
    headers: Mapping[str, str],
    *,
    known: Mapping[str, object] | None = None,
    examples: int = 30,
    under: str = "/",
) -> Counter[tuple[str, int]]:
    """Try every operation with good and bad requests.

    Args:
        app: the application.
        headers: what a caller who is let in sends.
        known: path parameters of things that exist; without them only absent things are asked for.
        examples: how many requests for each operation and kind.
        under: only operations whose path begins so.

    Asserts that no answer is a server error, that bad requests are refused, and that every answer
    has a status, a content type and a body that the document promises.

    Returns:
        How many answers each (operation, status) had.
    """
    seen: Counter[tuple[str, int]] = Counter()
    schema = schemathesis.openapi.from_wsgi("/openapi.json", app)
    for found in schema.get_all_operations():
        operation = found.ok()
        if not operation.path.startswith(under):
            continue
        strategies = [operation.as_strategy(mode) for mode in GenerationMode]
        _try(operation, st.one_of(*strategies), headers, examples, seen)
        if known and operation.path_parameters:
            fixed = operation.as_strategy(GenerationMode.POSITIVE, path_parameters=dict(known))
            _try(operation, fixed, headers, examples, seen)
    return seen


def _try(
    operation: schemathesis.APIOperation,
    cases: st.SearchStrategy[schemathesis.Case],
    headers: Mapping[str, str],
    examples: int,
    seen: Counter[tuple[str, int]],
) -> None:
    broken: list[str] = []  # a command answers otherwise when Hypothesis repeats it: kept at once

    @settings(
        max_examples=examples, deadline=None, database=None, derandomize=True,
        suppress_health_check=list(HealthCheck), phases=[Phase.generate],
    )  # fmt: skip
    @given(case=cases)
    def one(case: schemathesis.Case) -> None:
        response = case.call(headers=dict(headers))
        seen[operation.label, response.status_code] += 1
        try:
            case.validate_response(response, checks=CHECKS)
        except (AssertionError, BaseExceptionGroup) as error:
            broken.append(
                f"{case.as_curl_command()}\n{response.status_code} {response.text}\n{error}"
            )

    with warnings.catch_warnings():
        # The pool's threads draw their jitter from `random` meanwhile; Hypothesis takes them for us.
        warnings.simplefilter("ignore", HypothesisDeprecationWarning)
        one()
    assert not broken, broken[0]
