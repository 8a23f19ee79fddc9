"""Every container that runs `tidemill`, wherever it is written down."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import typer

from tidemill.cli.app import app

from .compose import compose
from .kustomize import OVERLAYS, RENDERERS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from .kustomize import Object

OURS = "tidemill:"
PROCESSORS = ("learner", "labeller", "explainer", "feedback", "drift", "alerts")
# Who keeps models, and so the key that their states are signed with.
KEYED = ("learner", "explainer", "drift")
_VARIABLE = re.compile(r"\$\((\w+)\)")


@dataclass(frozen=True, slots=True)
class Container:
    """One container: what it runs, and the variables it is given; values unknown are empty."""

    where: str
    name: str
    argv: tuple[str, ...]
    environ: Mapping[str, str]
    spec: Mapping[str, Any]  # Any: as YAML has it

    @property
    def options(self) -> dict[str, Any]:  # Any: of the option's own type
        """What the command line makes of the arguments."""
        return parse(self.argv)


def parse(argv: Sequence[str]) -> dict[str, Any]:  # Any: of the option's own type
    """Return the options that a command line gives; nothing is run.

    Raises:
        click.UsageError: There is no such command or option.
    """
    command, rest = typer.main.get_command(app), list(argv)
    while rest and (commands := getattr(command, "commands", None)):
        assert rest[0] in commands, f"{rest[0]} must be one of {', '.join(commands)}"
        command = commands[rest.pop(0)]
    return dict(command.make_context("tidemill", rest).params)


def pod_specs(objects: Sequence[Object]) -> Iterator[tuple[str, Object]]:
    """Yield name and pod of everything that has pods."""
    for each in objects:
        template = each.get("spec", {}).get("template")
        if template:
            yield f"{each['kind']} {each['metadata']['name']}", template["spec"]


def containers_of(pod: Object) -> list[Object]:
    """Return all containers of a pod."""
    return [*pod.get("initContainers", ()), *pod["containers"]]


def of_kubernetes(objects: Sequence[Object], where: str) -> list[Container]:
    """Return the containers of ours in rendered objects."""
    found = []
    for name, pod in pod_specs(objects):
        for spec in containers_of(pod):
            if not spec["image"].startswith(OURS):
                continue
            environ = {each["name"]: str(each.get("value", "")) for each in spec.get("env", ())}
            pod_name = f"{name.split()[-1]}-0"
            argv = tuple(_expanded(text, environ, pod_name) for text in spec["args"])
            found.append(Container(f"{where} {name}", spec["name"], argv, environ, spec))
    return found


def _expanded(text: str, environ: Mapping[str, str], pod_name: str) -> str:
    """Return an argument as a kubelet expands it; whatever comes from the pod is its name."""
    for variable in _VARIABLE.findall(text):
        assert variable in environ, f"{variable} must be among the container's variables"
    return _VARIABLE.sub(pod_name, text)


def of_compose() -> list[Container]:
    """Return the containers of ours in docker-compose.yml."""
    return [
        Container("compose", name, tuple(spec["command"]), spec["environment"], spec)
        for name, spec in compose()["services"].items()
        if spec["image"].startswith(OURS)
    ]


def all_containers() -> list[Container]:
    """Return the containers of ours everywhere."""
    found = of_compose()
    for overlay in OVERLAYS:
        for how, render in RENDERERS.items():
            found += of_kubernetes(render(overlay), f"{overlay} by {how}")
    return found
