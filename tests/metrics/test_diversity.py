import itertools

import numpy as np
import pytest

from videoflow_tf.config import VideoFlowConfig
from videoflow_tf.errors import UserError
from videoflow_tf.metrics.diversity import Diversity
from videoflow_tf.metrics.metric import Clips


def test_mean_over_all_pairs():
    samples = np.random.default_rng(0).integers(0, 256, (5, 2, 8, 8, 3), dtype=np.uint8)
    got = Diversity(5).measure(samples[0, :0], samples[0], samples)
    for t in range(2):
        frames = samples[:, t].astype(np.float64)
        expected = [np.sqrt(((a - b) ** 2).mean()) for a, b in itertools.combinations(frames, 2)]
        np.testing.assert_allclose(got[t], np.mean(expected), rtol=1e-12)


def test_black_and_white_are_255_apart_and_equal_frames_zero():
    samples = np.zeros((2, 2, 64, 64, 3), np.uint8)
    samples[1, 0] = 255
    np.testing.assert_array_equal(Diversity(2).measure(samples[0, :0], samples[0], samples), [255, 0])


def test_refuses_a_single_sample():
    with pytest.raises(UserError, match="num_samples of 2"):
        Diversity(1).check(Clips.of(VideoFlowConfig.preset("demo"), 4, 2))
