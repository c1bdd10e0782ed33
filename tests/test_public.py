"""`import videoflow_tf`: what it offers, and when TensorFlow is imported."""

import pytest

from tests.checks import run_python

NAMES = [
    "PRESETS",
    "UserError",
    "VideoFlow",
    "VideoFlowConfig",
    "evaluate",
    "load_workdir",
    "push_to_hub",
    "sample",
    "save_pretrained",
    "train",
]


def test_tensorflow_is_imported_when_it_is_needed():
    script = """
import sys
import videoflow_tf
from videoflow_tf import config, errors, files, protocol, registry, workdir
from videoflow_tf.metrics import arguments
from videoflow_tf.studies import arguments, fooling
videoflow_tf.VideoFlowConfig.preset("demo"), videoflow_tf.PRESETS, videoflow_tf.UserError, dir(videoflow_tf)
before = "tensorflow" in sys.modules
videoflow_tf.VideoFlow
print(before, "tensorflow" in sys.modules)
"""
    assert run_python("-c", script, check=True).stdout.strip() == "False True"


def test_every_name_resolves():
    import videoflow_tf

    assert videoflow_tf.__all__ == NAMES
    assert set(NAMES) <= set(dir(videoflow_tf))
    for name in NAMES:
        named = getattr(videoflow_tf, name)
        assert name == "PRESETS" or named.__name__ == name
    with pytest.raises(AttributeError, match="'videoflow_tf' has no attribute 'evalute'"):
        videoflow_tf.evalute  # noqa: B018


def test_star_import():
    script = "from videoflow_tf import *; print(callable(train), callable(VideoFlow))"
    assert run_python("-c", script, check=True).stdout.strip() == "True True"
