"""One model of one asset: its River pipeline, and what names its state."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from importlib.metadata import version as version_of
from typing import TYPE_CHECKING, Any, NamedTuple

from tidemill.models.compiled import quicken
from tidemill.models.controls import NOTHING_DECIDED, Controls
from tidemill.models.means import Means, keeps_means
from tidemill.models.pipelines import build_pipeline, pipeline_text
from tidemill.models.recent import Recent
from tidemill.models.refining import Refinement

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tidemill.contracts.stream import Feature, Step
    from tidemill.models.labels import Labels
    from tidemill.models.refining import RegionKind
    from tidemill.models.running_metrics import RunningMetrics

SHA256_BYTES = 32


class ModelKey(NamedTuple):
    """Which model: the stream, the asset, and the model's name `<stream>/<champion or other>`."""

    stream: str
    asset: str
    model: str

    def encode(self) -> bytes:
        """Return the Kafka key `stream|asset|model`."""
        return "|".join(self).encode()

    @classmethod
    def decode(cls, key: bytes) -> ModelKey:
        """Return the model a Kafka key names.

        Raises:
            ValueError: Not `stream|asset|model` in UTF-8.
        """
        stream, bar, rest = key.decode().partition("|")
        asset, bar2, model = rest.rpartition("|")
        if not (bar and bar2):
            msg = f"a key must be stream|asset|model, was {key!r}"
            raise ValueError(msg)
        return cls(stream, asset, model)


@dataclass(frozen=True, slots=True)
class Blueprint:
    """What a model of a stream is built from; equal digests mean states fit one another.

    Attributes:
        repeats: How often it learns a case, by class key; no part of the digest.
        region: What comes with its answers; no part of it either.
        keeps_means: Whether explanations need to know the mean of what it learned.
    """

    name: str
    steps: tuple[Step, ...]
    features: tuple[Feature, ...]
    target: str
    seed: int
    digest: bytes = b""
    repeats: Mapping[str, int] = field(default_factory=dict)
    region: RegionKind = "none"
    keeps_means: bool = False

    @classmethod
    def of(
        cls,
        name: str,
        steps: Sequence[Step],
        features: Sequence[Feature],
        *,
        target: str,
        seed: int,
    ) -> Blueprint:
        """Return a blueprint with its state digest: pipeline, feature layout, River's version."""
        layout = [_layout(feature) for feature in features]
        river = version_of("river")
        text = json.dumps([pipeline_text(steps), layout, target, seed, river])
        digest = hashlib.sha256(text.encode()).digest()
        return cls(
            name,
            tuple(steps),
            tuple(features),
            target,
            seed,
            digest,
            keeps_means=keeps_means(steps),
        )


def _layout(feature: Feature) -> list[str]:
    made = [] if feature.derived is None else [feature.derived.model_dump_json()]
    return [feature.name, feature.kind, *made]


class Anchored(NamedTuple):
    """Where a model stood at an anchor: its version, what its asset had seen, and the ledger.

    Attributes:
        way: What it would take to walk there from the beginning of the ledger.
    """

    version: int
    seen: int
    way: int


@dataclass(slots=True)
class ModelState:
    """The running state of one model; everything here and nothing else is its snapshot.

    Attributes:
        pipeline: River's pipeline, or its compiled form.
        lineage: Chain digest over the value bytes that changed the state, in applied order.
        version: Learning steps; never goes back.
        structure: Resets, swaps, vetoes and other breaks so far.
        applied: Per source topic and partition, the last cause applied (offset, index).
        at_budget: The memory budget was met: it learns no more.
        anchored: Where it stood at its last anchor; None before the first.
        recent: What events are judged by; one and the same in all models of an asset.
        refinement: What the model learned of its own answers.
        means: Of what it learned, where explanations measure from there; None where they do not.
        controls: What people decided of it; None where nobody has.
        metrics: Of its answers, where their labels come apart from the events; None until one has.
        labels: Which events it was given labels of, where these come apart from the events; None
            until one has.
    """

    pipeline: Any  # Any: River carries no types
    lineage: bytes
    version: int = 0
    structure: int = 0
    applied: dict[tuple[str, int], tuple[int, int]] = field(default_factory=dict)
    at_budget: bool = False
    anchored: Anchored | None = None
    recent: Recent = field(default_factory=Recent)
    refinement: Refinement = field(default_factory=Refinement)
    means: Means | None = None
    controls: Controls | None = None
    metrics: RunningMetrics | None = None
    labels: Labels | None = None

    @classmethod
    def fresh(cls, key: ModelKey, blueprint: Blueprint) -> ModelState:
        """Return the state before the first event; its lineage names what it starts from."""
        origin = origin_of(key, blueprint)
        seed = int.from_bytes(hashlib.sha256(origin + blueprint.seed.to_bytes(8)).digest()[:4])
        pipeline = build_pipeline(blueprint.steps, features=blueprint.features, seed=seed)
        means = Means() if blueprint.keeps_means else None
        return cls(quicken(pipeline), origin, means=means)

    def advance(self, value: bytes) -> None:
        """Count one learning step caused by the record `value`."""
        self.lineage = hashlib.sha256(self.lineage + value).digest()
        self.version += 1

    @property
    def is_frozen(self) -> bool:
        """Whether it learns no more, until it is resumed if that is why."""
        controls = self.controls
        return self.at_budget or (controls is not None and bool(controls.frozen_by))

    @property
    def has_pending(self) -> bool:
        """Whether corrections wait for their re-fold."""
        return self.controls is not None and bool(self.controls.pending)

    @property
    def decided(self) -> Controls:
        """What people decided of it, nothing perhaps."""
        return NOTHING_DECIDED if self.controls is None else self.controls

    def seen(self, x: dict[str, Any]) -> dict[str, Any]:  # Any: numbers and strings
        """Return what it may see of a case."""
        return x if self.controls is None else self.controls.without_vetoed(x)

    def is_held(self, time_us: int) -> bool:
        """Return whether it must not learn what happened at this event time."""
        return self.controls is not None and self.controls.holds_at(time_us)

    def stop_growing(self) -> None:
        """Meet the memory budget: learn no more.

        A tree that only split no further would still grow, with every new class and category.
        """
        self.at_budget = True
        self.structure += 1


def origin_of(key: ModelKey, blueprint: Blueprint) -> bytes:
    """Return the lineage of a model that has learned nothing."""
    return hashlib.sha256(key.encode() + b"\0" + blueprint.digest).digest()


def tree_of(pipeline: Any) -> Any:  # Any: River carries no types
    """Return the predictor of a pipeline if it is a tree, else None."""
    steps = getattr(pipeline, "steps", None)
    last = pipeline if steps is None else list(steps.values())[-1]
    return last if hasattr(last, "_growth_allowed") else None


def splits(tree: Any) -> int:  # Any: as above
    """Return how many leaves a tree has gained by splitting."""
    leaves: int = tree._n_active_leaves + tree._n_inactive_leaves
    return max(0, leaves - 1)
