"""A draft as a commented `plant.yaml`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tidemill.contracts.draft import Draft

_HEAD = """\
# How Tidemill reads the events of this plant. `tidemill check` says what is wrong with this file.
plant: {plant}
partitions: {partitions}    # of every topic per asset, for ever: changing it is a migration
schemas: {schemas}    # the plant's own Avro records; commit ids.lock.json there with them
streams:
  {stream}:
    event: {event}          # full name of the Avro record in sensor.events
    asset: {asset}                 # which fields carry asset, time and id
    time: {time}
"""
_MODEL = """\
    model:                         # River classes by name; scalers first, one predictor last
      champion: {champion}
      # challengers: {{tree: [tree.HoeffdingTree{tree}]}}   # learn and predict beside it, unserved
      # memory: 8MiB               # budget of one model
    # lateness: 5m                 # grace after the watermark
    # explanations: {{which: all}}   # all | {{every: 10}} | on_alarm | on_request
    # drift: {{run_length: 100000, question_timeout: 2h, hold_at_most: 0.05}}
    # feedback: {{roles: [operator, domain_expert], veto_needs: domain_expert}}
"""


def draft_text(draft: Draft, *, plant: str, stream: str, schemas: str, partitions: int) -> str:
    """Return the text of a definition that `parse_definition` takes."""
    time = draft.time if draft.unit is None else f"{{field: {draft.time}, unit: {draft.unit}}}"
    tree = "Regressor" if draft.kind == "regression" else "Classifier"
    head = _HEAD.format(
        plant=_scalar(plant),
        partitions=partitions,
        schemas=json.dumps(schemas),
        stream=_scalar(stream),
        event=draft.event,
        asset=_scalar(draft.asset),
        time=_scalar(time) if draft.unit is None else time,
    )
    identity = (
        f"    id: {_scalar(draft.id)}\n"
        if draft.id
        else "    # id: event_id                 # a field unique per asset; labels need one\n"
    )
    model = _MODEL.format(champion=draft.champion, tree=tree)
    return head + identity + _features(draft) + _target(draft) + model


def _features(draft: Draft) -> str:
    lines = [
        "    features:                      # in the order in which they reach the models",
        "      # unit: any text; range: what is physically possible, beyond it is flagged",
    ]
    if draft.ranges:
        lines.append("      # the ranges below are guesses from the file: set what is possible")
    for name in draft.numeric:
        found = draft.ranges.get(name)
        inside = f"range: [{found[0]:g}, {found[1]:g}]" if found else ""
        lines.append(f"      {_scalar(name)}: {{{inside}}}")
    lines += [f"      {_scalar(name)}: {{kind: nominal}}" for name in draft.nominal]
    lines += [
        f"      # {name}: left out, it is neither a number nor one of few texts"
        for name in draft.left_out
    ]
    return "\n".join(lines) + "\n"


def _target(draft: Draft) -> str:
    head = "    target:                        # exactly one of: label | field | ahead | none\n"
    classes = f", classes: {json.dumps(list(draft.classes))}" if draft.classes else ""
    guess = "   # a guess: name what is to be predicted" if draft.is_guess else ""
    field = f"field: {{name: {_scalar(draft.target)}, kind: {draft.kind}{classes}}}"
    return f"{head}      {field}{guess}\n"


def _scalar(name: str) -> str:
    """Return a name as YAML reads it back: quoted where it would be a number, truth or null."""
    is_word = name[0].isalpha() or name[0] == "_"
    is_plain = is_word and name.lower() not in ("true", "false", "null")
    return name if is_plain else json.dumps(name)
