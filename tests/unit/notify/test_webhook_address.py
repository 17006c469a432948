# SPDX-License-Identifier: Apache-2.0
"""Where webhooks may go, and what makes them believable."""

import base64
from datetime import UTC, datetime
from ipaddress import ip_address, ip_network

import pytest

from services.common.config import ConfigError
from services.common.errors import Refused
from services.notify.config import read_webhook_config
from services.notify.domain.address import AddressRule
from services.notify.domain.credentials import webhook_secret
from services.notify.domain.signature import secrets_of, signatures
from services.notify.domain.subscriber import Subscriber

PUBLIC = AddressRule()
LAB = AddressRule((ip_network("127.0.0.0/8"), ip_network("10.0.0.0/8"), ip_network("fe80::/10")))


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.8.8.8", "::1", "0.0.0.0", "::", "10.1.2.3", "172.16.0.1", "192.168.1.1",
        "169.254.169.254", "100.64.0.1", "100.100.100.200", "168.63.129.16", "192.0.0.192",
        "fd00:ec2::254", "fe80::1", "fc00::1", "ff02::1", "224.0.0.1", "255.255.255.255",
        "::ffff:10.0.0.1", "::ffff:127.0.0.1", "::10.0.0.1", "64:ff9b::a00:1", "2002:a00:1::",
        "2001:0:4136:e378:8000:63bf:3fff:fdd2", "198.18.0.1", "203.0.113.7", "240.0.0.1",
    ],
)  # fmt: skip
def test_nothing_of_our_own_is_reached(address: str) -> None:
    """Loopback, private, link-local, metadata, multicast, and IPv4 in the clothes of IPv6."""
    assert not PUBLIC.allows(ip_address(address))


def test_the_internet_is_reached_and_what_was_named() -> None:
    """Named networks are allowed besides; metadata addresses not even then."""
    for address in ("113.160.0.1", "8.8.8.8", "2606:4700::1111"):
        assert PUBLIC.allows(ip_address(address))
    assert LAB.allows(ip_address("127.0.0.1"))
    assert LAB.allows(ip_address("10.9.9.9"))
    for address in ("::1", "192.168.1.1", "169.254.169.254", "fe80::1"):
        assert not LAB.allows(ip_address(address))


@pytest.mark.parametrize(
    "url",
    [
        "http://ioc.example.vn/", "https://ioc.example.vn:8443/", "ftp://ioc.example.vn/",
        "https://user:pass@ioc.example.vn/", "https://ioc.example.vn/?token=1",
        "https://ioc.example.vn/#a", "https://ioc.example.vn\\@a.vn/", "https:///events",
        "https://10.0.0.1/", "https://[::1]/", "https://169.254.169.254/latest/meta-data/",
        "http://127.0.0.1/", "https://a.vn:0/", "https://a.vn:99999/", "https://ô.vn/",
        "https://ioc.example.vn/ x", "https://" + "a" * 300,
    ],
)  # fmt: skip
def test_a_bad_url_is_refused(url: str) -> None:
    """The refusal names the field, in both languages."""
    with pytest.raises(Refused) as caught:
        PUBLIC.check(url)
    assert (caught.value.code, caught.value.field) == ("webhook_url", "url")
    assert "công khai" in caught.value.vi


def test_a_good_url_passes() -> None:
    """https on its own port; plain http to the own machine only, where that is allowed."""
    PUBLIC.check("https://ioc.example.vn/motcua")
    PUBLIC.check("https://ioc.example.vn:443")
    LAB.check("http://127.0.0.1:8080/events")
    LAB.check("https://10.1.1.1:8443/")
    for url in ("http://10.1.1.1/", "http://localhost:8080/"):
        with pytest.raises(Refused):
            LAB.check(url)


def test_the_signature_is_that_of_standard_webhooks() -> None:
    """The example of the specification's own libraries comes out to the letter."""
    secret = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    body = b'{"test": 2432232314}'
    made = signatures([secret], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body)
    assert made == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    both = signatures([secret, b"x" * 32], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body)
    assert both.split(" ")[0] == made
    assert len(both.split(" ")) == 2


def test_the_former_secret_counts_until_its_end() -> None:
    """Two secrets sign while one is replaced, then the newer alone."""
    key = bytes(range(32))
    one = Subscriber(
        name="ioc", generations={"webhook": 3}, webhook_old_until="2026-11-24T16:00:00+07:00"
    )
    before, after = (datetime(2026, 11, 24, hour, tzinfo=UTC) for hour in (8, 10))
    assert secrets_of(one, key, before) == (
        webhook_secret(key, "ioc", 3), webhook_secret(key, "ioc", 2),
    )  # fmt: skip
    assert secrets_of(one, key, after) == (webhook_secret(key, "ioc", 3),)
    assert secrets_of(Subscriber(name="ioc"), key, before) == (webhook_secret(key, "ioc", 1),)


def test_a_careless_configuration_is_refused() -> None:
    """Every problem at once: a default password, a key of zeros, all networks, no such file."""
    with pytest.raises(ConfigError) as caught:
        read_webhook_config({
            "MOTCUA_LOG_ID": "93", "MOTCUA_METRICS_PORT": "0",
            "MOTCUA_DATABASE_URL": "postgresql://motcua_notify:postgres@db/motcua",
            "MOTCUA_SERVICE_KEY": bytes(range(32)).hex(), "MOTCUA_WEBHOOK_KEY": "00" * 32,
            "MOTCUA_WEBHOOK_NETWORKS": "0.0.0.0/0", "MOTCUA_WEBHOOK_CA_FILE": "none",
            "MOTCUA_WEBHOOK_PATIENCE_S": "0",
        })  # fmt: skip
    named = {problem.partition(":")[0] for problem in caught.value.problems}
    assert named == {
        "MOTCUA_DATABASE_URL", "MOTCUA_WEBHOOK_KEY", "MOTCUA_WEBHOOK_NETWORKS",
        "MOTCUA_WEBHOOK_CA_FILE", "MOTCUA_WEBHOOK_PATIENCE_S",
    }  # fmt: skip
