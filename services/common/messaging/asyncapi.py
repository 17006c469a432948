# SPDX-License-Identifier: Apache-2.0
"""The AsyncAPI 3 document of everything that is published and consumed, made from the code.

One channel for each routing key of ``motcua.events``, one for each reactor's queue, one for the
signed checkpoints. ``send`` is what the platform publishes, ``receive`` what its reactors take.
"""

import json
from collections.abc import Mapping
from typing import Any, Final

from services.common import contracts
from services.common.contracts.json_schema import DRAFT, JsonSchema, schema_of
from services.common.contracts.registry import EventContract
from services.common.eventlog.ownership import CATEGORIES
from services.common.messaging import topology
from services.common.messaging.envelope import CONTENT_TYPE, TYPE_PREFIX

Document = dict[str, Any]

VERSION: Final = "3.0.0"
BINDING: Final = "0.3.0"
CHECKPOINT: Final = "checkpoint"
_LINES_TO_DEPTH: Final = 3
_EXAMPLE: Final[Mapping[str, str]] = {
    "specversion": "1.0",
    "id": "01932b6e-7c00-8000-8000-0000000004d2",
    "source": "/motcua/93",
    "time": "2026-11-23T08:00:00+07:00",
    "datacontenttype": "application/json",
    "sequence": "00000000000000001234",
    "correlationid": "01932b6e-7c00-7000-8000-000000000761",
    "subject": "01932b6e-7c00-7000-8000-000000000761",
}
ENVELOPE: Final[JsonSchema] = {
    "$schema": DRAFT,
    "$id": "urn:motcua247:envelope",
    "title": "CloudEvents 1.0, structured mode",
    "x-title-vi": "CloudEvents 1.0, chế độ có cấu trúc",
    "description": "What every message body is; `data` is the event's own.",
    "x-vi": "Nội dung của mọi thông điệp; `data` là phần riêng của sự kiện.",
    "type": "object",
    "properties": {
        "specversion": {"const": "1.0"},
        "id": {
            "type": "string", "format": "uuid",
            "description": "Id of the event; the same event is delivered more than once at times.",
            "x-vi": "Định danh sự kiện; đôi khi cùng một sự kiện được gửi nhiều lần.",
        },
        "source": {
            "type": "string", "pattern": "^/motcua/[1-9][0-9]{0,9}$",
            "description": "Whose log: `/motcua/<log id>`.",
            "x-vi": "Nhật ký của tỉnh nào: `/motcua/<log id>`.",
        },
        "type": {
            "type": "string",
            "pattern": r"^vn\.motcua247\.[a-z_]+\.[a-z_]+\.v[1-9][0-9]{0,3}$",
            "description": "Event type and contract version.",
            "x-vi": "Loại sự kiện và phiên bản hợp đồng.",
        },
        "time": {
            "type": "string", "format": "date-time",
            "description": "When it happened.", "x-vi": "Thời điểm xảy ra.",
        },
        "datacontenttype": {"const": "application/json"},
        "sequence": {
            "type": "string", "pattern": "^[0-9]{20}$",
            "description": "Place in the log, 20 digits: order, and what was there before.",
            "x-vi": "Vị trí trong nhật ký, 20 chữ số: cho biết thứ tự.",
        },
        "correlationid": {
            "type": "string",
            "description": "Shared by everything that one visit set off.",
            "x-vi": "Chung cho mọi việc phát sinh từ một lượt giao dịch.",
        },
        "subject": {
            "type": "string",
            "description": "The dossier's id, where there is one.",
            "x-vi": "Định danh hồ sơ, nếu có.",
        },
        "causationid": {
            "type": "string",
            "description": "The event that led to this one.",
            "x-vi": "Sự kiện dẫn đến sự kiện này.",
        },
        "traceparent": {
            "type": "string",
            "description": "W3C trace context.", "x-vi": "Ngữ cảnh truy vết W3C.",
        },
        "data": {"type": "object"},
    },
    "required": [
        "specversion", "id", "source", "type", "time", "datacontenttype", "sequence",
        "correlationid", "data",
    ],
}  # fmt: skip


