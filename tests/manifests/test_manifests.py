# SPDX-License-Identifier: Apache-2.0
"""What Kubernetes gets is valid, whole, and what the code expects."""

import json
import re
import shutil
import subprocess
from functools import cache
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jsonschema
import kubernetes_validate
import pytest
import yaml

from services.auditing.config import read_config as audit_web_config
from services.auditing.web.area import AREA
from services.common.audit.sealer import read_config as sealer_config
from services.common.config import Settings
from services.common.integrity.notes import Signer
from services.common.messaging import topology
from services.common.relay import read_config as relay_config
from services.common.telemetry import metrics
from services.intake.config import read_config as intake_config
from services.kiosk_sync.config import read_config as kiosk_sync_config
from services.notify.config import read_config as notify_config
from services.notify.config import read_console_config, read_feed_config, read_webhook_config
from services.notify.domain.address import AddressRule
from services.notify.web.console.area import AREA as SUBSCRIBERS
from services.payment.config import read_config as payment_config
from tests.manifests.render import K8S, Object, overlays, render

VERSION = "1.32"
NAMES = [path.name for path in overlays()]
GIVEN_SECRETS = {
    "motcua-rabbitmq-tls",
    "motcua-kiosk-sync-tls",
    "motcua-migrate",
    "motcua-keda",
    "motcua-eraser",
}
SECRETS = "/run/secrets/motcua/"
SETTINGS = "motcua-settings"


@cache
def objects(overlay: str) -> tuple[Object, ...]:
    """Return the objects of an overlay."""
    return tuple(render(K8S / "overlays" / overlay))


def of(overlay: str, *kinds: str) -> list[Object]:
    """Return its objects of some kinds."""
    return [one for one in objects(overlay) if one["kind"] in kinds]


def pod_of(one: Object) -> Any:
    spec = one["spec"]["jobTemplate"]["spec"] if one["kind"] == "CronJob" else one["spec"]
    return spec["template"]["spec"]


def container_of(one: Object) -> Any:
    (container,) = pod_of(one)["containers"]
    return container


@pytest.mark.parametrize("overlay", NAMES)
def test_every_object_is_valid(overlay: str) -> None:
    """Kubernetes' own schemas, strictly; narrow schemas of ours for what operators define."""
    for one in objects(overlay):
        narrow = K8S / "schemas" / f"{one['kind']}.json"
        if narrow.exists():
            jsonschema.validate(one, json.loads(narrow.read_text(encoding="utf-8")))
        else:
            kubernetes_validate.validate(one, VERSION, strict=True)
    ids = [(one["kind"], one["metadata"]["name"]) for one in objects(overlay)]
    assert len(set(ids)) == len(ids)


def test_a_wrong_object_is_found() -> None:
    """The schemas are strict: a misspelt field, a wrong type and an unknown field all fail."""
    (broker,) = of("dev", "RabbitmqCluster")
    schema = json.loads((K8S / "schemas" / "RabbitmqCluster.json").read_text(encoding="utf-8"))
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**broker, "spec": {**broker["spec"], "replica": 3}}, schema)
    deployment = of("dev", "Deployment")[0]
    wrong = {**deployment, "spec": {**deployment["spec"], "replica": 3}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, VERSION, strict=True)


@pytest.mark.parametrize("overlay", NAMES)
def test_rendered_as_kubectl_renders(overlay: str) -> None:
    """Where kubectl is at hand, it gives the same objects; elsewhere ours are at least stable."""
    folder = K8S / "overlays" / overlay
    if shutil.which("kubectl"):
        done = subprocess.run(
            ["kubectl", "kustomize", str(folder)], check=True, capture_output=True, text=True
        )
        theirs = list(yaml.safe_load_all(done.stdout))
    else:
        theirs = render(folder)

    def key(one: Object) -> tuple[str, str]:
        return one["kind"], one["metadata"]["name"]

    assert sorted(objects(overlay), key=key) == sorted(theirs, key=key)


