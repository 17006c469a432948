# SPDX-License-Identifier: Apache-2.0
"""Events that notify writes. ``notification-<id>``: one message to one person."""

from collections.abc import Mapping

from marshmallow import fields

from services.common.canonical import Json
from services.common.contracts import values as v
from services.common.contracts.registry import EventContract, EventSchema, register


class NotificationRequestedV1(EventSchema):
    """A message is to be sent; personal parts are read from the named events when it is sent."""

    dossier = v.dossier_id()
    template = v.one_of("accepted", "result_ready")
    channel = v.one_of("sms")
    params = fields.Dict(keys=fields.String(), values=fields.String(), required=True)
    contact_event = v.uuid()
    code_event = v.uuid(nullable=True)


class NotificationRequestedV2(NotificationRequestedV1):
    """As version 1, with words for every turn of a dossier's life."""

    template = v.one_of(
        "accepted", "refused", "supplement", "fee_due", "rescheduled", "ready_at_counter",
        "result_ready", "reminder", "recalled", "withdrawn", "stopped", "owed", open_list=True,
    )  # fmt: skip


class NotificationAttemptedV1(EventSchema):
    """From here on the message may have gone out: recorded before the provider is called."""

    attempt = v.count(1, 100)
    provider = v.word(16)


class NotificationAcceptedV1(EventSchema):
    """The provider took it and named it."""

    attempt = v.count(1, 100)
    provider_message = v.word(64)


class NotificationFailedV1(EventSchema):
    """The provider refused it; nothing went out."""

    attempt = v.count(1, 100)
    error = v.text(100)


class NotificationOutcomeUnknownV1(EventSchema):
    """Nobody knows whether it went out; a person decides, it is not sent again by itself."""

    attempt = v.count(1, 100)
    reason = v.text(100)


class NotificationOutcomeUnknownV2(NotificationOutcomeUnknownV1):
    """As version 1; ``owner`` finds out until ``due_at``, null where that was not kept."""

    owner = v.word()
    due_at = v.instant(nullable=True)


def _nobody_named(data: Mapping[str, Json]) -> dict[str, Json]:
    return {**data, "owner": "operations", "due_at": None}


class NotificationDeliveredV1(EventSchema):
    """The delivery receipt came."""

    provider_message = v.word(64)
    state = v.one_of("DELIVRD", "EXPIRED", "UNDELIV", "REJECTD", "UNKNOWN", open_list=True)


class NotificationReceiptExpectedV1(EventSchema):
    """``notification-sms.<name>``: the way from the provider's message name back to ours."""

    notification = v.uuid()
    provider_message = v.word(64)


register(
    EventContract(
        type="notification.requested", schema=1, fields=NotificationRequestedV1,
        en="A message is to be sent.", vi="Cần gửi một tin nhắn.", upcast=dict,
    ),
    EventContract(
        type="notification.requested", schema=2, fields=NotificationRequestedV2,
        en="A message is to be sent.", vi="Cần gửi một tin nhắn.",
    ),
    EventContract(
        type="notification.attempted", schema=1, fields=NotificationAttemptedV1,
        en="Sending was begun.", vi="Bắt đầu gửi tin nhắn.",
    ),
    EventContract(
        type="notification.accepted", schema=1, fields=NotificationAcceptedV1,
        en="The provider took the message.", vi="Nhà cung cấp đã nhận tin nhắn.",
    ),
    EventContract(
        type="notification.failed", schema=1, fields=NotificationFailedV1,
        en="The provider refused the message.", vi="Nhà cung cấp từ chối tin nhắn.",
    ),
    EventContract(
        type="notification.outcome_unknown", schema=1, fields=NotificationOutcomeUnknownV1,
        en="Nobody knows whether the message went out.", vi="Không rõ tin nhắn đã gửi hay chưa.",
        upcast=_nobody_named,
    ),
    EventContract(
        type="notification.outcome_unknown", schema=2, fields=NotificationOutcomeUnknownV2,
        en="Nobody knows whether the message went out.", vi="Không rõ tin nhắn đã gửi hay chưa.",
    ),
    EventContract(
        type="notification.delivered", schema=1, fields=NotificationDeliveredV1,
        en="The delivery receipt came.", vi="Có báo cáo giao tin nhắn.",
    ),
    EventContract(
        type="notification.receipt_expected", schema=1, fields=NotificationReceiptExpectedV1,
        en="A delivery receipt for this name belongs to this message.",
        vi="Báo cáo giao tin mang mã này thuộc về tin nhắn này.",
    ),
)  # fmt: skip
