"""What a full run costs: arithmetic on counted operations and on files that the other benchmarks write."""

import flops
import pytest
import scale

from tests.checks import refused
from videoflow_tf.config import PRESETS
from videoflow_tf.files import write_json

BAIR = PRESETS["bair"]
FAST, _ = DEVICES = scale.Device("fast", 100.0, "float32", 10), scale.Device("slow", 1.0, "float32", 1)


def test_hours_are_operations_by_rate():
    operations = 600_000 * 5 * flops.training_flops(BAIR, num_frames=4, num_given=3)
    assert scale.hours(BAIR, FAST, count=1, share=0.5) == pytest.approx(operations / 50e12 / 3600)
    assert scale.hours(BAIR, FAST, count=8, share=1.0) == pytest.approx(operations / 800e12 / 3600)


def test_the_batch_that_fits(monkeypatch):
    monkeypatch.setattr(scale, "_DEVICES", DEVICES)
    # With two clips 1 GiB, of which each has 256 MiB: half a GiB is fixed; 0.4 and 8.5 GiB are left.
    memory = {"train_recompute_none_gib": 1.0, "train_recompute_none_mib_per_clip": 256.0, "train_batch_size": 2}
    assert scale.memory_table(memory)[-1] == "| `none` | 256 MiB | 0.5 GiB | 1 | 34 |"


def test_command(tmp_path, capsys):
    write_json(tmp_path / "train.json", {"fraction_of_peak": 0.25})
    write_json(tmp_path / "pipeline.json", {"clips_per_second": {"prepared set": 4000.0}})
    scale.main([f"--train={tmp_path}/train.json", f"--pipeline={tmp_path}/pipeline.json"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("bair: 2.91 TFLOP a step of 5 clips of 4 frames") and "At 25 %" in lines[0]
    # 2.91 TFLOP at a quarter of 156 TFLOP/s.
    assert "| A100 | TF32 | 156 TFLOP/s | 75 ms | 67 | 12.4 hours | 1.6 hours |" in lines
    assert "- 60 x A100 (TF32)" in lines


def test_wrong_words(tmp_path):
    write_json(tmp_path / "train.json", {})
    for words, message in (
        ([], "give the share of the peak"),
        (["--share=1.5"], "must be above 0 and at most 1, got 1.5"),
        ([f"--train={tmp_path}/train.json"], "has no fraction_of_peak"),
    ):
        with refused(message):
            scale.main(words)
