"""River's pipeline of steps that have no problems, with what is ours filled in."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from tidemill.models.allowed import (
    ALLOWED,
    COMPONENTS,
    component,
    entry_of,
    parameters_of,
    river_class,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from tidemill.contracts.stream import Feature, Step

_FILTER = "anomaly.QuantileFilter"
_DETECTOR = "anomaly_detector"
# River's own default, said where something stands in for it.
_LEAF_MODEL = "linear_model.LinearRegression"


@dataclass(frozen=True, slots=True)
class _Setting:
    """What a class is built into: features in order, those still nominal, and the seed."""

    names: tuple[str, ...]
    nominal: tuple[str, ...]
    seed: int

    @property
    def numeric(self) -> tuple[str, ...]:
        return tuple(name for name in self.names if name not in self.nominal)


def shielded(steps: Sequence[Step]) -> list[Step]:
    """Return the steps with a detector that stands bare put behind a filter.

    It would learn what it raises an alarm for, and be blind to it from then on.
    """
    *before, last = steps
    if last.name in ALLOWED and ALLOWED[last.name].role == "detector":
        held = {_DETECTOR: {last.name: last.parameters}}
        last = last.model_copy(update={"name": _FILTER, "parameters": parameters_of(_FILTER, held)})
    return [*before, last]


def build_pipeline(
    steps: Sequence[Step], *, features: Sequence[Feature], seed: int
) -> Any:  # Any: River's pipeline carries no types
    """Return a fresh River pipeline, or the bare predictor where it stands alone.

    A filter stands around the whole pipeline: what is kept from the detector is kept from the
    scaler before it.
    """
    from river import compose  # noqa: PLC0415 - River takes seconds to import; only who builds pays

    nominal = tuple(feature.name for feature in features if feature.kind == "nominal")
    setting = _Setting(tuple(feature.name for feature in features), nominal, seed)
    built: list[Any] = []  # Any: River's transformers
    *before, last = shielded(steps)
    for step in before:
        built.append(_build(step.name, step.parameters, setting))
        if ALLOWED[step.name].encodes:
            setting = replace(setting, names=setting.numeric, nominal=())

    def join(model: Any) -> Any:  # Any: as above
        return compose.Pipeline(*built, model) if built else model

    if _DETECTOR in last.parameters:
        return _build(last.name, last.parameters, setting, join)
    return join(_build(last.name, last.parameters, setting))


def _build(
    name: str,
    given: Mapping[str, object],
    setting: _Setting,
    join: Callable[[Any], Any] | None = None,  # Any: River's models
) -> Any:  # Any: as above
    """Return an instance of a class, components and all; `join` puts steps before a detector."""
    cls = river_class(name)
    parameters: dict[str, Any] = {}  # Any: values, and River's components
    known = inspect.signature(cls).parameters
    given = parameters_of(name, given)
    if "leaf_model" in known and setting.nominal:
        given = {"leaf_model": _LEAF_MODEL, **given}
    for key, value in given.items():
        parameters[key] = value
        if key in COMPONENTS and value is not None:
            parameters[key] = _build(*component(value), setting)
    if join is not None:
        parameters[_DETECTOR] = join(parameters[_DETECTOR])
    if "nominal_attributes" in known and setting.nominal:
        parameters["nominal_attributes"] = list(setting.nominal)
    if "seed" in known and "seed" not in parameters:
        parameters["seed"] = setting.seed
    parameters.update(entry_of(name).fixed)
    if name in _AROUND:
        return _AROUND[name](cls, parameters, setting)
    return _steady(cls, setting)(**parameters)


def _steady(cls: Any, setting: _Setting) -> Any:  # Any: River's class
    """Return the class that stands in for one of River's that differs between processes."""
    from tidemill.models import steady  # noqa: PLC0415 - imports River, see `build_pipeline`

    nominal = steady.STEADY_NOMINAL if setting.nominal else {}
    return steady.STEADY.get(cls) or nominal.get(cls, cls)


def _encoder(cls: Any, parameters: dict[str, Any], setting: _Setting) -> Any:  # Any: River's
    from tidemill.models.encoding import EncodedCategories  # noqa: PLC0415 - as above

    return EncodedCategories(cls(**parameters), setting.nominal)


def _previous(cls: Any, parameters: dict[str, Any], setting: _Setting) -> Any:  # Any: River's
    from tidemill.models.imputing import Completed  # noqa: PLC0415 - as above

    return Completed(cls(**parameters), setting.names)


def _statistic(cls: Any, parameters: dict[str, Any], setting: _Setting) -> Any:  # Any: River's
    from tidemill.models.imputing import Completed  # noqa: PLC0415 - as above

    imputers = [(name, parameters["statistic"].clone()) for name in setting.numeric]
    return Completed(cls(*imputers), setting.names)


def _scorer(cls: Any, parameters: dict[str, Any], setting: _Setting) -> Any:  # noqa: ARG001  # one signature for all; Any: River's
    from tidemill.models.scoring import LargestScore  # noqa: PLC0415 - as above

    return LargestScore(cls(**parameters))


def _half_spaces(cls: Any, parameters: dict[str, Any], setting: _Setting) -> Any:  # Any: River's
    limits = dict.fromkeys(setting.numeric, (0.0, 1.0))
    return _steady(cls, setting)(**parameters, limits=limits)


# Classes that are put together in a way of their own.
_AROUND: Mapping[str, Callable[[Any, dict[str, Any], _Setting], Any]] = {  # Any: River's
    "preprocessing.OneHotEncoder": _encoder,
    "preprocessing.OrdinalEncoder": _encoder,
    "preprocessing.PreviousImputer": _previous,
    "preprocessing.StatImputer": _statistic,
    "anomaly.GaussianScorer": _scorer,
    "anomaly.HalfSpaceTrees": _half_spaces,
}
