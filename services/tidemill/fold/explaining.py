"""Explanations of what a fold predicts: each by the very model that predicts, before it learns."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tidemill.attribution.explained import Explained, Share
from tidemill.attribution.explaining import explainer_of
from tidemill.contracts.explanation import (
    Content,
    Explains,
    ExplanationEncoder,
    Method,
    Part,
    named,
)
from tidemill.contracts.topics import EVENTS, EXPLANATIONS
from tidemill.kernel.records import Emit, trace_headers

if TYPE_CHECKING:
    from collections.abc import Callable

    from tidemill.fold.gate import Checked
    from tidemill.fold.plans import StreamPlan
    from tidemill.fold.seen import Seen
    from tidemill.fold.tracked import AssetModels, Tracked
    from tidemill.models.state import Blueprint

    # Told of every explanation: the event, its asset's models, and what was said.
    Listener = Callable[[Seen, AssetModels, Explained], None]


MOST_BLUEPRINTS = 256


class Explaining:
    """Explains predictions of one partition's fold, those that the definition asks for.

    Args:
        choose: Decides which, told whether the definition asks for it; None leaves it to that.
        listener: Told of every explanation.
        breathe: Called after each: one may take long.

    Attributes:
        emits: Explanations since the last `take`, in the order of their predictions.
    """

    def __init__(
        self,
        *,
        choose: Callable[[Seen, bool], bool] | None = None,
        listener: Listener | None = None,
        breathe: Callable[[], None] | None = None,
    ) -> None:
        self.emits: list[Emit] = []
        self._choose = choose
        self._listener = listener
        self._breathe = breathe
        self._encoder: ExplanationEncoder | None = None
        self._names: dict[int, tuple[Blueprint, dict[str, bytes]]] = {}

    def __call__(
        self,
        seen: Seen,
        asset: AssetModels,
        x: dict[str, Any],  # Any: numbers and strings
        *,
        judged: Checked,
        outcome: str | None,
    ) -> None:
        """Explain what the champion said of an event, if that is asked for."""
        is_asked_for = _is_asked_for(seen.plan, asset, judged, outcome)
        if not (is_asked_for if self._choose is None else self._choose(seen, is_asked_for)):
            return
        champion = asset.models[0]
        if champion.explainer is None:
            champion.explainer = explainer_of(
                champion.state, _in_use(champion), seen.plan.task, champion.state.means
            )
        event_id, x = seen.event_id, champion.state.seen(x)
        said = champion.explainer.explain(x, hashlib.sha256(event_id.encode()).digest())
        explained = _nothing(champion) if said is None else said
        state, message = champion.state, seen.message
        explains = Explains(
            event_id,
            asset.about,
            seen.event.time_us,
            message.offset,
            champion.name,
            state.version,
            state.lineage,
        )
        value = self._encode(
            message.partition, explains, self._parts(champion, x, explained), explained
        )
        headers = trace_headers(message.headers)
        self.emits.append(Emit(EXPLANATIONS, message.partition, asset.key, value, headers))
        if self._listener is not None:
            self._listener(seen, asset, explained)
        if self._breathe is not None:
            self._breathe()

    def _parts(
        self,
        champion: Tracked,
        x: dict[str, Any],  # Any: as above
        explained: Explained,
    ) -> list[Part]:
        names = self._names_of(champion.blueprint)
        return [
            Part(
                names[share.feature], x.get(share.feature), share.attribution, share.standard_error
            )
            for share in explained.shares
        ]

    def _names_of(self, blueprint: Blueprint) -> dict[str, bytes]:
        """Return how sensors are written, by name; units may change where the model stays."""
        known = self._names.get(id(blueprint))
        if known is not None and known[0] is blueprint:
            return known[1]
        names = {feature.name: named(feature.name, feature.unit) for feature in blueprint.features}
        if len(self._names) >= MOST_BLUEPRINTS:
            self._names.clear()
        self._names[id(blueprint)] = blueprint, names
        return names

    def _encode(
        self, partition: int, explains: Explains, parts: list[Part], explained: Explained
    ) -> bytes:
        if self._encoder is None:
            self._encoder = ExplanationEncoder(EVENTS, partition)
        content = Content(
            method=Method[explained.method],
            exact=explained.exact,
            output_space=explained.output_space,
            base=explained.base,
            prediction=explained.prediction,
            residual=explained.residual,
            additivity_error=explained.additivity_error,
            target_class=explained.target_class,
            contrast_class=explained.contrast_class,
            reference_kind=explained.reference_kind,
            reference_n=explained.reference_n,
            missing=explained.missing,
            support=explained.support,
            samples=explained.samples,
            neighbours=[(near.distance, near.label) for near in explained.neighbours],
        )
        return self._encoder.encode(explains, parts, content)

    def take(self) -> list[Emit]:
        """Return and forget the explanations made so far."""
        taken, self.emits = self.emits, []
        return taken


def _is_asked_for(
    plan: StreamPlan, asset: AssetModels, judged: Checked, outcome: str | None
) -> bool:
    """Return whether the definition wants a prediction explained: a function of the log alone."""
    asked = plan.explanations
    match asked.which:
        case "all":
            return True
        case "every":
            assert asked.every is not None
            count = asset.models[0].state.recent.count
            return judged.is_learnable and count % asked.every == 0
        case "on_alarm":
            return outcome is not None and outcome == plan.alarm
        case "on_request":
            return False


def _in_use(champion: Tracked) -> Blueprint:
    """Return what a model is built from, without the sensors that it must not use."""
    blueprint, vetoed = champion.blueprint, champion.state.decided.vetoed
    if not vetoed:
        return blueprint
    features = tuple(each for each in blueprint.features if each.name not in vetoed)
    return replace(blueprint, features=features)


def _nothing(champion: Tracked) -> Explained:
    """Return the explanation of a model that says nothing yet: no sensor has added anything."""
    shares = tuple(Share(feature.name, 0.0) for feature in _in_use(champion).features)
    return Explained("SAMPLED", True, "value", 0.0, 0.0, shares, reference_kind="nothing learned")