def document(version: str) -> Document:
    """Return the whole document; ``version`` is the platform's."""
    known = contracts.all_contracts()
    return {
        "asyncapi": VERSION,
        "info": _info(version),
        "defaultContentType": CONTENT_TYPE,
        "servers": _servers(),
        "channels": {
            **{contract.wire_name: _channel(contract) for contract in known},
            **{queue.name: _queue(queue, known) for queue in topology.queues()},
            topology.CHECKPOINTS: _checkpoints(),
        },
        "operations": _operations(known),
        "components": {
            "schemas": {
                "envelope": ENVELOPE,
                **{contract.wire_name: schema_of(contract) for contract in known},
            },
            "messages": {
                **{contract.wire_name: _message(contract) for contract in known},
                CHECKPOINT: _checkpoint(),
            },
            "securitySchemes": {"login": {
                "type": "userPassword",
                "description": "A subscriber's login may read its own queue and nothing else.",
            }},
        },
    }  # fmt: skip


def text(made: Document) -> str:
    """Return the file's text: deep parts on one line each, so that a change is a few lines."""
    return _lines(made, 0) + "\n"


def message_of(contract: EventContract) -> Document:
    """Return a whole valid message: the stored example in an envelope."""
    return {**_EXAMPLE, "type": TYPE_PREFIX + contract.wire_name, "data": contract.example()}


def writer_of(event_type: str) -> str:
    """Return the service that writes events of this type."""
    category = event_type.partition(".")[0]
    return next(
        role.removeprefix("motcua_") for role, owned in CATEGORIES.items() if category in owned
    )


def reactors_of(event_type: str) -> tuple[str, ...]:
    """Return the reactors that take events of this type."""
    return tuple(queue.name for queue in topology.queues() if event_type in queue.types)


def _info(version: str) -> Document:
    return {
        "title": "Một Cửa 24/7: events",
        "version": version,
        "description": (
            "Every fact of the log as a CloudEvent. At least once, in log order on each queue; "
            "`sequence` is the place in the log. Personal data never travel: their place holds a "
            "stub (`x-personal`). Ignore fields you do not know. The same events, byte for byte, "
            "come by the feed (OpenAPI: `feed.json`) and by signed webhooks. Tiếng Việt: `x-vi`."
        ),
        "tags": [{"name": name} for name in sorted(_services())],
    }


def _services() -> set[str]:
    return {role.removeprefix("motcua_") for role in CATEGORIES} | {"sealer"}


def _servers() -> Document:
    return {"broker": {
        "host": "{host}:5671",
        "protocol": "amqps",
        "protocolVersion": "0.9.1",
        "pathname": f"/{topology.VHOST}",
        "description": "RabbitMQ of the province.",
        "variables": {"host": {"default": "broker.example", "description": "Name of the broker."}},
        "security": [{"$ref": "#/components/securitySchemes/login"}],
        "tags": [{"name": "province"}],
    }}  # fmt: skip


def _channel(contract: EventContract) -> Document:
    return {
        "address": contract.wire_name,
        "title": contract.en,
        "summary": contract.vi,
        "messages": {"event": {"$ref": f"#/components/messages/{contract.wire_name}"}},
        "servers": [{"$ref": "#/servers/broker"}],
        "tags": [{"name": contract.type.partition(".")[0]}],
        "bindings": {"amqp": {
            "is": "routingKey", "exchange": _exchange(topology.EVENTS, "topic"),
            "bindingVersion": BINDING,
        }},
    }  # fmt: skip


def _exchange(name: str, kind: str) -> Document:
    return {
        "name": name, "type": kind, "durable": True, "autoDelete": False, "vhost": topology.VHOST,
    }  # fmt: skip


def _queue(queue: topology.Queue, known: tuple[EventContract, ...]) -> Document:
    return {
        "address": queue.name,
        "title": f"Inbox of {queue.name}",
        "summary": f"Hộp thư của {queue.name}",
        "messages": {
            contract.wire_name: {"$ref": f"#/components/messages/{contract.wire_name}"}
            for contract in known
            if contract.type in queue.types
        },
        "servers": [{"$ref": "#/servers/broker"}],
        "tags": [{"name": queue.name.partition(".")[0]}],
        "bindings": {"amqp": {
            "is": "queue",
            "queue": {
                "name": queue.name, "durable": True, "exclusive": False, "autoDelete": False,
                "vhost": topology.VHOST,
            },
            "bindingVersion": BINDING,
        }},
    }  # fmt: skip


