# SPDX-License-Identifier: Apache-2.0
"""Logs: one JSON line for each thing that happened, people-friendly on a terminal.

No payload and no personal value is ever logged. ``mask_personal`` is the last line of defence: a
key that names a person's data is masked, whoever passed it.
"""

import logging
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any, Final

import structlog

MASK: Final = "[personal]"
PERSONAL_KEYS: Final = frozenset(
    {"phone", "msisdn", "name", "full_name", "fullname", "address", "email", "contact",
     "citizen_id",
     "cccd", "birthday", "date_of_birth", "code", "otp", "secret", "password", "token", "key",
     "payload", "body", "data", "personal", "text"}
)  # fmt: skip
"""Keys that may carry a person's data, a secret, or a payload that holds either."""


def mask_personal(
    _logger: object, _method: str, entry: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Mask values under personal keys, at any depth; structlog processor."""
    return {key: _masked(key, value) for key, value in entry.items()}


def configure_logs(service: str, log_format: str | None = None) -> None:
    """Set up structlog and the standard library's logging on standard error.

    Args:
        service: bound to every line.
        log_format: ``json`` or ``console``; console on a terminal and JSON elsewhere when None.
    """
    shape = log_format or ("console" if sys.stderr.isatty() else "json")
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="ts"),
        structlog.processors.format_exc_info,
        mask_personal,
    ]
    render: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer()
        if shape == "console"
        else structlog.processors.JSONRenderer()
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, render],
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    for noisy in ("pika", "kombu", "amqp", "nameko", "werkzeug"):
        logging.getLogger(noisy).setLevel(logging.ERROR)
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(service=service)


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """Return the logger of module ``name``."""
    logger: structlog.stdlib.BoundLogger = structlog.get_logger(name)
    return logger


def _masked(key: str, value: object) -> object:
    if key.lower() in PERSONAL_KEYS:
        return MASK
    # Nearly every value is a text; asking it whether it is a mapping costs more than the rest.
    if not isinstance(value, str) and isinstance(value, Mapping):
        return {inner: _masked(str(inner), item) for inner, item in value.items()}
    return value
