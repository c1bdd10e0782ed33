import json
import re

import pytest


def test_build_then_score(output, workdir, tmp_path):
    output("fooling_study", "--workdir", str(workdir), "build", "--num_videos", "2", "--num_frames=3", "--seconds=1.5")
    page = (workdir / "eval" / "fooling_study_num_videos-2_num_frames-3_seconds-1.5.html").read_text(encoding="utf-8")
    study = json.loads(re.search(r'id="study">(.*?)</script>', page)[1])
    assert [(clip["generated"], clip["video"]) for clip in study["clips"]] == [
        (False, 0), (False, 1), (True, 0), (True, 1),
    ]  # fmt: skip
    assert [study[name] for name in ("num_frames", "height", "width", "seconds")] == [4, 16, 16, 1.5]
    assert study["protocol"]["temperature"] == 0.5 and study["protocol"]["videos"] == 4

    files = []
    for visitor, answer in (("a", "real"), ("b", "generated")):
        answers = [{"generated": clip["generated"], "answer": answer} for clip in study["clips"]]
        files.append(tmp_path / f"{visitor}.json")
        files[-1].write_text(json.dumps({"study": study["id"], "visitor": visitor, "answers": answers}))
    printed = output("fooling_study", "score", *map(str, files), f"--workdir={workdir}")
    assert "Fooling rate 50.0% (95 % interval 15.0% to 85.0%): 2 visitors took 2 of 4" in printed
    result = json.loads((workdir / "eval" / f"fooling_rate_{study['id']}.json").read_text())
    assert result["fooling_rate"]["rate"] == 0.5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "say what to do: fooling_study.py build or score; got neither"),
        (["make"], "got make"),
        (["build"], "--workdir is required"),
        (["build", "extra", "--workdir=w"], "unexpected argument 'extra'"),
        (["score"], "give the result files"),
        (["score", "none.json"], "there is no file none.json"),
        (["score", "x.json", "--workdir=none"], "there is no workdir none"),
    ],
)
def test_mistakes_are_one_line(error, arguments, message):
    assert message in error("fooling_study", *arguments)
