"""The flow as one would build it from the parts that TensorFlow Probability brings: the yardstick of `run.py`.

`tfb.Glow` with coupling networks of Keras layers, of the same levels, steps, widths and activations as the model's, on
the same number of frames. It has no prior over time: a convolution of what goes on up gives the Gaussian of what leaves
at each level, and a standard normal the rest. So it does less than the model it is measured against.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import tensorflow as tf
import tf_keras
from tensorflow_probability import bijectors as tfb
from tensorflow_probability import distributions as tfd
from work import Work, finished, random_clips

from videoflow_tf.config import VideoFlowConfig
from videoflow_tf.registry import COUPLINGS


def coupling_network(input_shape: tuple[int, int, int], config: VideoFlowConfig) -> tf_keras.Model:
    """3x3, relu, 1x1 (gated: tanh times sigmoid), 3x3 that starts at zero; [N, h, w, c] -> [N, h, w, 2c or c]."""
    layers, width = tf_keras.layers, config.coupling_width
    x = layers.Input(input_shape)
    h = layers.Conv2D(width, 3, padding="same", activation="relu")(x)
    if config.coupling_activation == "gated":
        h = layers.Conv2D(width, 1, activation="tanh")(h) * layers.Conv2D(width, 1, activation="sigmoid")(h)
    else:
        h = layers.Conv2D(width, 1, activation="relu")(h)
    out_channels = input_shape[-1] * COUPLINGS[config.coupling].parameters_per_channel
    y = layers.Conv2D(out_channels, 3, padding="same", kernel_initializer="zeros")(h)
    return tf_keras.Model(x, y)


def make_distribution(config: VideoFlowConfig) -> tfd.TransformedDistribution:
    """Distribution over single frames [H, W, C]."""
    shape = list(config.frame_shape)
    glow = tfb.Glow(
        output_shape=shape,
        num_glow_blocks=config.levels,
        num_steps_per_block=config.depth,
        coupling_bijector_fn=functools.partial(coupling_network, config=config),
        exit_bijector_fn=tfb.GlowDefaultExitNetwork,
    )
    base = tfd.Sample(tfd.Normal(0.0, 1.0), glow.inverse_event_shape(shape))
    return tfd.TransformedDistribution(base, glow)


def training_task(work: Work) -> Callable[[], float]:
    """A function without arguments that takes one training step on all frames of the clips, and waits for its end."""
    config = work.config
    distribution = make_distribution(config)
    clips = random_clips(config, work.batch_size, work.num_frames)
    frames = tf.reshape(clips, [-1, *config.frame_shape])
    frames = tf.cast(frames, tf.float32) / 256.0 - 0.5
    # Before any graph: actnorm initialises itself from the first batch it sees.
    distribution.log_prob(frames)
    variables = distribution.trainable_variables
    optimizer = tf_keras.optimizers.Adam(config.learning_rate)
    optimizer.build(variables)

    @tf.function(jit_compile=work.jit_compile)
    def step(frames: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            loss = -tf.reduce_mean(distribution.log_prob(frames))
        optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
        return loss

    return lambda: finished(step(frames))
