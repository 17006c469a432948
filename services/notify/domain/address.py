# SPDX-License-Identifier: Apache-2.0
"""Where webhooks may go: somebody else's server on the internet, never one of our own.

Whoever may name an address could otherwise have our process ask machines that only it can reach:
databases, metadata services of clouds, other pods. A name is looked up at each connection, and what
it then means is judged, so a name that changes its meaning gains nothing.
"""

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final
from urllib.parse import SplitResult, urlsplit

from services.common.errors import Refused
from services.notify.domain.subscriber import refused

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

HTTPS_PORT: Final = 443
URL_CHARS_MAX: Final = 300
NEVER: Final[tuple[Network, ...]] = tuple(
    ip_network(text)
    for text in (
        "0.0.0.0/8", "169.254.0.0/16", "192.0.0.0/24", "224.0.0.0/4", "240.0.0.0/4",
        "100.100.100.200/32", "168.63.129.16/32",  # metadata and host agents of clouds
        "::/96", "::ffff:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48", "2001::/32", "2002::/16",
        "fe80::/10", "ff00::/8", "fd00:ec2::/32", "fd20:ce::/32",
    )
)  # fmt: skip
"""Not even where somebody allowed the network: no host, metadata, IPv4 in the clothes of IPv6."""
_LOOPBACK: Final = (ip_network("127.0.0.0/8"), ip_network("::1/128"))
_PRINTED: Final = re.compile(r"[!-~]+")


@dataclass(frozen=True, slots=True)
class AddressRule:
    """What is allowed besides the internet: ``networks``, none in an ordinary installation."""

    networks: tuple[Network, ...] = ()

    def allows(self, address: Address) -> bool:
        """Say whether a webhook may connect to ``address``."""
        if _within(address, _LOOPBACK):
            return _within(address, self.networks)
        if _within(address, NEVER):
            return False
        return address.is_global or _within(address, self.networks)

    def check(self, url: str) -> None:
        """Refuse a URL that could never be sent to, or that holds a secret.

        Raises:
            Refused: ``webhook_url``, saying what is allowed.
        """
        parts = _parts(url)
        if parts is None or not self._fits(parts):
            raise _bad_url()

    def _fits(self, parts: SplitResult) -> bool:
        literal = _literal(parts.hostname or "")
        if literal is not None and not self.allows(literal):
            return False
        named = literal is not None and _within(literal, self.networks)
        if parts.scheme == "http":
            return literal is not None and _within(literal, _LOOPBACK)
        return named or (parts.port or HTTPS_PORT) == HTTPS_PORT


def _within(address: Address, networks: tuple[Network, ...]) -> bool:
    return any(address.version == one.version and address in one for one in networks)


def _literal(host: str) -> Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None


def _parts(url: str) -> SplitResult | None:
    """Return the parts of a URL without login, query and fragment; None for anything else."""
    if len(url) > URL_CHARS_MAX or not _PRINTED.fullmatch(url) or any(c in url for c in "@?#\\"):
        return None
    try:
        parts = urlsplit(url)
        port_is_whole = parts.port != 0
    except ValueError:
        return None
    good = parts.scheme in {"http", "https"} and bool(parts.hostname) and port_is_whole
    return parts if good else None


def _bad_url() -> Refused:
    return refused(
        "webhook_url",
        "https:// on port 443 of a public host, without login, query and fragment",
        "phải là https:// cổng 443 của máy chủ công khai, không có tài khoản, truy vấn, mảnh",
        "url",
    )
