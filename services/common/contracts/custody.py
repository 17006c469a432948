# SPDX-License-Identifier: Apache-2.0
"""Cases about pouches and results of which nobody knows where they are.

``office-<id>.case.<event>``: what one event left unknown; each case has an owner and a due time.
"""

from services.common.contracts import values as v
from services.common.contracts.registry import EventContract, EventSchema, register


class OfficeCustodyCaseOpenedV1(EventSchema):
    """Somebody has to find out until ``due_at``; ``place`` is where it was last.

    ``item`` is the custody key: ``papers/<dossier>``, ``result/<dossier>`` or, for a pouch that no
    deposit explains, ``stray/<machine>/<barcode>``.
    """

    case = v.word(64)
    office = v.word(32)
    item = v.word(100)
    kind = v.one_of("pouch", "papers", "result")
    because = v.one_of(
        "machine_report", "missing_in_bag", "no_deposit", "cell_taken", "reversed", open_list=True
    )
    machine = v.serial(nullable=True)
    place = v.word(64)
    pouch = v.word(32, nullable=True)
    dossier = v.uuid(nullable=True)
    owner = v.word(64)
    due_at = v.instant()


class OfficeCustodyCaseClosedV1(EventSchema):
    """An official found out; ``lost`` is an answer too, and it has a price."""

    case = v.word(64)
    official = v.word()
    found = v.one_of("office", "citizen", "lost")
    found_at = v.text(200)


register(
    EventContract(
        type="office.custody_case_opened", schema=1, fields=OfficeCustodyCaseOpenedV1,
        en="Nobody knows where a pouch or a result is.",
        vi="Không rõ túi hồ sơ hoặc kết quả đang ở đâu.",
    ),
    EventContract(
        type="office.custody_case_closed", schema=1, fields=OfficeCustodyCaseClosedV1,
        en="It is known again where it is, or that it is lost.",
        vi="Đã xác định được vị trí hoặc xác nhận thất lạc.",
    ),
)  # fmt: skip
