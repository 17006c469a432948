# SPDX-License-Identifier: Apache-2.0
"""Renders our overlays where there is no kustomize: exactly the features that they use.

Anything else in a ``kustomization.yaml`` is an error, so the two cannot drift apart unseen; where
kubectl is on the machine a test compares every object with what it renders.

``python -m tests.manifests.render`` writes every overlay to ``build/k8s``.
"""

import copy
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

Object = dict[str, Any]
K8S = Path("k8s")
BUILD = Path("build/k8s")
KNOWN = {
    "apiVersion", "kind", "resources", "components", "namespace", "labels", "patches",
    "configMapGenerator", "generatorOptions", "images",
}  # fmt: skip
CLUSTER_WIDE = {"Namespace"}


def overlays() -> list[Path]:
    """Return every overlay."""
    return sorted(path.parent for path in (K8S / "overlays").glob("*/kustomization.yaml"))


def render(folder: Path) -> list[Object]:
    """Return the objects of one overlay, base or component."""
    return _apply(folder, [])


def _apply(folder: Path, objects: list[Object]) -> list[Object]:
    wanted = yaml.safe_load((folder / "kustomization.yaml").read_text(encoding="utf-8"))
    unknown = set(wanted) - KNOWN
    assert not unknown, f"{folder}: {unknown} is not rendered here"
    objects = objects + [
        one for name in wanted.get("resources", []) for one in _load(folder / name)
    ]
    objects += [_config_map(folder, spec) for spec in wanted.get("configMapGenerator", [])]
    for name in wanted.get("components", []):
        objects = _apply((folder / name).resolve(), objects)
    for patch in wanted.get("patches", []):
        _patch(objects, patch)
    for label in wanted.get("labels", []):
        for one in objects:
            _label(one, label)
    for image in wanted.get("images", []):
        for one in objects:
            _tag(one, image)
    if "namespace" in wanted:
        for one in objects:
            if one["kind"] not in CLUSTER_WIDE:
                one["metadata"]["namespace"] = wanted["namespace"]
    return objects


def _load(path: Path) -> list[Object]:
    if path.is_dir():
        return _apply(path.resolve(), [])
    return [one for one in yaml.safe_load_all(path.read_text(encoding="utf-8")) if one]


def _config_map(folder: Path, spec: Object) -> Object:
    assert set(spec) == {"name", "files"}, spec
    data = {name: (folder / name).read_text(encoding="utf-8") for name in spec["files"]}
    return {
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": spec["name"]}, "data": data,
    }  # fmt: skip


def _patch(objects: list[Object], patch: Object) -> None:
    target = patch["target"]
    steps = yaml.safe_load(patch["patch"])
    for one in objects:
        kind, name = target.get("kind", ".*"), target.get("name", ".*")
        if re.fullmatch(kind, one["kind"]) and re.fullmatch(name, one["metadata"]["name"]):
            for step in steps:
                _step(one, step)


def _step(one: Object, step: Object) -> None:
    *way, last = step["path"].lstrip("/").split("/")
    at: Any = one
    for word in way:
        at = at[int(word)] if isinstance(at, list) else at[word]
    if step["op"] == "remove":
        del at[last]
    else:
        assert step["op"] in {"add", "replace"}, step
        if last == "-":
            at.append(copy.deepcopy(step["value"]))
        else:
            at[last] = step["value"]


def _label(one: Object, label: Object) -> None:
    assert label.get("includeTemplates"), "labels stand on templates too"
    one["metadata"].setdefault("labels", {}).update(label["pairs"])
    for template in _templates(one):
        template["metadata"].setdefault("labels", {}).update(label["pairs"])


def _tag(one: Object, image: Object) -> None:
    for template in _templates(one):
        for container in template["spec"].get("containers", []):
            if container["image"] == image["name"]:
                container["image"] = f"{image['name']}:{image['newTag']}"


def _templates(one: Object) -> list[Object]:
    """Return what an object makes other objects of: pods, or a CronJob's jobs and their pods."""
    spec = one.get("spec", {})
    job = [spec["jobTemplate"]] if "jobTemplate" in spec else []
    holders = [spec, *(each["spec"] for each in job)]
    return [*job, *(holder["template"] for holder in holders if "template" in holder)]


def main(write: Callable[[str], object] = sys.stdout.write) -> int:
    """Write every overlay."""
    BUILD.mkdir(parents=True, exist_ok=True)
    for overlay in overlays():
        objects = render(overlay)
        path = BUILD / f"{overlay.name}.yaml"
        path.write_text(yaml.safe_dump_all(objects, sort_keys=False, allow_unicode=True))
        write(f"{path}: {len(objects)} objects\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
