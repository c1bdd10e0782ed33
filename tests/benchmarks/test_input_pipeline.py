import json

import pytest


@pytest.mark.slow
def test_says_how_fast_every_source_is(tmp_path, capsys):
    import input_pipeline

    file = tmp_path / "rates.json"
    input_pipeline.main(["--seconds=0.2", "--steps=1", "--num_videos=5", f"--json={file}"])
    rates = json.loads(file.read_text())["clips_per_second"]
    assert list(rates) == ["training step", "shapes", "folder, in memory", "folder, on disk", "prepared set"]
    assert all(rate > 0 for rate in rates.values())
    assert capsys.readouterr().out.count("times what a training step takes") == 5
