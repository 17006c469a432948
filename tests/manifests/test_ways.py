# SPDX-License-Identifier: Apache-2.0
"""Whatever a process has to reach, and whoever has to reach it, finds the way open."""

from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.manifests.test_manifests import NAMES, SETTINGS, of

GATEWAYS = {
    "intake": {"MOTCUA_ONE_STOP_URL": "one-stop", "MOTCUA_ONE_STOP_2026_URL": "one-stop"},
    "payment": {"MOTCUA_BANK_STATEMENT_URL": "bank"},
    "notify": {"MOTCUA_SMPP_HOST": "smsc"},
    "notify-web": {"MOTCUA_OIDC_ISSUER": "identity"},
    "audit-web": {"MOTCUA_OIDC_ISSUER": "identity"},
}
"""By workload: setting that names something outside the cluster, and the gateway to it."""
NOT_OUTSIDE = {"MOTCUA_PUBLIC_URL", "MOTCUA_HTTP_HOST"}
PORTS = {"http": 80, "https": 443}
OURS = {"app.kubernetes.io/part-of": "motcua247"}


def settings(overlay: str) -> dict[str, str]:
    """Return what is no secret."""
    (found,) = [m for m in of(overlay, "ConfigMap") if m["metadata"]["name"] == SETTINGS]
    return dict(found["data"])


def policies(overlay: str) -> dict[str, Any]:
    """Return the policies by name."""
    return {one["metadata"]["name"]: one["spec"] for one in of(overlay, "NetworkPolicy")}


def ports_to(spec: Any, labels: dict[str, str]) -> set[int]:
    """Return the ports at which a policy lets out to pods with these labels."""
    return {
        port["port"]
        for rule in spec["egress"]
        for to in rule["to"]
        if to.get("podSelector", {}).get("matchLabels") == labels
        for port in rule["ports"]
    }


@pytest.mark.parametrize("overlay", NAMES)
def test_what_stands_outside_is_reached(overlay: str) -> None:
    """Through its gateway, at the port that its address names; nothing outside is forgotten."""
    given, known = settings(overlay), policies(overlay)
    outside = {one for one in given if one.endswith(("_URL", "_HOST", "_ISSUER"))} - NOT_OUTSIDE
    assert outside <= {name for names in GATEWAYS.values() for name in names}
    for workload, names in GATEWAYS.items():
        for name in names.keys() & given.keys():
            url = urlsplit(given[name])
            port = url.port or PORTS.get(url.scheme) or int(given["MOTCUA_SMPP_PORT"])
            open_ports = ports_to(known[workload], {"motcua247/gateway": names[name]})
            assert port in open_ports, f"{workload} does not reach {name}"


@pytest.mark.parametrize("overlay", NAMES)
def test_whoever_is_let_out_can_look_up_names(overlay: str) -> None:
    """A policy for what leaves forbids DNS, too; ours have it by their label, operators' not."""
    known = policies(overlay)
    assert known["dns"]["podSelector"]["matchLabels"] == OURS
    ours = {one["metadata"]["name"] for one in of(overlay, "Deployment", "Job", "CronJob")}
    for name in known.keys() - ours - {"dns", "default-deny"}:
        if "Egress" in known[name]["policyTypes"]:
            assert ports_to(known[name], {"k8s-app": "kube-dns"}) == {53}, name


@pytest.mark.parametrize("overlay", NAMES)
def test_who_scales_sees_the_queues(overlay: str) -> None:
    """KEDA asks the broker's management API from its own namespace."""
    asking = {
        who["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"]
        for rule in policies(overlay)["rabbitmq"]["ingress"]
        if {port["port"] for port in rule["ports"]} == {15671}
        for who in rule["from"]
    }
    assert "rabbitmq-system" in asking
    assert "keda" in asking or not of(overlay, "ScaledObject")


@pytest.mark.parametrize("overlay", NAMES)
def test_the_feed_is_reached_from_outside(overlay: str) -> None:
    """By TLS, under a host of its own, at the paths that subscribers are told."""
    (feed,) = [one for one in of(overlay, "Ingress") if one["metadata"]["name"] == "feed"]
    (rule,) = feed["spec"]["rules"]
    assert [one["hosts"] for one in feed["spec"]["tls"]] == [[rule["host"]]]
    assert rule["host"] != urlsplit(settings(overlay)["MOTCUA_PUBLIC_URL"]).hostname
    ways = {one["path"]: one["backend"]["service"] for one in rule["http"]["paths"]}
    assert ways.keys() == {"/v1", "/openapi.json"}
    assert {way["name"] for way in ways.values()} == {"notify-feed"}
