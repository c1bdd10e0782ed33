"""How a result was made: the `protocol` that stands beside the numbers in every JSON file of results."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from videoflow_tf.errors import UserError
from videoflow_tf.files import own_stem
from videoflow_tf.units import counted

if TYPE_CHECKING:
    import numpy as np

    from videoflow_tf.predictors.predictor import Predictor


@dataclasses.dataclass(frozen=True)
class Protocol:
    """What a result depends on; None where a kind of result has no such thing.

    Raises:
      UserError: on construction, for a count below 1 or a temperature that is no finite number of 0 or more.
    """

    dataset: str | None = None
    data_dir: str | None = None  # Where it was read from.
    videos_digest: str | None = None  # Of their pixels, see `videos_digest`.
    split: str | None = None
    videos: int | None = None  # How many: the first so many of the split.
    clips: int | None = None  # Of each video, beginning at its frames 1, 2, ...; None: the first.
    samples: int | None = None  # Of each clip.
    context: int | None = None  # Frames given.
    frames: int | None = None  # Of a clip, context included; in the files of `sample`, the generated ones alone.
    scored: int | None = None  # Of these the last so many, whose bits are counted.
    temperature: float | None = None  # Factor of every sigma in the prior.
    seed: int | None = None
    step: int | None = None  # Training steps of the model.
    identity: str | None = None  # Of the model or predictor, see `identity_digest`.
    predictor: str | None = None  # Which, where it is not the model of a run.
    name: str | None = None  # Of the paper that it follows.
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)  # JSON values of the kind's own.

    def __post_init__(self) -> None:
        if self.data_dir is not None:  # From Python it may be a `Path`.
            object.__setattr__(self, "data_dir", str(self.data_dir))
        for name in ("videos", "samples", "frames"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UserError(f"{name}={value} must be at least 1")
        if self.temperature is not None and not 0 <= self.temperature < math.inf:
            raise UserError(f"temperature={self.temperature} must be a finite number, 0 or more")

    @classmethod
    def of(cls, predictor: Predictor, /, **fields: Any) -> Protocol:
        """With the dataset, the context, the step and the identity of `predictor`, unless `fields` has others."""
        if "identity" not in fields:  # It may have to be computed.
            fields["identity"] = identity_digest(predictor.identity)
        config = predictor.config
        return cls(**{"dataset": config.dataset, "context": config.num_context, "step": predictor.step} | fields)

    @classmethod
    def of_metric(cls, metrics: Mapping[str, Any], name: str) -> Protocol:
        """Of a metric in a file of metrics, where that of bits_per_pixel stands at the top level."""
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

    def is_like(self, other: Protocol) -> bool:
        """Whether results are the same, wherever their data are and whatever the files are called."""
        ours, theirs = (json.dumps(_without_places(protocol.to_json()), sort_keys=True) for protocol in (self, other))
        return ours == theirs

    def own_stem(self, stem: str | Path) -> str:
        """As `files.own_stem`, of a result with this `protocol` in its .json; its mark is the training step, unless the
        name has that anyway."""
        mark = "" if self.step_mark in Path(stem).name else self.step_mark
        return own_stem(stem, lambda values: self.is_like(self.from_json(values["protocol"])), mark)

    @property
    def step_mark(self) -> str:
        """The training step as it is in names of files; empty where there is none."""
        return "" if self.step is None else f"step-{self.step:07d}"

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


def identity_digest(identity: Mapping[str, Any]) -> str:
    """16 hexadecimal digits that differ where the JSON values of an identity do."""
    return hashlib.sha256(json.dumps(dict(identity), sort_keys=True).encode()).hexdigest()[:16]


def videos_digest(videos: Iterable[np.ndarray], before: str = "") -> str:
    """16 hexadecimal digits that differ where the shapes or pixels of uint8 arrays, or those of arrays `before`, do."""
    digest = hashlib.sha256(before.encode())
    for video in videos:
        digest.update(repr(video.shape).encode() + video.tobytes())
    return digest.hexdigest()[:16]


def _without_places(value: Any) -> Any:
    """JSON values without the names of folders and files."""
    if not isinstance(value, dict):
        return value
    return {name: _without_places(inner) for name, inner in value.items() if name not in _PLACES}


_PLACES = ("data_dir", "video_file")
_FIELDS = tuple(field.name for field in dataclasses.fields(Protocol) if field.name != "settings")
