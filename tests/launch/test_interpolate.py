import json

import numpy as np
import pytest
from PIL import Image

from videoflow_tf.media import strips


def test_writes_strip_animation_and_protocol(output, workdir):
    arguments = ["--video=1", "--other_video=2", "--levels=top", "--channel_rank=2", "--steps=4"]
    printed = output("interpolate", f"--workdir={workdir}", *arguments)
    stem = "interpolation_video-1_other_video-2_steps-4_levels-top_channel_rank-2"
    first, *paths = printed.splitlines()
    assert first == "Data: shapes: generated, any number of videos"
    assert paths == [str(workdir / "eval" / f"{stem}.{kind}") for kind in ("png", "gif", "json")]
    result = json.loads((workdir / "eval" / f"{stem}.json").read_text())
    assert list(result["channels"]) == ["1"]
    assert [len(result["protocol"].pop(name)) for name in ("identity", "videos_digest")] == [16, 16]
    assert result["protocol"] == {
        "dataset": "shapes",
        "split": "test",
        "first": {"video": 1, "frame": 1},
        "last": {"video": 2, "frame": 5},
        "step": 6,
        "steps": 4,
        "levels": [1],
        "channel_rank": 2,
    }
    with Image.open(workdir / "eval" / f"{stem}.gif") as gif:
        assert gif.n_frames == 6  # The two frames themselves beside the four.


def test_between_two_files(output, workdir, tmp_path):
    first, *video = np.random.default_rng(0).integers(0, 256, [5, 16, 16, 3], dtype=np.uint8)
    strips.save_png(tmp_path / "a.png", first)
    strips.save_mp4(tmp_path / "b.mp4", np.stack(video).repeat(2, 1).repeat(2, 2))
    ends = f"--video_file={tmp_path / 'a.png'}", f"--other_file={tmp_path / 'b.mp4'}"
    output("interpolate", f"--workdir={workdir}", *ends, "--steps=3")
    (path,) = (workdir / "eval").glob("interpolation_video_file-a.png-????????_other_file-b.mp4-????????_steps-3.json")
    result = json.loads(path.read_text())
    protocol, stem = result["protocol"], path.with_suffix("")
    assert [protocol[end]["video_file"] for end in ("first", "last")] == [
        str(tmp_path / name) for name in ("a.png", "b.mp4")
    ]
    assert [protocol[end]["frame"] for end in ("first", "last")] == [1, 4]
    assert not {"dataset", "split"} & set(protocol)
    picture = np.asarray(Image.open(f"{stem}.png"))
    border = (picture == strips.REAL).all(axis=-1)
    top, left = (np.argmax(border.sum(axis=axis) > 100) + 4 for axis in (1, 0))
    np.testing.assert_array_equal(picture[top : top + 128 : 8, left : left + 128 : 8], first)
    assert {*ends, "--steps=3"} < set(result["argv"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--other_file=a.png"], "--other_file is the other end beside that of --video_file: give both"),
        (["--video_file=a.png", "--video=1"], "give --video and --other_video, or --video_file and --other_file"),
        (["--video_file=none.png"], "there is no file none.png"),
        (["--video_file={picture}"], "has one frame alone; give the file of the other end, --other_file"),
    ],
)
def test_mistakes_with_files(error, micro_run, tmp_path, arguments, message):
    strips.save_png(tmp_path / "picture.png", np.zeros([16, 16, 3], np.uint8))
    arguments = [argument.format(picture=tmp_path / "picture.png") for argument in arguments]
    assert message in error("interpolate", f"--workdir={micro_run}", *arguments)


def test_mistakes_are_one_line(error, micro_run):
    line = error("interpolate", f"--workdir={micro_run}", "--levels=7")
    assert line == "error: there is no level 7: the model has levels 0 (bottom) to 1 (top)\n"
