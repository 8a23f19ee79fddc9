"""k8s/ renders to objects that are valid, closed, and name only what exists."""

from __future__ import annotations

from typing import TYPE_CHECKING

import kubernetes_validate
import pytest
import yaml

from cli.command import run

from .kustomize import OVERLAYS, RENDERERS, ROOT
from .workloads import KEYED, PROCESSORS, containers_of, pod_specs

if TYPE_CHECKING:
    from pathlib import Path

    from .kustomize import Object

OLDEST = "1.29.0"
EXAMPLE = ROOT / "examples" / "bottling"
RENDERED = {
    f"{overlay} by {how}": (overlay, render(overlay))
    for overlay in OVERLAYS
    for how, render in RENDERERS.items()
}
# What an operator makes beforehand: nothing of it has a default.
MADE_BEFORE = {
    "laptop": {("Secret", "tidemill-signing"), ("Secret", "tidemill-redis")},
    "production": {
        ("Secret", "tidemill-signing"),
        ("Secret", "tidemill-redis"),
        ("Secret", "kafka-client"),
        ("ConfigMap", "kafka"),
    },
}

each_processor = pytest.mark.parametrize("processor", PROCESSORS)
each_keyed = pytest.mark.parametrize("processor", KEYED)
each_rendering = pytest.mark.parametrize(
    ("overlay", "objects"), RENDERED.values(), ids=RENDERED.keys()
)


def find(objects: list[Object], kind: str, name: str) -> Object:
    (found,) = (
        each for each in objects if (each["kind"], each["metadata"]["name"]) == (kind, name)
    )
    return found


def referred(pod: Object) -> set[tuple[str, str]]:
    """Return kind and name of every ConfigMap and Secret that a pod cannot start without."""
    found = set()
    for volume in pod.get("volumes", ()):
        for key, kind, name in (
            ("configMap", "ConfigMap", "name"),
            ("secret", "Secret", "secretName"),
        ):
            if key in volume:
                assert not volume[key].get("optional"), volume
                found.add((kind, volume[key][name]))
    for container in containers_of(pod):
        for variable in container.get("env", ()):
            source = variable.get("valueFrom", {})
            for key, kind in (("configMapKeyRef", "ConfigMap"), ("secretKeyRef", "Secret")):
                if key in source:
                    assert not source[key].get("optional"), variable
                    found.add((kind, source[key]["name"]))
    return found


@each_rendering
def test_every_object_is_valid(overlay: str, objects: list[Object]) -> None:
    assert len(objects) > 5
    for version in (OLDEST, kubernetes_validate.latest_version()):
        for each in objects:
            kubernetes_validate.validate(each, version, strict=True)


@each_rendering
def test_what_is_referred_to_is_rendered_or_must_be_made_before(
    overlay: str, objects: list[Object]
) -> None:
    here = {(each["kind"], each["metadata"]["name"]) for each in objects}
    wanted = {reference for _, pod in pod_specs(objects) for reference in referred(pod)}
    assert wanted - here == MADE_BEFORE[overlay]
    assert {name for kind, name in here if kind == "Secret"} == set(), "a secret in the tree"


@each_rendering
def test_every_pod_is_closed(overlay: str, objects: list[Object]) -> None:
    for name, pod in pod_specs(objects):
        assert pod["enableServiceLinks"] is False, name
        assert pod["automountServiceAccountToken"] is False, name
        security = pod["securityContext"]
        assert security["runAsNonRoot"], name
        assert security["runAsUser"] > 0, name
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}, name
        for container in containers_of(pod):
            own = container["securityContext"]
            assert own["allowPrivilegeEscalation"] is False, name
            assert own["capabilities"] == {"drop": ["ALL"]}, name
            is_kafka = container["image"].startswith("apache/kafka:")
            assert own.get("readOnlyRootFilesystem", False) is not is_kafka, name
            assert {"cpu", "memory"} <= set(container["resources"]["requests"]), name
            assert "memory" in container["resources"]["limits"], name


