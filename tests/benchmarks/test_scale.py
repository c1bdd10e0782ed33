"""What a full run costs: arithmetic on counted operations and on what `run.py` measured of memory."""

import flops
import pytest
import scale

from tests.checks import refused
from videoflow_tf.config import PRESETS
from videoflow_tf.files import write_json

BAIR = PRESETS["bair"]
FAST, _ = DEVICES = scale.Device("fast", 100.0, "float32", 10), scale.Device("slow", 1.0, "float32", 1)
# With two clips 1 GiB, of which each has 256 MiB: half a GiB is fixed; 0.4 and 8.5 GiB are left.
MEMORY = {"train_recompute_none_gib": 1.0, "train_recompute_none_mib_per_clip": 256.0, "train_batch_size": 2}
# Of the clips of the preset bair.
PIPELINE = {
    "clip": [4, 64, 64, 3],
    "clips_per_second": {"bair": 350.0},
    "clips_per_core_second": {"bair": 200.0},
    "cores": 2,
    "cpu": "a processor",
    "load": 0.5,
}


def test_hours_are_operations_by_rate():
    operations = 600_000 * 5 * flops.training_flops(BAIR, num_frames=4, num_given=3)
    assert scale.hours(BAIR, FAST, count=1, share=0.5) == pytest.approx(operations / 50e12 / 3600)
    assert scale.hours(BAIR, FAST, count=8, share=1.0) == pytest.approx(operations / 800e12 / 3600)


@pytest.mark.parametrize(
    "measured", [MEMORY, MEMORY | {"train_recompute_none_gib": 9.0, "train_recompute_none_gpu_gib": 1.0}]
)
def test_the_batch_that_fits(measured, tmp_path, monkeypatch):
    monkeypatch.setattr(scale, "_DEVICES", DEVICES)
    path = write_json(tmp_path / "memory.json", {"config": "L"} | measured)
    assert scale.memory_table(BAIR, path)[-1] == "| `none` | 256 MiB | 0.5 GiB | 1 | 34 |"


def test_command(tmp_path, capsys):
    path = write_json(tmp_path / "memory.json", {"config": "L"} | MEMORY)
    scale.main(["--share=0.25", f"--memory={path}"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("bair: 2.91 TFLOP a step of 5 clips of 4 frames") and "At 25 %" in lines[0]
    # 2.91 TFLOP at a quarter of 156 TFLOP/s.
    assert "| A100 | TF32 | 156 | 75 | 67 | 12.4 | 1.6 |" in lines
    assert lines[-1].startswith("| `none` | 256 MiB | 0.5 GiB |")


def test_cores_that_deliver_the_clips(tmp_path, capsys):
    path = write_json(tmp_path / "rates.json", PIPELINE)
    scale.main(["--share=0.25", f"--pipeline={path}"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[2].endswith("| hours on 8 | cores for 1 | cores for 8 |") and lines[3].count("---") == 9
    # 67 and 535 clips a second of 200.
    assert "| A100 | TF32 | 156 | 75 | 67 | 12.4 | 1.6 | 1 | 3 |" in lines
    assert "200 clips a second of its time (2 cores, a processor, load 0.5: 350 in all)" in lines[-1]


def test_wrong_words(tmp_path):
    small, flat = (
        write_json(tmp_path / f"{i}.json", {"config": config} | MEMORY | {"train_recompute_none_mib_per_clip": mib})
        for i, (config, mib) in enumerate((("S", 1.0), ("L", 0.0)))
    )
    smaller = write_json(tmp_path / "smaller.json", PIPELINE | {"clip": [5, 32, 32, 3]})
    other = write_json(tmp_path / "other.json", PIPELINE | {"clips_per_second": {"shapes": 1.0}})
    for words, message in (
        (["--share=1.5"], "must be above 0 and at most 1, got 1.5"),
        (["--share=0.5", f"--memory={tmp_path}/none.json"], "none.json is no file that a benchmark wrote"),
        (["--share=0.5", f"--memory={small}"], "is not about this preset's model"),
        (["--share=0.5", f"--memory={flat}"], "no growth with the batch"),
        (["--share=0.5", f"--pipeline={smaller}"], "is not about clips of bair, 4 x 64 x 64 x 3: measure them with"),
        (["--share=0.5", f"--pipeline={other}"], "is not about clips of bair"),
        (["--share=0.5", f"--pipeline={small}"], "is not about clips of bair"),
    ):
        with refused(message):
            scale.main(words)
