import json

import numpy as np
import pytest
from PIL import Image

from videoflow_tf import data
from videoflow_tf.media import strips
from videoflow_tf.workdir import read_config


def test_out_of_sequence(output, workdir):
    output("anomaly", f"--workdir={workdir}", "--num_videos=3")
    result = json.loads((workdir / "eval" / "out_of_sequence_num_videos-3.json").read_text())
    assert result["bits_per_pixel"]["frame"] == list(range(2, 12))
    assert len(result["bits_per_pixel"]["standard_error"]) == 10
    protocol = {"dataset": "shapes", "split": "test", "videos": 3, "context": 1, "seed": 0, "step": 6}
    assert [len(result["protocol"].pop(name)) for name in ("identity", "videos_digest")] == [16, 16]
    assert result["protocol"] == protocol
    assert Image.open(workdir / "eval" / "out_of_sequence_num_videos-3.png").width > 500


@pytest.mark.slow
def test_a_video_of_the_split_and_the_same_as_a_file(output, workdir, tmp_path):
    config = read_config(workdir)
    videos = data.eval_videos(config, None, "test", num_videos=2, num_frames=6)
    video = list(videos.as_numpy_iterator())[1]["video"]
    strips.save_gif(tmp_path / "clip.gif", video)
    scores = []
    for source, name in (("--video=1", "video-1"), (f"--video_file={tmp_path / 'clip.gif'}", "video_file-clip.gif-*")):
        output("anomaly", f"--workdir={workdir}", source, "--max_frames=6")
        (path,) = (workdir / "eval").glob(f"anomaly_{name}_max_frames-6.json")
        result = json.loads(path.read_text())
        assert result["frame"] == [2, 3, 4, 5, 6] and result["protocol"]["context"] == 1
        assert Image.open(path.with_suffix(".png")).width > 500
        scores.append(result["bits_per_pixel"])
    np.testing.assert_allclose(*scores, rtol=0.02)


def test_a_damaged_file_is_scored_and_said_to_be_damaged(command, workdir, tmp_path):
    strips.save_gif(tmp_path / "clip.gif", np.random.default_rng(0).integers(0, 256, (8, 16, 16, 3), np.uint8))
    data = (tmp_path / "clip.gif").read_bytes()
    (tmp_path / "clip.gif").write_bytes(data[: len(data) // 2])
    done = command("anomaly", f"--workdir={workdir}", f"--video_file={tmp_path / 'clip.gif'}")
    assert done.returncode == 0 and done.stderr.count("\n") == 1
    assert done.stderr.startswith(f"warning: {tmp_path / 'clip.gif'} is damaged: ")
    (result,) = (workdir / "eval").glob("anomaly_*.json")
    (problem,) = json.loads(result.read_text())["protocol"]["problems"]
    assert problem in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--video=0", "--video_file=x.mp4"], "give --video or --video_file, not both"),
        (["--video_file=none.mp4"], "there is no file none.mp4"),
        (["--video_file=Makefile"], "Makefile is not a video that can be read"),
        (
            ["--video_file=docs/demo_samples.png"],
            "demo_samples.png has 1 frame; a score needs more than the 1 given",
        ),
    ],
)
def test_mistakes_are_one_line(error, micro_run, arguments, message):
    assert message in error("anomaly", f"--workdir={micro_run}", *arguments)
