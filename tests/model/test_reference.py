"""Likelihood and samples of every kind of model, float64, against the literal ones of `tests/reference.py`."""

import math

import numpy as np
import pytest
import tensorflow as tf

from tests import reference
from tests.conftest import DEEP, ENCODERS
from videoflow_tf.model.likelihood import frame_log_probs
from videoflow_tf.seeds import split_seed, standard_normal

# What to change in `TINY`: every latent encoder with both couplings, and every other choice of the model once.
CHANGES = {
    f"{name}-{coupling}": changes | {"coupling": coupling, "depth": 2}
    for name, changes in ENCODERS.items()
    for coupling in ("affine", "additive")
} | {
    # Latents of 6x10 (dilations 1 and 2 fit) and 3x5 (dilation 1 alone).
    "wide-conv3d": {"frame_size": "12x20", "latent_dilations": (1, 2, 4), "latent_encoder_input": "level"},
    "tall_grey-conv3d": {"frame_size": "20x12", "channels": 1, "latent_dilations": (1, 2, 4)},
    "wide_grey-conv2d": {"frame_size": "8x12", "channels": 1, "latent_encoder": "conv2d", "coupling": "additive"},
    "tall-conv_lstm": {"frame_size": "12x8", "latent_encoder": "conv_lstm"},
    "wide_grey-pointwise": {"frame_size": "8x12", "channels": 1, "latent_encoder": "pointwise"},
    "grey_frames_alone": {"frame_size": "4x8", "channels": 1, "conditional": False},
    "three_levels": {"levels": 3},
    "one_level": {"levels": 1},
    "relu_in_couplings": {"coupling_activation": "relu"},
    "mixture": {"prior_components": 3, "latent_skip": False},
    "mixture-conv2d": {"prior_components": 2, "latent_encoder": "conv2d", "condition_on_first_frame": True},
    "deep": DEEP | {"moved": 0.02},
    "single_frames": {"conditional": False},
    "single_frames_of_a_standard_prior": {"conditional": False, "top_prior": "standard"},
}
SEED = tf.constant([3, 4])


# Encoders and couplings know nothing of each other: beyond the first pair, the other coupling is for `make test-all`.
_CROSSED = [f"{name}-additive" for name in list(ENCODERS)[1:]]


@pytest.fixture(params=[pytest.param(n, marks=pytest.mark.slow) if n in _CROSSED else n for n in CHANGES])
def model(request, make_model):
    # Moved less, the networks would be close to linear; more, and frames grow beyond all bounds as they are drawn.
    return make_model(**({"moved": 0.05} | CHANGES[request.param]))


def clip_and_noise(model, make_video, num_frames: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A video [2, T, H, W, C], noise for its encoded frames, and these: [2, T or T + 1, H, W, C]."""
    video = make_video(2, num_frames, model.config.frame_shape)
    encoded = np.concatenate([video[:, :1]] * model.config.condition_on_first_frame + [video], axis=1)
    noise = np.random.default_rng(1).uniform(size=encoded.shape)
    return video, noise, (encoded + noise) / 256 - 0.5


def test_likelihood(model, make_video):
    video, noise, x = clip_and_noise(model, make_video, 5)
    expected = reference.frame_log_probs(model, x)
    np.testing.assert_allclose(frame_log_probs(model.levels, tf.constant(x)), expected, rtol=1e-10)
    for given in (1, 3):  # Shorter than the window of some encoders, and longer.
        start = x.shape[1] - 5 + given
        future = model.future(video[:, :given], 5 - given, dequantization_noise=noise[:, :start])
        log_prob = expected[:, start:]
        np.testing.assert_allclose(future.log_prob(x[:, start:]), log_prob.sum(axis=1), rtol=1e-10)
        if model.config.conditional:  # Else all frames are scored.
            bits = 8 - log_prob / (math.prod(model.config.frame_shape) * math.log(2))
            np.testing.assert_allclose(model.frame_bits_per_pixel(video, given, noise), bits, rtol=1e-6)
            np.testing.assert_allclose(model.bits_per_pixel(video, given, noise), bits.mean(axis=1), rtol=1e-6)


def test_samples(model, make_video):
    context, noise, x = clip_and_noise(model, make_video, 2)
    expected = reference.sample(model, x, level_noise(model, 4), temperature=0.7)
    assert np.isfinite(expected).all()
    drawn = model.future(context, 4, 0.7, noise).sample(seed=SEED)
    np.testing.assert_allclose(drawn, expected, rtol=1e-9, atol=1e-9)
    predicted = model.predict_frames(context, 4, 0.7, SEED, noise)
    assert predicted.dtype == tf.uint8
    np.testing.assert_array_equal(predicted, np.clip(np.floor((expected + 0.5) * 256), 0, 255))


def level_noise(model, num_frames: int) -> list[np.ndarray]:
    """What the sampler draws from `SEED` for two videos: each level, the lowest first, splits off a seed of its own."""
    noise, seed = [], SEED
    for level in model.levels:
        seed, own = (seed, seed) if level.is_top else split_seed(seed, 2)
        noise.append(standard_normal((2, num_frames, *level.prior.noise_shape), own, tf.float64).numpy())
    return noise


def test_temperature_multiplies_sigma_in_the_density_too(make_model, make_frames):
    model, x = make_model(), make_frames()
    expected = reference.frame_log_probs(model, x, start=2, temperature=0.5).sum(axis=1)
    np.testing.assert_allclose(model.future(x[:, :2], 2, temperature=0.5).log_prob(x[:, 2:]), expected, rtol=1e-10)
