# SPDX-License-Identifier: Apache-2.0
"""Who receives events outside the platform. ``subscriber-<name>``: one organisation's system.

No person stands in these events but the official who acted: a subscriber is named by a code, and a
webhook's address has neither login nor query. Secrets stand in none: a token as its SHA-256, the
rest as the number of its generation.
"""

from marshmallow import fields, validate

from services.common.contracts import values as v
from services.common.contracts.registry import EventContract, EventSchema, register

POSITION_MAX = 2**53 - 1
TYPES_MAX = 300


def _types() -> fields.List[str]:
    return fields.List(v.word(80), required=True, validate=v.some(TYPES_MAX))


def _position(low: int = 0, *, nullable: bool = False) -> fields.Integer:
    return v.count(low, POSITION_MAX, nullable=nullable)


class SubscriberAddedV1(EventSchema):
    """A system is owed every event of ``types`` behind position ``after``, from now on."""

    types = _types()
    after = _position()
    token_digest = v.hex32()
    by = v.word()


class SubscriberGrantedV1(EventSchema):
    """From this event on it is owed ``types`` instead of those before."""

    types = _types()
    by = v.word()


class SubscriberRotatedV1(EventSchema):
    """A credential was made anew; ``until`` is when the one before ends, null for at once."""

    credential = v.one_of("token", "broker", "webhook")
    generation = v.count(1)
    token_digest = fields.String(
        required=True, allow_none=True, validate=validate.Regexp(r"^[0-9a-f]{64}$")
    )
    until = v.instant(nullable=True)
    by = v.word()


class SubscriberWebhookSetV1(EventSchema):
    """From this event on its events are sent to ``url``; null: not any more."""

    url = fields.String(
        required=True, allow_none=True,
        validate=[validate.Length(1, 300), validate.Regexp(r"^https?://[!-~]+$")],
    )  # fmt: skip
    types = fields.List(v.word(80), required=False, validate=v.some(TYPES_MAX))
    by = v.word()


class SubscriberSuspendedV1(EventSchema):
    """Nothing is given any more until it is resumed; what it is owed grows meanwhile.

    ``all`` closes feed and queue, ``webhook`` stops sending only; ``position`` is the event that
    could not be delivered, where there is one.
    """

    scope = v.one_of("all", "webhook")
    reason = v.one_of("by_hand", "no_answer", "refused", "gone", "forbidden_address")
    position = _position(1, nullable=True)
    by = v.word()


class SubscriberResumedV1(EventSchema):
    """It goes on where it stopped."""

    scope = v.one_of("all", "webhook")
    by = v.word()


class SubscriberRedriveOrderedV1(EventSchema):
    """Events ``first`` … ``last`` are to be sent to its webhook once more."""

    first = _position(1)
    last = _position(1)
    reference = v.word(64)
    by = v.word()


class SubscriberWebhookConfirmedV1(EventSchema):
    """Its webhook took everything it was owed behind ``after`` up to ``through``.

    ``digest`` covers position and id of each (ADR-0018); one such event stands for many deliveries.
    """

    after = _position()
    through = _position(1)
    count = _position()
    digest = v.hex32()


class SubscriberRemovedV1(EventSchema):
    """It is owed nothing from this event on; queue and login are gone."""

    by = v.word()


register(
    EventContract(
        type="subscriber.added", schema=1, fields=SubscriberAddedV1,
        en="A system outside is to receive events.", vi="Thêm hệ thống bên ngoài nhận sự kiện.",
    ),
    EventContract(
        type="subscriber.granted", schema=1, fields=SubscriberGrantedV1,
        en="A subscriber is to receive other types of events.",
        vi="Thay đổi loại sự kiện mà bên đăng ký được nhận.",
    ),
    EventContract(
        type="subscriber.rotated", schema=1, fields=SubscriberRotatedV1,
        en="A credential of a subscriber was made anew.", vi="Đổi khóa truy cập của bên đăng ký.",
    ),
    EventContract(
        type="subscriber.webhook_set", schema=1, fields=SubscriberWebhookSetV1,
        en="Where a subscriber's events are sent to was set.",
        vi="Đặt địa chỉ gửi sự kiện cho bên đăng ký.",
    ),
    EventContract(
        type="subscriber.suspended", schema=1, fields=SubscriberSuspendedV1,
        en="A subscriber gets nothing for the time being.", vi="Tạm ngừng gửi cho bên đăng ký.",
    ),
    EventContract(
        type="subscriber.resumed", schema=1, fields=SubscriberResumedV1,
        en="A subscriber gets its events again.", vi="Tiếp tục gửi cho bên đăng ký.",
    ),
    EventContract(
        type="subscriber.redrive_ordered", schema=1, fields=SubscriberRedriveOrderedV1,
        en="A range of events is to be sent once more.", vi="Yêu cầu gửi lại một dải sự kiện.",
    ),
    EventContract(
        type="subscriber.webhook_confirmed", schema=1, fields=SubscriberWebhookConfirmedV1,
        en="A subscriber's webhook took everything up to a position.",
        vi="Bên đăng ký đã nhận đủ sự kiện đến một vị trí.",
    ),
    EventContract(
        type="subscriber.removed", schema=1, fields=SubscriberRemovedV1,
        en="A subscriber was removed.", vi="Đã gỡ bên đăng ký.",
    ),
)  # fmt: skip
