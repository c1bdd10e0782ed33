"""What is measured: the sizes, and the training step and sampler of a model of one of them."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable
from typing import TYPE_CHECKING

import flops

from videoflow_tf.config import PRESETS, VideoFlowConfig

if TYPE_CHECKING:
    import tensorflow as tf

    from videoflow_tf import VideoFlow

# Read by TensorFlow when it is imported, hence before any import of it.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

_SMALL = PRESETS["bair"].replace(
    depth=4, coupling_width=64, latent_encoder_depth=2, latent_encoder_width=32, latent_dilations=(1,)
)
CONFIGS: dict[str, VideoFlowConfig] = {
    # Nothing to learn from but whether the benchmarks run.
    "XS": _SMALL.replace(frame_size=16, levels=2, depth=2, coupling_width=16, latent_encoder_width=8),
    "S": _SMALL,
    "M": _SMALL.replace(depth=6, coupling_width=256, latent_encoder_depth=3, latent_encoder_width=128),
    "L": PRESETS["bair"],
}
TEMPERATURE = 0.5


@dataclasses.dataclass(frozen=True)
class Work:
    """A model, and how much it is given to do at a time.

    num_frames: of a training clip, context included; or frames to draw after a context of `config.num_context`.
    jit_compile: with XLA.
    """

    config: VideoFlowConfig
    batch_size: int
    num_frames: int
    jit_compile: bool = False

    def without_prior(self) -> Work:
        """The same flow on every frame, and a convolution a level for its Gaussian: no prior over time."""
        return dataclasses.replace(self, config=self.config.replace(conditional=False))

    def training_gflop(self) -> float:
        """Of one training step."""
        return self.batch_size * flops.training_flops(self.config, self.num_frames, self.config.num_unscored) / 1e9

    def sampling_gflop(self) -> float:
        """Of drawing one batch."""
        given = self.config.num_context
        parts = flops.forward_flops(self.config, given + self.num_frames, given)
        return self.batch_size * sum(parts.values()) / 1e9

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Work:
        values = json.loads(text)
        return cls(**{**values, "config": VideoFlowConfig(**values["config"])})


def make_model(config: VideoFlowConfig) -> VideoFlow:
    """A model ready to train, its optimizer's variables built."""
    from videoflow_tf import VideoFlow
    from videoflow_tf.training.optimizer import make_optimizer

    model = VideoFlow(config)
    model.compile(optimizer=make_optimizer(config))
    model.optimizer.build(model.trainable_variables)
    return model


def random_clips(config: VideoFlowConfig, batch_size: int, num_frames: int) -> tf.Tensor:
    """Clips uint8 [B, T, H, W, C] of noise: what the pixels show makes no difference to the time."""
    import tensorflow as tf

    shape = [batch_size, num_frames, *config.frame_shape]
    values = tf.random.stateless_uniform(shape, seed=[0, 0], maxval=256, dtype=tf.int32)
    return tf.cast(values, tf.uint8)


def compiled_training_step(model: VideoFlow, jit_compile: bool) -> tf.types.experimental.PolymorphicFunction:
    """`model.train_step` on clips uint8 [B, T, H, W, C] as one graph."""
    import tensorflow as tf

    return tf.function(model.train_step, jit_compile=jit_compile)


def compiled_sampler(model: VideoFlow, num_frames: int, jit_compile: bool) -> tf.types.experimental.PolymorphicFunction:
    """`model.predict_frames` of contexts uint8 [B, K, H, W, C] and seeds int32 [2] as one graph.

    To XLA all is one operation, so that levels do not run beside each other: there, all frames at a time.
    """
    import tensorflow as tf

    def sample(context: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        if jit_compile:
            at_once = num_frames * context.shape[0]
            frames = model.sample_frames(context, num_frames, TEMPERATURE, seed, frames_at_once=at_once)
            return model.quantize(frames[0])
        return model.predict_frames(context, num_frames, TEMPERATURE, seed=seed)

    return tf.function(sample, jit_compile=jit_compile, autograph=False)


def training_task(work: Work) -> Callable[[], float]:
    """A function without arguments that takes one training step, and waits for its end."""
    step = compiled_training_step(make_model(work.config), work.jit_compile)
    clips = random_clips(work.config, work.batch_size, work.num_frames)
    return lambda: finished(step(clips)["gradient_norm"])


def sampling_task(work: Work) -> Callable[[], tf.Tensor]:
    """A function without arguments that draws `work.num_frames` frames after every context, and waits for them."""
    import tensorflow as tf

    from videoflow_tf import VideoFlow

    sampler = compiled_sampler(VideoFlow(work.config), work.num_frames, work.jit_compile)
    context = random_clips(work.config, work.batch_size, max(1, work.config.num_context))
    seed = tf.constant([0, 1], tf.int32)
    return lambda: finished(sampler(context, seed))


def finished(tensor: tf.Tensor) -> tf.Tensor:
    """The tensor, after everything that was handed to the devices is done."""
    import tensorflow as tf

    tf.test.experimental.sync_devices()
    return tensor.numpy()
