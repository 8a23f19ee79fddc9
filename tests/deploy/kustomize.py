"""What an overlay of k8s/ renders to: by kubectl where there is one, and by reading its files."""

from __future__ import annotations

import copy
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Object = dict[str, Any]  # Any: an object of Kubernetes, as YAML has it
    Render = Callable[[str], list[Object]]

ROOT = Path(__file__).resolve().parents[2]
OVERLAYS = ("laptop", "production")


def by_kubectl(overlay: str) -> list[Object]:
    """Return the objects that `kubectl kustomize` makes; it asks no cluster."""
    command = ["kubectl", "kustomize", str(ROOT / "k8s" / "overlays" / overlay)]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return list(yaml.safe_load_all(text))


def by_reading(overlay: str) -> list[Object]:
    """Return the objects that the files make: as much of kustomize as they use."""
    return _accumulate(ROOT / "k8s" / "overlays" / overlay)


RENDERERS: Mapping[str, Render] = {
    "reading": by_reading,
    **({"kubectl": by_kubectl} if shutil.which("kubectl") else {}),
}


def _accumulate(folder: Path) -> list[Object]:
    kustomization = _load(folder / "kustomization.yaml")
    objects: list[Object] = []
    for name in kustomization.get("resources", ()):
        path = folder / name
        objects += _accumulate(path) if path.is_dir() else _documents(path)
    for name in kustomization.get("components", ()):
        component = _load(folder / name / "kustomization.yaml")
        assert component["kind"] == "Component", name
        _finish(objects, component, folder / name)
    _finish(objects, kustomization, folder)
    return objects


def _finish(objects: list[Object], kustomization: Object, folder: Path) -> None:
    known = {
        "apiVersion", "kind", "namespace", "resources", "components", "labels",
        "configMapGenerator", "patches",
    }  # fmt: skip
    assert set(kustomization) <= known, f"{folder}: teach this module what else is used"
    objects += [_generated(each, folder) for each in kustomization.get("configMapGenerator", ())]
    for patch in kustomization.get("patches", ()):
        text = patch["patch"] if "patch" in patch else (folder / patch["path"]).read_text("utf-8")
        chosen = [each for each in objects if _is_target(each, patch["target"])]
        assert chosen, f"{folder}: patches nothing: {patch['target']}"
        for each in chosen:
            for operation in yaml.safe_load(text):
                _apply(each, operation)


def _generated(generator: Object, folder: Path) -> Object:
    files = {
        Path(name).name: (folder / name).read_text("utf-8") for name in generator.get("files", ())
    }
    literals = dict(literal.split("=", 1) for literal in generator.get("literals", ()))
    metadata = {"name": generator["name"], "namespace": "tidemill"}
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": metadata,
        "data": files | literals,
    }


def _is_target(item: Object, target: Object) -> bool:
    if "labelSelector" in target:
        key, value = target["labelSelector"].split("=")
        return bool(item["metadata"].get("labels", {}).get(key) == value)
    return (item["kind"], item["metadata"]["name"]) == (target["kind"], target["name"])


def _apply(item: Object, operation: Object) -> None:
    assert operation["op"] == "add"
    *path, last = operation["path"].strip("/").split("/")
    assert last == "-", "only appending is known here"
    place: Any = item  # Any: a mapping or a list, as the path says
    for step in path:
        place = place[int(step)] if isinstance(place, list) else place[step]
    place.append(copy.deepcopy(operation["value"]))


def _documents(path: Path) -> list[Object]:
    return list(yaml.safe_load_all(path.read_text("utf-8")))


def _load(path: Path) -> Object:
    value: Object = yaml.safe_load(path.read_text("utf-8"))
    return value
