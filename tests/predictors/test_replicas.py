"""Devices that share the work, in a process of their own: logical ones must be there before TensorFlow starts."""

import json

import numpy as np
import pytest

from tests.checks import run_python
from videoflow_tf.predictors.future_sampler import FutureSampler
from videoflow_tf.predictors.video_flow import VideoFlowPredictor

SCRIPT = """
import json, sys
import numpy as np
import tensorflow as tf
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2)
from videoflow_tf import data
from videoflow_tf.predictors.future_sampler import FutureSampler
from videoflow_tf.predictors.video_flow import VideoFlowPredictor
predictor = VideoFlowPredictor.of_run(sys.argv[1], "latest", tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]))
videos = data.load_videos(predictor.config, None, "test", num_videos=3)
context = videos[0, : predictor.config.num_context]
asked = []
draw = predictor.predict_frames
predictor.predict_frames = lambda *args: (asked.append(len(args[-1])), draw(*args))[1]
samples = FutureSampler(predictor, batch_size=2)(context, 3, 0.5, 1, 0, 5)
bits = predictor.frame_bits_per_pixel(videos, np.stack([np.arange(3), np.arange(3)], axis=1).astype(np.int32))
np.savez(sys.argv[2], samples=samples, bits=bits, videos=videos)
print(json.dumps({"replicas": predictor.num_replicas, "asked": asked}))
"""


@pytest.mark.slow
def test_replicas_share_samples_and_videos_and_change_none(micro_run, tmp_path):
    done = run_python("-c", SCRIPT, micro_run, tmp_path / "found.npz", check=True)
    assert json.loads(done.stdout.splitlines()[-1]) == {"replicas": 2, "asked": [4, 1]}
    predictor = VideoFlowPredictor.of_run(micro_run, "latest")
    with np.load(tmp_path / "found.npz") as found:
        videos = found["videos"]
        samples = FutureSampler(predictor)(videos[0, : predictor.config.num_context], 3, 0.5, 1, 0, 5)
        seeds = np.repeat(np.arange(3, dtype=np.int32)[:, None], 2, axis=1)
        assert np.abs(found["samples"].astype(int) - samples).max() <= 1
        np.testing.assert_allclose(found["bits"], predictor.frame_bits_per_pixel(videos, seeds), rtol=1e-5)
