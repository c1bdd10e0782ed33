"""How a result was made: the `protocol` that stands beside the numbers in every JSON file of results."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from videoflow_tf.errors import UserError
from videoflow_tf.units import counted

if TYPE_CHECKING:
    from videoflow_tf.model.video_flow import VideoFlow
    from videoflow_tf.predictors.predictor import Predictor


@dataclasses.dataclass(frozen=True)
class Protocol:
    """What a result depends on; None where a kind of result has no such thing.

    Raises:
      UserError: on construction, for a count below 1 or a temperature that is no finite number of 0 or more.
    """

    dataset: str | None = None
    data_dir: str | None = None  # Where it was read from.
    split: str | None = None
    videos: int | None = None  # How many: the first so many of the split.
    clips: int | None = None  # Of each video, beginning at its frames 1, 2, ...; None: the first.
    samples: int | None = None  # Of each clip.
    context: int | None = None  # Frames given.
    frames: int | None = None  # Of a clip, context included; in the files of `sample`, the generated ones alone.
    temperature: float | None = None  # Factor of every sigma in the prior.
    seed: int | None = None
    step: int | None = None  # Training steps of the model.
    identity: str | None = None  # A digest of what tells the model or predictor from others.
    predictor: str | None = None  # Which, where it is not the model of a run.
    name: str | None = None  # Of the paper that it follows.
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)  # JSON values of the kind's own.

    def __post_init__(self) -> None:
        for name in ("videos", "samples", "frames"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UserError(f"{name}={value} must be at least 1")
        if self.temperature is not None and not 0 <= self.temperature < math.inf:
            raise UserError(f"temperature={self.temperature} must be a finite number, 0 or more")

    @classmethod
    def of(cls, model: VideoFlow | Predictor, **fields: Any) -> Protocol:
        """With the dataset, the context and the step of `model`, unless `fields` has others."""
        step = None if model.step is None else int(model.step)
        return cls(**{"dataset": model.config.dataset, "context": model.config.num_context, "step": step} | fields)

    @classmethod
    def of_metric(cls, metrics: Mapping[str, Any], name: str) -> Protocol:
        """Of a metric in metrics.json, where that of bits_per_pixel stands at the top level."""
        return cls.from_json(metrics[name].get("protocol") or metrics["protocol"])

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Protocol:
        """The inverse of `to_json`."""
        own = {name: value for name, value in values.items() if name in _FIELDS}
        return cls(**own, settings={name: value for name, value in values.items() if name not in _FIELDS})

    def to_json(self) -> dict[str, Any]:
        """The fields that are not None, and the settings beside them."""
        own = {name: getattr(self, name) for name in _FIELDS}
        return {name: value for name, value in own.items() if value is not None} | dict(self.settings)

    @property
    def num_predicted(self) -> int:
        """Frames of a clip after the context."""
        return self.frames - self.context

    @property
    def videos_text(self) -> str:
        """For example "256 test videos", and of samples how many of each and at which temperature."""
        of_split = "" if self.split is None else f"{self.split} "
        text = f"{counted(self.videos, f'{of_split}video')}"
        if self.samples is not None:
            text += f", {counted(self.samples, 'sample')} each"
        return text if self.temperature is None else f"{text}, temperature {self.temperature:g}"


_FIELDS = tuple(field.name for field in dataclasses.fields(Protocol) if field.name != "settings")
