# SPDX-License-Identifier: Apache-2.0
"""The wiring of the auditors' pages, which read the log and write nothing."""

from services.auditing.adapters.access import PostgresAccess
from services.auditing.adapters.seals import PostgresSeals
from services.auditing.application.dossiers import Dossiers
from services.auditing.application.seals import Proofs
from services.auditing.config import AuditConfig
from services.common.runtime import ReadRuntime


class Auditing(ReadRuntime):
    """Everything the pages ask; construction touches nothing outside."""

    def __init__(self, config: AuditConfig) -> None:
        """Bind everything; connections are made on first use."""
        super().__init__(config.read)
        self.dossiers = Dossiers(self.log)
        self._seals = PostgresSeals(config.read.database_url, config.read.log_id)
        self.proofs = Proofs(self._seals, config.trusted, config.read.log_id)
        self.access = PostgresAccess(config.read.database_url, self.log)

    def close(self) -> None:
        """See ``ReadRuntime.close``."""
        super().close()
        self._seals.close()
        self.access.close()