def test_there_is_a_workload_for_every_process() -> None:
    """The same processes as on one machine, started by the same words."""
    text = Path("infra/local/stack.py").read_text(encoding="utf-8")
    assert '"intake", "payment", "notify", "kiosk_sync"' in text
    wanted = {
        "relay": ["python", "-m", "services.common.relay"],
        "sealer": ["python", "-m", "services.common.audit.sealer"],
        "audit-web": ["python", "-m", "services.auditing"],
    }
    kinds = {"notify": ["feed", "webhooks", "web"], "kiosk_sync": ["web", "downlink"]}
    for service in ("intake", "payment", "notify", "kiosk_sync"):
        name, module = service.replace("_", "-"), ["python", "-m", f"services.{service}"]
        wanted[name] = module
        wanted |= {f"{name}-{kind}": [*module, kind] for kind in kinds.get(service, ["web"])}
    found = {
        one["metadata"]["name"]: container_of(one)["command"] for one in of("dev", "Deployment")
    }
    assert found == wanted


READERS = {
    "intake": lambda env, web: intake_config(env, web=web),
    "payment": lambda env, web: payment_config(env, web=web),
    "notify": lambda env, web: notify_config(env),
    "notify-feed": lambda env, web: read_feed_config(env),
    "notify-webhooks": lambda env, web: read_webhook_config(env),
    "notify-web": lambda env, web: read_console_config(env),
    "kiosk-sync": lambda env, web: kiosk_sync_config(env, web=web),
    "relay": lambda env, web: relay_config(Settings(env)),
    "sealer": lambda env, web: sealer_config(Settings(env)),
    "audit-web": lambda env, web: audit_web_config(env),
}


def environment_of(overlay: str, one: Object, folder: Path) -> dict[str, str]:
    """Return the rendered environment of a Deployment, with files in the place of Secrets."""
    (settings,) = [
        found
        for found in of(overlay, "ConfigMap")
        if found["metadata"]["name"] == "motcua-settings"
    ]
    env = dict(settings["data"])
    for entry in container_of(one)["env"]:
        file = folder / entry["value"].rpartition("/")[2]
        content = "ab" * 16 + "cd" * 16
        if "URL" in entry["name"]:
            scheme = "amqps" if "AMQP" in entry["name"] else "postgresql"
            content = f"{scheme}://somebody:long-enough-password@host/motcua"
        if "TRUSTED_KEYS" in entry["name"]:
            content = str(Signer("motcua247/93/1", bytes(range(32))).verifier)
        file.write_text(content, encoding="utf-8")
        env[entry["name"]] = str(file)
    return env


@pytest.mark.parametrize("overlay", NAMES)
@pytest.mark.parametrize("name", sorted(one["metadata"]["name"] for one in of("dev", "Deployment")))
def test_every_process_finds_its_settings(overlay: str, name: str, tmp_path: Path) -> None:
    """The rendered environment, with files in the place of Secrets, satisfies the real reader."""
    (one,) = [d for d in of(overlay, "Deployment") if d["metadata"]["name"] == name]
    env = environment_of(overlay, one, tmp_path)
    service = next(s for s in sorted(READERS, key=len, reverse=True) if name.startswith(s))
    config = READERS[service](env, name.endswith(("-web", "-downlink")))
    core = getattr(config, "core", getattr(config, "read", config))
    assert core.metrics_port == 9797
    ports = {port["name"]: port["containerPort"] for port in container_of(one)["ports"]}
    assert ports["metrics"] == core.metrics_port
    if service not in {"relay", "sealer", "notify-webhooks"}:
        assert core.http_host == "0.0.0.0"
        assert getattr(config, "http_port", 0) == ports.get("http", ports.get("https", 0))


@pytest.mark.parametrize("overlay", NAMES)
def test_every_reference_resolves(overlay: str) -> None:
    """ConfigMaps, Secrets, accounts, selectors, ports: all exist."""
    accounts = {one["metadata"]["name"] for one in of(overlay, "ServiceAccount")}
    maps = {one["metadata"]["name"] for one in of(overlay, "ConfigMap")}
    for one in of(overlay, "Deployment", "Job", "CronJob"):
        pod, container = pod_of(one), container_of(one)
        assert pod["serviceAccountName"] in accounts
        for source in container.get("envFrom", []):
            assert source["configMapRef"]["name"] in maps
        given = {v["secret"]["secretName"] for v in pod["volumes"] if "secret" in v}
        assert given <= {f"motcua-{name}" for name in READERS} | GIVEN_SECRETS
        mounted = {mount["name"] for mount in container["volumeMounts"]}
        assert mounted == {volume["name"] for volume in pod["volumes"]}
    pods = {one["metadata"]["name"]: one["spec"]["template"] for one in of(overlay, "Deployment")}
    for service_ in of(overlay, "Service"):
        (name,) = service_["spec"]["selector"].values()
        names = {port["name"] for port in pods[name]["spec"]["containers"][0]["ports"]}
        assert {port["targetPort"] for port in service_["spec"]["ports"]} <= names


