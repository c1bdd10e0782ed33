import json
import os
from pathlib import Path

import numpy as np
import pytest
import stablehlo
from stablehlo_export import export

from tests.checks import run_python
from tests.conftest import TINY
from videoflow_tf import VideoFlow

pytestmark = pytest.mark.slow

ONE_LEVEL = TINY.replace(levels=1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("stablehlo") / "tiny"
    export(ONE_LEVEL, batch_size=2, num_frames=4, num_drawn=3, out=out, save_all=True)
    return out


def test_manifest_describes_what_is_saved(folder):
    manifest = json.loads((folder / "manifest.json").read_text())
    for name, function in manifest["functions"].items():
        assert (folder / f"{name}.mlirbc").read_bytes().startswith(b"ML\xefR")
        inputs, outputs = np.load(folder / f"{name}.npz"), np.load(folder / f"{name}_expected.npz")
        assert len(inputs) == len(function["inputs"])
        assert len(outputs) == function["num_outputs"]
        for index, entry in enumerate(function["inputs"]):
            value = inputs[str(index)]
            assert (list(value.shape), str(value.dtype)) == (entry["shape"], entry["dtype"])
        for output, fed in function["feeds"].items():
            assert outputs[output].shape == inputs[str(fed)].shape
    assert manifest["functions"]["sample"]["feeds"] == {}


def test_training_step_assigns_every_weight_and_moment(folder):
    function = json.loads((folder / "manifest.json").read_text())["functions"]["train"]
    inputs, outputs = np.load(folder / "train.npz"), np.load(folder / "train_expected.npz")
    changed = [i for o, i in function["feeds"].items() if not np.array_equal(outputs[o], inputs[str(i)])]
    names = [function["inputs"][i]["name"] for i in changed]
    # A frame with a full past does not use the top level's own Gaussian: those three have no gradient.
    weights = len(VideoFlow(ONE_LEVEL).trainable_variables) - 3
    assert sum(name.startswith("m/") for name in names) == weights
    assert sum(name.startswith("v/") for name in names) == weights
    assert "step:0" in names


def test_inputs_that_are_not_saved_are_drawn_alike(tmp_path):
    saved = np.arange(3, dtype=np.int64)
    np.savez(tmp_path / "train.npz", **{"1": saved})
    entries = [
        {"shape": [100, 100], "dtype": "float32", "mean": 2.0, "stddev": 0.5},
        {"shape": [3], "dtype": "int64", "mean": 1.0, "stddev": 0.8},
        {"shape": [4096, 2], "dtype": "float32", "mean": 0.0, "stddev": 0.0},
    ]
    drawn, kept, zeros = stablehlo.input_values(tmp_path / "train", entries)
    assert drawn.dtype == np.float32
    assert (drawn.mean(), drawn.std()) == pytest.approx((2.0, 0.5), abs=0.02)
    np.testing.assert_array_equal(kept, saved)
    assert not zeros.any()
    np.testing.assert_array_equal(stablehlo.input_values(tmp_path / "train", entries)[0], drawn)


def test_jax_computes_the_same(folder):
    pytest.importorskip("jax")
    file = folder.parent / "figures.json"
    options = {"env": {**os.environ, "JAX_PLATFORMS": "cpu"}, "check": True}
    run_python("benchmarks/stablehlo.py", f"--run={folder}", "--repeats=2", f"--json={file}", **options)
    found = json.loads(file.read_text())
    assert found["train_greatest_difference"] < 1e-5
    assert found["sample_greatest_difference"] < 1e-5
    assert found["train_median_seconds"] > 0
