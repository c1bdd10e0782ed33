import json

from PIL import Image


def test_writes_strip_animation_and_protocol(output, workdir):
    arguments = ["--video=1", "--other_video=2", "--levels=top", "--channel_rank=2", "--steps=4"]
    printed = output("interpolate", f"--workdir={workdir}", *arguments)
    stem = "interpolation_video-1_other_video-2_steps-4_levels-top_channel_rank-2"
    first, *paths = printed.splitlines()
    assert first == "Data: shapes: generated, any number of videos"
    assert paths == [str(workdir / "eval" / f"{stem}.{kind}") for kind in ("png", "gif", "json")]
    result = json.loads((workdir / "eval" / f"{stem}.json").read_text())
    assert list(result["channels"]) == ["1"]
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


def test_mistakes_are_one_line(error, micro_run):
    line = error("interpolate", f"--workdir={micro_run}", "--levels=7")
    assert line == "error: there is no level 7: the model has levels 0 (bottom) to 1 (top)\n"