@each_rendering
def test_every_mount_has_its_volume(overlay: str, objects: list[Object]) -> None:
    claims = {
        claim["metadata"]["name"]
        for each in objects
        for claim in each.get("spec", {}).get("volumeClaimTemplates", ())
    }
    for name, pod in pod_specs(objects):
        volumes = {volume["name"] for volume in pod.get("volumes") or ()} | claims
        for container in containers_of(pod):
            mounts = {mount["name"] for mount in container["volumeMounts"]}
            assert mounts <= volumes, name


@each_keyed
@each_rendering
def test_the_key_is_closed_to_others_and_lies_where_the_worker_looks(
    overlay: str, objects: list[Object], processor: str
) -> None:
    pod = dict(pod_specs(objects))[f"StatefulSet {processor}"]
    (volume,) = (each["secret"] for each in pod["volumes"] if each["name"] == "signing")
    assert volume["defaultMode"] == 0o440
    (worker,) = pod["containers"]
    (mount,) = (each for each in worker["volumeMounts"] if each["name"] == "signing")
    variables = {each["name"]: each.get("value") for each in worker["env"]}
    path = f"{mount['mountPath']}/{volume['items'][0]['path']}"
    assert variables["TIDEMILL_SIGNING_KEY_FILE"] == path


@each_rendering
def test_the_key_lies_in_no_other_pod(overlay: str, objects: list[Object]) -> None:
    for name, pod in pod_specs(objects):
        is_keyed = name in {f"StatefulSet {processor}" for processor in KEYED}
        assert (("Secret", "tidemill-signing") in referred(pod)) == is_keyed, name


@each_processor
@each_rendering
def test_workers_keep_their_names_and_are_not_all_taken_at_once(
    overlay: str, objects: list[Object], processor: str
) -> None:
    worker = find(objects, "StatefulSet", processor)["spec"]
    (container,) = worker["template"]["spec"]["containers"]
    (name,) = (each for each in container["env"] if each["name"] == "POD_NAME")
    assert name["valueFrom"] == {"fieldRef": {"fieldPath": "metadata.name"}}
    budget = find(objects, "PodDisruptionBudget", processor)["spec"]
    assert budget["maxUnavailable"] == 1
    labels = worker["template"]["metadata"]["labels"]
    assert budget["selector"]["matchLabels"].items() <= labels.items()
    service = find(objects, "Service", worker["serviceName"])["spec"]
    assert service["selector"].items() <= labels.items()
    definition = yaml.safe_load((EXAMPLE / "plant.yaml").read_text("utf-8"))
    assert 1 <= worker["replicas"] <= definition["partitions"]
    assert worker["replicas"] > 1 or processor != "learner", "predictions wait for no one pod"


@each_rendering
def test_the_mounted_plant_passes_the_check(
    overlay: str, objects: list[Object], tmp_path: Path
) -> None:
    for name, pod in pod_specs(objects):
        plants = [each["configMap"] for each in pod.get("volumes") or () if each["name"] == "plant"]
        for plant in plants:
            data = find(objects, "ConfigMap", plant["name"])["data"]
            assert set(data) == {item["key"] for item in plant["items"]}, name
            folder = tmp_path / name
            mounted(folder, {item["path"]: data[item["key"]] for item in plant["items"]})
            ran = run("check", "-f", folder / "plant.yaml", "--dir", tmp_path)
            assert (ran.code, ran.said) == (0, "")
    assert len(list(tmp_path.iterdir())) == 1 + len(PROCESSORS)


def mounted(folder: Path, files: dict[str, str]) -> None:
    """Lay files out as a kubelet does: in a dated folder, reached through links."""
    dated = folder / "..2026_03_02_06_00_00.1"
    for path, text in files.items():
        file = dated / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, "utf-8")
    (folder / "..data").symlink_to(dated.name)
    for top in {path.split("/")[0] for path in files}:
        (folder / top).symlink_to(f"..data/{top}")


def test_every_record_of_the_example_is_in_its_config_map() -> None:
    component = yaml.safe_load((EXAMPLE / "kustomization.yaml").read_text("utf-8"))
    (generator,) = component["configMapGenerator"]
    records = {str(path.relative_to(EXAMPLE)) for path in (EXAMPLE / "avro").rglob("*.*")}
    assert set(generator["files"]) == {"plant.yaml", *records}
