"""The parts that a configuration or a command names: couplings, latent encoders, datasets, metrics, predictors.

To add one, write its class in a file of its own and add one line to a table here; from outside the package, call for
example `DATASETS.register("mine", MyDataset)` before anything is asked for that name.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from typing import Any

from videoflow_tf.errors import UserError


class Registry:
    """Names and their classes, in the order in which they are listed.

    A class may be given as "module:Class", which is imported when the class is first asked for: names can then be
    listed without TensorFlow.
    """

    def __init__(self, kind: str, parts: Mapping[str, Any]) -> None:
        """`kind` is what a message calls a part, such as "dataset"; `parts` maps names to classes or strings."""
        self._kind = kind
        self._parts = dict(parts)

    def register(self, name: str, part: Any) -> None:
        """Adds `part`, a class or "module:Class", under a new name.

        Raises:
          UserError: the name is taken.
        """
        if name in self._parts:
            raise UserError(f"there is a {self._kind} {name!r} already; choose another name")
        self._parts[name] = part

    def unregister(self, name: str) -> None:
        """Removes a name, for example at the end of a test; raises `UserError` if there is none."""
        self._find(name)
        del self._parts[name]

    def __getitem__(self, name: str) -> Any:
        """The class of that name; raises `UserError` if there is none."""
        part = self._find(name)
        if isinstance(part, str):
            module, _, attribute = part.partition(":")
            part = self._parts[name] = getattr(importlib.import_module(module), attribute)
        return part

    def __iter__(self) -> Iterator[str]:
        return iter(self._parts)

    def _find(self, name: str) -> Any:
        if name not in self._parts:
            raise UserError(f"unknown {self._kind} {name!r}; one of: {', '.join(self._parts)}")
        return self._parts[name]


COUPLINGS = Registry(
    "coupling",
    {
        "affine": "bijectors.coupling:AffineCoupling",
        "additive": "bijectors.coupling:AdditiveCoupling",
    },
)
LATENT_ENCODERS = Registry(
    "latent encoder",
    {
        "conv3d": "videoflow_tf.latent_encoders.conv3d:Conv3DEncoder",
        "conv2d": "videoflow_tf.latent_encoders.conv2d:Conv2DEncoder",
        "conv_lstm": "videoflow_tf.latent_encoders.conv_lstm:ConvLSTMEncoder",
        "pointwise": "videoflow_tf.latent_encoders.pointwise:PointwiseEncoder",
    },
)
DATASETS = Registry(
    "dataset",
    {
        "shapes": "videoflow_tf.data.shapes:Shapes",
        "bair": "videoflow_tf.data.bair:Bair",
        "videos": "videoflow_tf.data.video_folder:VideoFolder",
        "tfds": "videoflow_tf.data.tfds_videos:TfdsVideos",
    },
)
METRICS = Registry(
    "metric",
    {
        "bits_per_pixel": "videoflow_tf.metrics.likelihood:BitsPerPixel",
        "psnr": "videoflow_tf.metrics.similarity:PSNR",
        "ssim": "videoflow_tf.metrics.similarity:SSIM",
        "lpips": "videoflow_tf.metrics.lpips:LPIPS",
        "vgg_cosine": "videoflow_tf.metrics.vgg_metrics:VGGCosine",
        "fvd": "videoflow_tf.metrics.fvd:FVD",
        "diversity": "videoflow_tf.metrics.diversity:Diversity",
        "vgg_diversity": "videoflow_tf.metrics.vgg_metrics:VGGDiversity",
        "legal_futures": "videoflow_tf.metrics.legal_futures:LegalFutures",
    },
)
PREDICTORS = Registry(
    "predictor",
    {
        "copy_last": "videoflow_tf.predictors.floors:CopyLast",
        "linear": "videoflow_tf.predictors.floors:Linear",
    },
)
