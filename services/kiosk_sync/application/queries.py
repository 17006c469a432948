# SPDX-License-Identifier: Apache-2.0
"""What machines and people ask about the fleet."""

from services.common import contracts
from services.common.canonical import Json
from services.common.eventlog.port import EventLog

_PAGE = 5000


def catalogue(log: EventLog) -> list[dict[str, Json]]:
    """Return the newest version of every published procedure, as machines keep it."""
    newest: dict[str, dict[str, Json]] = {}
    after = 0
    while events := log.read_all(after, limit=_PAGE, types=["procedure.published"]):
        for event in events:
            data = contracts.current(event.type, event.schema, event.data)
            fees = data["fees"]
            assert isinstance(fees, dict), "the contract nests the fees"
            newest[str(data["code"])] = {
                "code": data["code"],
                "version": event.version,
                "name_vi": data["name_vi"],
                "accept": data["accept_at_machine"],
                "return": data["return_at_machine"],
                "fee_rule": fees["rule"],
                "le_phi_vnd": fees["le_phi_vnd"],
                "phi_vnd": fees["phi_vnd"],
            }
        after = events[-1].position
    return [newest[code] for code in sorted(newest)]
