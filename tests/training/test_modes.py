"""Ways to save memory and time: they change no number, or one within a stated bound."""

import numpy as np
import pytest
import tensorflow as tf

from tests.checks import bits_and_gradients, refused
from tests.conftest import TINY
from videoflow_tf import VideoFlow

CONFIG = TINY.replace(
    frame_size=16, depth=2, latent_encoder_depth=2, latent_dilations=(1, 2, 4), num_past_latents=3, batch_size=4
)


@pytest.fixture(scope="module")
def video():
    return tf.constant(np.random.default_rng(0).integers(0, 256, (4, 5, 16, 16, 3), dtype=np.uint8))


@pytest.fixture(scope="module")
def results(video, move_variables):
    """Bits per pixel [B] and all gradients as one vector, of a model with the given changes."""

    def run(jit_compile=False, **changes):
        model = VideoFlow(CONFIG.replace(**changes))
        move_variables(model, stddev=0.05)
        bits, gradients = bits_and_gradients(model, video, jit_compile)
        return bits, np.concatenate([np.ravel(gradient) for gradient in gradients])

    return run


@pytest.fixture(scope="module")
def plain(results):
    return results()


WAYS = [{"recompute": "step"}, {"accumulate_steps": 4}]
SLOW = [{"recompute": "coupling"}, {"accumulate_steps": 2}, {"recompute": "step", "jit_compile": True}]


@pytest.mark.parametrize("changes", [*WAYS, *(pytest.param(way, marks=pytest.mark.slow) for way in SLOW)], ids=str)
def test_saving_memory_changes_no_number(results, plain, changes):
    tolerance = 1e-5 if "jit_compile" in changes else 1e-6
    bits, gradients = results(**changes)
    np.testing.assert_allclose(bits, plain[0], rtol=tolerance)
    np.testing.assert_allclose(gradients, plain[1], atol=10 * tolerance * np.abs(plain[1]).max())


def test_bfloat16_networks_stay_within_a_bound(results, plain):
    """Activations are rounded to 8 bits of mantissa (2^-8 = 0.4 %); bits per pixel moves by less than 0.5 %."""
    bits, gradients = results(precision="mixed_bfloat16")
    assert not np.array_equal(bits, plain[0])
    np.testing.assert_allclose(bits, plain[0], rtol=5e-3)
    cosine = gradients @ plain[1] / (np.linalg.norm(gradients) * np.linalg.norm(plain[1]))
    assert cosine > 0.995


def test_bfloat16_networks_have_float32_variables_and_latents(video):
    model = VideoFlow(CONFIG.replace(precision="mixed_bfloat16"))
    assert {v.dtype for v in model.trainable_variables} == {tf.float32}
    assert {z.dtype for z in model.encode(video)} == {tf.float32}
    frames = tf.random.stateless_uniform([2, 3, 16, 16, 3], (0, 0)) - 0.5
    np.testing.assert_allclose(model.decode(model.encode(frames)), frames, atol=1e-3)


def test_batch_that_does_not_divide_is_refused():
    with refused("batch_size=4 does not divide by accumulate_steps=3"):
        CONFIG.replace(accumulate_steps=3)
