# SPDX-License-Identifier: Apache-2.0
"""Erasure of personal data, and who read it.

``subject-<dossier>``: what was erased; ``access-<dossier>``: what people read in the clear. Free
text stands in neither: it would be personal data again.
"""

from marshmallow import fields

from services.common.contracts import values as v
from services.common.contracts.registry import EventContract, EventSchema, register


class SubjectErasedV1(EventSchema):
    """The named data keys are destroyed; their ciphertexts go next.

    ``basis``: ``request`` of the person, or ``retention`` when the time to keep them is over;
    ``reference`` is the number of the paper that orders it.
    """

    dossier = v.uuid()
    keys = fields.List(v.uuid(), required=True, validate=v.some(1_000))
    purposes = fields.List(v.word(32), required=True, validate=v.some(20))
    basis = v.one_of("request", "retention")
    reference = v.word(64)
    official = v.word()


class AccessPersonalReadV1(EventSchema):
    """Somebody is about to read a personal value; recorded before it is opened."""

    dossier = v.uuid()
    event = v.uuid()
    field = v.word(64)
    purpose = v.word(32)
    reader = v.word()


register(
    EventContract(
        type="subject.erased", schema=1, fields=SubjectErasedV1,
        en="Personal data of a dossier were erased for good.",
        vi="Dữ liệu cá nhân của hồ sơ đã được xóa vĩnh viễn.",
    ),
    EventContract(
        type="access.personal_read", schema=1, fields=AccessPersonalReadV1,
        en="Somebody read personal data of a dossier.",
        vi="Có người xem dữ liệu cá nhân của hồ sơ.",
    ),
)  # fmt: skip