def _checkpoints() -> Document:
    return {
        "address": "{origin}",
        "title": "Signed checkpoints of the log",
        "summary": "Điểm kiểm đã ký của nhật ký",
        "parameters": {"origin": {"description": "Name of the log, as the checkpoint says it."}},
        "messages": {CHECKPOINT: {"$ref": f"#/components/messages/{CHECKPOINT}"}},
        "servers": [{"$ref": "#/servers/broker"}],
        "tags": [{"name": "sealer"}],
        "bindings": {"amqp": {
            "is": "routingKey", "exchange": _exchange(topology.CHECKPOINTS, "fanout"),
            "bindingVersion": BINDING,
        }},
    }  # fmt: skip


def _checkpoint() -> Document:
    return {
        "name": CHECKPOINT,
        "title": "Checkpoint",
        "summary": "C2SP tlog-checkpoint: what the log has become, signed.",
        "contentType": "text/plain; charset=utf-8",
        "payload": {"type": "string"},
    }


def _message(contract: EventContract) -> Document:
    reference = f"#/components/schemas/{contract.wire_name}"
    return {
        "name": contract.wire_name,
        "title": contract.en,
        "summary": contract.vi,
        "contentType": CONTENT_TYPE,
        "correlationId": {"location": "$message.payload#/correlationid"},
        "payload": {"allOf": [
            {"$ref": "#/components/schemas/envelope"},
            {
                "type": "object",
                "properties": {
                    "type": {"const": TYPE_PREFIX + contract.wire_name},
                    "data": {"$ref": reference},
                },
            },
        ]},
        "examples": [{"name": "stored", "payload": message_of(contract)}],
        "tags": [{"name": writer_of(contract.type)}],
        "bindings": {"amqp": {
            "messageType": TYPE_PREFIX + contract.wire_name, "bindingVersion": BINDING,
        }},
    }  # fmt: skip


def _operations(known: tuple[EventContract, ...]) -> Document:
    made: Document = {
        f"send.{contract.wire_name}": {
            "action": "send",
            "channel": {"$ref": f"#/channels/{contract.wire_name}"},
            "title": contract.en,
            "messages": [{"$ref": f"#/channels/{contract.wire_name}/messages/event"}],
            "tags": [{"name": writer_of(contract.type)}],
            "bindings": {"amqp": {"deliveryMode": 2, "bindingVersion": BINDING}},
        }
        for contract in known
    }
    made[f"send.{topology.CHECKPOINTS}"] = {
        "action": "send",
        "channel": {"$ref": f"#/channels/{topology.CHECKPOINTS}"},
        "title": "The sealer publishes each checkpoint.",
        "messages": [{"$ref": f"#/channels/{topology.CHECKPOINTS}/messages/{CHECKPOINT}"}],
        "tags": [{"name": "sealer"}],
        "bindings": {"amqp": {"deliveryMode": 2, "bindingVersion": BINDING}},
    }
    for queue in topology.queues():
        made[f"receive.{queue.name}"] = {
            "action": "receive",
            "channel": {"$ref": f"#/channels/{queue.name}"},
            "title": f"{queue.name} reacts.",
            "messages": [
                {"$ref": f"#/channels/{queue.name}/messages/{contract.wire_name}"}
                for contract in known
                if contract.type in queue.types
            ],
            "tags": [{"name": queue.name.partition(".")[0]}],
            "bindings": {"amqp": {"ack": True, "bindingVersion": BINDING}},
        }
    return made


def _lines(value: Any, depth: int) -> str:
    if not isinstance(value, dict) or not value or depth == _LINES_TO_DEPTH:
        return json.dumps(value, ensure_ascii=False)
    pad = " " * (depth + 1)
    inner = (f"{pad}{json.dumps(key)}: {_lines(one, depth + 1)}" for key, one in value.items())
    return "{\n" + ",\n".join(inner) + "\n" + " " * depth + "}"
