"""`import videoflow_tf`: what it offers, and when TensorFlow is imported."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
NAMES = ["PRESETS", "UserError", "VideoFlow", "VideoFlowConfig", "evaluate", "load_workdir", "sample", "train"]


def _python(script: str) -> str:
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.strip()


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
    assert _python(script) == "False True"


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
    assert _python("from videoflow_tf import *; print(callable(train), callable(VideoFlow))") == "True True"
