"""YAML as plain values: `no`, `12:30` and `010` are text, `1e-3` a number, a key appears once."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import yaml

from tidemill.kernel.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

_SCALARS = (
    ("null", r"(?:~|null|Null|NULL|)", "~nN\0"),
    ("bool", r"(?:true|True|TRUE|false|False|FALSE)", "tTfF"),
    ("int", r"[-+]?(?:0|[1-9][0-9]*)", "-+0123456789"),
    (
        "float",
        r"(?:[-+]?(?:(?:[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?|[0-9]+[eE][-+]?[0-9]+)"
        r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))",
        "-+.0123456789",
    ),
    ("merge", r"<<", "<"),
)


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader without YAML 1.1's dates, octals, sexagesimals and yes/no."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - PyYAML's own protocol


for _name, _pattern, _first in _SCALARS:
    _Loader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_name}",
        re.compile(f"^{_pattern}$"),
        ["" if c == "\0" else c for c in _first],
    )


def load_yaml(text: str) -> tuple[object, list[str]]:
    """Return the one document in `text` as dicts, lists and scalars, and its doubled keys.

    Raises:
        ConfigError: The text is not YAML, or a node holds itself.
    """
    try:
        loader = _Loader(text)
    except yaml.YAMLError as error:
        raise ConfigError([f"the text must be YAML: {_described(error)}"]) from error
    try:
        node = loader.get_single_node()
        if node is None:
            return None, []
        _check_finite(node, ())
        doubled = list(_doubled(node, ""))  # first: construction flattens merged keys into the node
        return loader.construct_document(node), doubled
    except yaml.YAMLError as error:
        raise ConfigError([f"the text must be YAML: {_described(error)}"]) from error
    except ValueError as error:
        raise ConfigError([f"the text must be YAML: {error}"]) from error
    finally:
        loader.dispose()


def _described(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or " ".join(str(error).split())
    return f"line {mark.line + 1}, column {mark.column + 1}: {problem}" if mark else str(problem)


def _check_finite(node: yaml.Node, above: tuple[int, ...]) -> None:
    if id(node) in above:
        line = node.start_mark.line + 1
        raise ConfigError([f"line {line}: must not hold itself through an alias"])
    for child in _children(node):
        _check_finite(child, (*above, id(node)))


def _children(node: yaml.Node) -> Iterator[yaml.Node]:
    if isinstance(node, yaml.SequenceNode):
        yield from node.value
    elif isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield key
            yield value


def _doubled(node: yaml.Node, path: str) -> Iterator[str]:
    if isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            yield from _doubled(item, f"{path}[{index}]")
    elif isinstance(node, yaml.MappingNode):
        lines: dict[str, int] = {}
        for key, value in node.value:
            here = f"{path}.{key.value}" if path else str(key.value)
            line = key.start_mark.line + 1
            if key.value in lines and key.value != "<<":
                first = lines[key.value]
                yield f"{here}: must be given once, was given on lines {first} and {line}"
            lines.setdefault(str(key.value), line)
            yield from _doubled(value, here)
