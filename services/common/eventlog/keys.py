# SPDX-License-Identifier: Apache-2.0
"""The key database: data keys under a key-encryption key that it never sees."""

from collections.abc import Sequence
from uuid import UUID

from services.common.errors import Refused
from services.common.eventlog.postgres import erased, lent, open_pool
from services.common.personal import unwrap_key, wrap_key


class PostgresKeys:
    """Data keys in their own database, wrapped by a key-encryption key it never sees."""

    def __init__(self, url: str, key_encryption_key: bytes) -> None:
        """Remember the service's login to the key database and the 32-byte wrapping key."""
        self._pool = open_pool(url, name="keys", size=4)
        self._kek = key_encryption_key

    def close(self) -> None:
        """Give all connections back."""
        self._pool.close()

    def put(self, key_id: UUID, purpose: str, secret: bytes) -> None:
        """See ``KeyStore.put``."""
        with lent(self._pool) as connection:
            row = connection.execute(
                "SELECT keys.put(%s, %s, %s)", (key_id, purpose, wrap_key(secret, self._kek))
            ).fetchone()
        if row is None or not row[0]:
            raise Refused(
                "key_id_reused", "the data key's id is taken", "mã khóa dữ liệu đã được dùng"
            )

    def get(self, key_id: UUID) -> tuple[str, bytes] | None:
        """See ``KeyStore.get``."""
        with lent(self._pool) as connection:
            row = connection.execute("SELECT * FROM keys.get(%s)", (key_id,)).fetchone()
        if row is None:
            return None
        purpose, wrapped, granted = row
        if not granted:
            raise Refused(
                "purpose_not_granted",
                "this login may not use keys of that purpose",
                "không có quyền dùng khóa cho mục đích này",
            )
        return str(purpose), unwrap_key(bytes(wrapped), self._kek)

    def destroy(self, key_ids: Sequence[UUID]) -> int:
        """See ``KeyStore.destroy``."""
        with lent(self._pool) as connection:
            return erased(connection, "SELECT keys.destroy(%s)", list(key_ids))
