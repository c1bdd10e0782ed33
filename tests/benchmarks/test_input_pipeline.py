import json

import pytest

from bijectors import fast_forms
from videoflow_tf.config import PRESETS


@pytest.fixture
def measured(tmp_path, monkeypatch):
    """What the command writes, after it ran with these words."""
    import input_pipeline

    monkeypatch.setattr(fast_forms, "one_core_an_operation", lambda: None)  # TensorFlow is at work already.

    def measure(*words):
        file = tmp_path / "rates.json"
        input_pipeline.main(["--seconds=0.2", *words, f"--json={file}"])
        return json.loads(file.read_text())

    return measure


@pytest.mark.slow
def test_says_how_fast_every_source_is(measured, capsys):
    found = measured("--steps=1", "--num_videos=5")
    for kind in ("clips_per_second", "clips_per_core_second"):
        assert list(found[kind]) == ["shapes", "folder, in memory", "folder, on disk", "prepared set"]
        assert all(rate > 0 for rate in found[kind].values())
    assert found["clip"] == [5, 32, 32, 3]
    shown = f"times the {found['clips_per_second_in_training']:.0f} that training takes"
    assert capsys.readouterr().out.count(shown) == 4


def test_the_dataset_of_the_preset_alone(measured, tmp_path, monkeypatch, capsys):
    import input_pipeline

    input_pipeline.make_videos(tmp_path, 5)
    monkeypatch.setitem(PRESETS, "demo", PRESETS["demo"].replace(dataset="videos"))
    found = measured("--steps=0", f"--data_dir={tmp_path}")
    assert found["clips_per_second_in_training"] is None
    rate, by_core = (found[kind].pop("videos") for kind in ("clips_per_second", "clips_per_core_second"))
    assert found["clips_per_second"] == found["clips_per_core_second"] == {}
    # No more cores were at work than there are.
    assert 0 < rate <= 1.1 * by_core * found["cores"]
    shown = f"videos {rate:.0f} clips a second, {by_core:.0f} by each core at work"
    assert " ".join(capsys.readouterr().out.split()) == shown