@pytest.mark.parametrize("overlay", NAMES)
def test_the_site_is_where_its_pages_say(overlay: str) -> None:
    """By TLS, under the public address; each area's path leads to a port of its own process."""
    (settings,) = [m for m in of(overlay, "ConfigMap") if m["metadata"]["name"] == SETTINGS]
    host = urlsplit(settings["data"]["MOTCUA_PUBLIC_URL"]).hostname
    (site,) = [one for one in of(overlay, "Ingress") if one["metadata"]["name"] == "site"]
    (rule,) = site["spec"]["rules"]
    assert rule["host"] == host
    assert [one["hosts"] for one in site["spec"]["tls"]] == [[host]]
    ports = {
        one["metadata"]["name"]: {port["name"] for port in one["spec"]["ports"]}
        for one in of(overlay, "Service")
    }
    ways = {path["path"]: path["backend"]["service"] for path in rule["http"]["paths"]}
    assert ways[AREA.prefix]["name"] == "audit-web"
    assert ways[SUBSCRIBERS.prefix]["name"] == "notify-web"
    for way in ways.values():
        assert way["port"]["name"] in ports[way["name"]]


@pytest.mark.parametrize("overlay", NAMES)
def test_workloads_roll_and_stop_gently(overlay: str) -> None:
    """A surge of one, none missing, time to drain, probes on the metrics port, limits."""
    for one in of(overlay, "Deployment"):
        name, spec = one["metadata"]["name"], one["spec"]
        assert spec["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
        assert spec["selector"]["matchLabels"].items() <= (
            spec["template"]["metadata"]["labels"].items()
        )
        assert pod_of(one)["terminationGracePeriodSeconds"] >= 30
        container = container_of(one)
        assert {container[f"{kind}Probe"]["httpGet"]["port"] for kind in
                ("startup", "liveness", "readiness")} == {"metrics"}  # fmt: skip
        assert container["livenessProbe"]["httpGet"]["path"] == "/healthz"
        assert container["resources"]["limits"]
        budgets = [b for b in of(overlay, "PodDisruptionBudget") if b["metadata"]["name"] == name]
        (budget,) = budgets
        assert budget["spec"]["selector"] == {"matchLabels": spec["selector"]["matchLabels"]}


@pytest.mark.parametrize("overlay", NAMES)
def test_workloads_have_no_rights(overlay: str) -> None:
    """No token, no root, nothing to write to, no capability, a tag on every image."""
    for one in of(overlay, "Deployment", "Job", "CronJob"):
        pod, container = pod_of(one), container_of(one)
        assert pod["automountServiceAccountToken"] is False
        assert pod["securityContext"]["runAsNonRoot"] is True
        inside = container["securityContext"]
        assert inside["readOnlyRootFilesystem"] is True
        assert inside["allowPrivilegeEscalation"] is False
        assert inside["capabilities"] == {"drop": ["ALL"]}
        assert ":" in container["image"]
        assert not container["image"].endswith(":latest")
        assert not any("SECRET" in e["name"] or "PASSWORD" in e["name"] for e in
                       container.get("env", []) if not e["name"].endswith("_FILE"))  # fmt: skip


@pytest.mark.parametrize("overlay", NAMES)
def test_nobody_talks_but_who_must(overlay: str) -> None:
    """Deny first; a policy for every workload; no rule without a partner and a port."""
    policies = {one["metadata"]["name"]: one["spec"] for one in of(overlay, "NetworkPolicy")}
    assert policies["default-deny"]["policyTypes"] == ["Ingress", "Egress"]
    assert not {"ingress", "egress"} & set(policies["default-deny"])
    for one in of(overlay, "Deployment", "Job", "CronJob"):
        assert one["metadata"]["name"] in policies
    for name, spec in policies.items():
        for way, partner in (("ingress", "from"), ("egress", "to")):
            for rule in spec.get(way, []):
                assert rule.get(partner), f"{name}: a rule for everybody"
                assert rule.get("ports"), f"{name}: a rule for every port"


@pytest.mark.parametrize("overlay", NAMES)
def test_webhooks_leave_for_the_internet_only(overlay: str) -> None:
    """What the code refuses to connect to, the network refuses, too; nothing else names addresses."""
    egress = {
        one["metadata"]["name"]: [to["ipBlock"] for rule in one["spec"].get("egress", [])
                                  for to in rule["to"] if "ipBlock" in to]
        for one in of(overlay, "NetworkPolicy")
    }  # fmt: skip
    assert {name for name, blocks in egress.items() if blocks} == {"notify-webhooks"}
    rule = AddressRule()
    for address in map(ip_address, ("8.8.8.8", "113.160.0.1", "2606:4700::1111", "10.1.1.1",
                                    "127.0.0.1", "169.254.169.254", "172.20.0.1", "192.168.1.1",
                                    "100.100.100.200", "168.63.129.16", "::1", "fe80::1",
                                    "fd00:ec2::254", "2002:a00:1::", "64:ff9b::a00:1")):  # fmt: skip
        passes = any(
            address.version == ip_network(block["cidr"]).version
            and address in ip_network(block["cidr"])
            and not any(address in ip_network(out) for out in block["except"])
            for block in egress["notify-webhooks"]
        )
        assert passes == rule.allows(address), address
    (settings,) = [
        m for m in of(overlay, "ConfigMap") if m["metadata"]["name"] == "motcua-settings"
    ]
    assert "MOTCUA_WEBHOOK_NETWORKS" not in settings["data"]


def test_topology_and_rights_are_the_codes() -> None:
    """The broker gets the definitions and permissions that the code has."""
    (given,) = [
        m for m in of("dev", "ConfigMap") if m["metadata"]["name"] == "rabbitmq-definitions"
    ]
    assert given["data"]["definitions.json"] == topology.definitions_text()
    rights = {p["spec"]["user"]: p["spec"]["permissions"] for p in of("dev", "Permission")}
    services = ("intake", "payment", "notify", "kiosk_sync", "relay", "sealer", "notify_web")
    assert rights == {f"motcua_{name}": topology.permissions(name) for name in services}
    without = {"notify-feed", "notify-webhooks", "audit-web"}
    assert {one["metadata"]["name"] for one in of("dev", "User")} == set(READERS) - without


def test_scaled_workloads_have_no_fixed_number() -> None:
    """Either KEDA or a number; and every scaled queue exists."""
    scaled = {
        one["spec"]["scaleTargetRef"]["name"]: one for one in of("production", "ScaledObject")
    }
    for one in of("production", "Deployment"):
        assert ("replicas" in one["spec"]) != (one["metadata"]["name"] in scaled)
    queues = {queue.name for queue in topology.queues()}
    for one in scaled.values():
        assert one["spec"]["triggers"][0]["metadata"]["queueName"] in queues


def test_alerts_name_metrics_and_runbooks_that_exist() -> None:
    """Whoever is woken finds a page; whatever is watched is measured."""
    known = {sample.name for metric in metrics.REGISTRY.collect() for sample in metric.samples} | {
        metric.name for metric in metrics.REGISTRY.collect()
    }
    known |= {f"{metric.name}_total" for metric in metrics.REGISTRY.collect()}
    known |= {f"{m.name}_{s}" for m in metrics.REGISTRY.collect() for s in ("bucket", "count")}
    runbooks = Path("docs/runbooks.md").read_text(encoding="utf-8")
    (rules,) = of("dev", "PrometheusRule")
    for rule in rules["spec"]["groups"][0]["rules"]:
        used = set(re.findall(r"\b([a-z]+(?:_[a-z]+)+)\b(?=[\[{ )]|$)", rule["expr"]))
        assert used - {"histogram_quantile"}, rule
        assert used - {"histogram_quantile"} <= known, used - known
        assert f"## {rule['alert']}\n" in runbooks
        assert rule["annotations"]["runbook_url"].endswith(f"#{rule['alert'].lower()}")
