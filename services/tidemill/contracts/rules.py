"""What keys of one definition require and exclude of each other."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

from tidemill.contracts.stream import DerivationKind

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tidemill.contracts.document import (
        FeatureDocument,
        FeedbackDocument,
        FieldDocument,
        LabelDocument,
        ModelDocument,
        PlantDocument,
        StreamDocument,
        TargetDocument,
    )


def plant_rules(document: PlantDocument) -> Iterator[str]:
    """Yield each broken rule of what `document` holds, with its path."""
    streams = document.streams or {}
    claimed: dict[str, str] = {}
    for name, stream in streams.items():
        path = f"streams.{name}"
        if stream.event is not None:
            other = claimed.setdefault(stream.event, name)
            if other != name:
                yield (
                    f"{path}.event: must be claimed by one stream, {stream.event} is also"
                    f" claimed by streams.{other}"
                )
        yield from _features(stream, path)
        yield from _target(stream, path)
        yield from _model(stream.model, stream.target, path)
        yield from _feedback(stream.feedback, f"{path}.feedback")


def _features(stream: StreamDocument, path: str) -> Iterator[str]:
    features = stream.features or {}
    roles = {"asset": stream.asset, "time": stream.time and stream.time.field, "id": stream.id}
    if stream.target and stream.target.field:
        roles["target"] = stream.target.field.name
    for role, field in roles.items():
        if field in features:
            yield f"{path}.features.{field}: must not be a feature, it is the stream's {role}"
    for name, feature in features.items():
        yield from _derived(name, features, f"{path}.features")
        if feature.kind == "nominal":
            given = {
                "range": feature.range,
                "unit": feature.unit,
                "stuck_after": feature.stuck_after,
                "rate": feature.rate,
            }
            for key, value in given.items():
                if value is not None:
                    yield f"{path}.features.{name}.{key}: excludes kind: nominal, was {value!r}"


def _derived(name: str, features: Mapping[str, FeatureDocument], path: str) -> Iterator[str]:
    """Yield what is wrong with a feature that is made of another one's readings."""
    feature = features[name]
    takes = feature.takes
    if feature.of is None:
        for key in takes:
            yield f"{path}.{name}.{key}: requires of: the sensor whose readings it is made of"
        return
    if len(takes) != 1:
        known = ", ".join(get_args(DerivationKind))
        yield f"{path}.{name}: must take one of {known}, was {', '.join(takes) or 'none'}"
    source = features.get(feature.of)
    if source is None or source.of is not None or source.kind != "numeric":
        yield f"{path}.{name}.of: must name a numeric sensor among the features, was {feature.of!r}"
    given = {"range": feature.range, "stuck_after": feature.stuck_after, "rate": feature.rate}
    for other, value in {**given, "required": feature.required or None}.items():
        if value is not None:
            yield f"{path}.{name}.{other}: excludes of, was {value!r}"
    if feature.kind != "numeric":
        yield f"{path}.{name}.kind: must be numeric with of, was {feature.kind}"


def _target(stream: StreamDocument, path: str) -> Iterator[str]:
    target = stream.target
    if target is None:
        return
    label = target.label
    if label and label.join is not None and label.join != ["asset", "time"]:
        yield f"{path}.target.label.join: must be [asset, time], was {label.join!r}"
    if label and label.join is None and stream.id is None:
        yield f"{path}.target.label: requires {path}.id or join: [asset, time], was neither"
    if label and label.join is not None and stream.id is not None:
        yield f"{path}.target.label.join: excludes {path}.id, was both"
    for kind, given in (("label", label), ("field", target.field)):
        if given:
            yield from _classes(given, f"{path}.target.{kind}")


def _classes(target: FieldDocument | LabelDocument, path: str) -> Iterator[str]:
    if target.kind == "binary" and target.classes is None:
        yield f"{path}: kind: binary requires classes: [negative, positive], was without"
    if target.kind != "binary" and target.classes is not None:
        yield f"{path}.classes: requires kind: binary, was kind: {target.kind}"


def _model(model: ModelDocument | None, target: TargetDocument | None, path: str) -> Iterator[str]:
    if model is None or target is None:
        return
    given = target.label or target.field
    if model.challengers and not target.model_fields_set:
        yield f"{path}.model.challengers: requires a target, was target: none"
    if "champion" in model.challengers:
        yield f"{path}.model.challengers.champion: must have another name, this is the champion's"
    if model.repeat and (given is None or given.kind == "regression"):
        kind = given.kind if given else "ahead" if target.ahead else "none"
        yield f"{path}.model.repeat: requires a binary or multiclass target, was {kind}"
    elif model.repeat and given and given.classes:
        for key in model.repeat:
            if key not in given.classes:
                yield f"{path}.model.repeat.{key}: must be one of the classes {given.classes}"


def _feedback(feedback: FeedbackDocument, path: str) -> Iterator[str]:
    if "explanation" in feedback.kinds and "inference" not in feedback.kinds:
        yield f"{path}.kinds: explanation requires inference, was {feedback.kinds!r}"
    if feedback.veto_needs is not None and feedback.veto_needs not in feedback.roles:
        yield (
            f"{path}.veto_needs: requires that role in {path}.roles,"
            f" was {feedback.veto_needs} with roles {feedback.roles!r}"
        )
    if feedback.experts and "domain_expert" not in feedback.roles:
        yield f"{path}.experts: requires domain_expert in {path}.roles, was {feedback.roles!r}"
