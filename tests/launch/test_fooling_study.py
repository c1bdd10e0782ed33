import json
import re
from pathlib import Path

import pytest

from videoflow_tf.files import read_json


def test_build_then_score(output, workdir, tmp_path):
    output("fooling_study", "--workdir", str(workdir), "build", "--num_videos", "2", "--num_frames=3", "--seconds=1.5")
    stem = workdir / "eval" / "fooling_study_num_videos-2_num_frames-3_seconds-1.5"
    page = Path(f"{stem}.html").read_text(encoding="utf-8")
    assert read_json(f"{stem}.json")["argv"][:2] == ["launch/fooling_study.py", "build"]
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
    argv = ["score", *map(str, files), f"--workdir={workdir}"]
    printed = output("fooling_study", *argv)
    assert "Fooling rate 50.0% (95 % interval 15.0% to 85.0%): 2 visitors took 2 of 4" in printed
    (path,) = (workdir / "eval").glob(f"fooling_rate_{study['id']}_visitors-2_answers-*.json")
    result = json.loads(path.read_text())
    assert result["fooling_rate"]["rate"] == 0.5 and result["argv"] == ["launch/fooling_study.py", *argv]


def test_results_of_other_answers_stay_and_go_where_they_are_told(output, tmp_path):
    (tmp_path / "run").mkdir()
    rates = {}
    for visitor, answer in (("a", "real"), ("b", "generated"), ("c", "generated")):
        answers = [{"generated": generated, "answer": answer} for generated in (True, False)]
        file = tmp_path / f"{visitor}.json"
        file.write_text(json.dumps({"study": "s", "visitor": visitor, "answers": answers}))
        told = f"--output_dir={tmp_path / 'out'}"
        of_run = [f"--workdir={tmp_path / 'run'}"] if answer == "real" else []
        printed = output("fooling_study", "score", str(file), told, *of_run)
        path = printed.splitlines()[-1]
        result = read_json(path)
        rates[path] = result["fooling_rate"]["rate"]
        assert result["argv"][:3] == ["launch/fooling_study.py", "score", str(file)] and told in result["argv"]
    assert list(rates.values()) == [1, 0, 0] and not list((tmp_path / "run").iterdir())
    assert sorted(rates) == sorted(map(str, (tmp_path / "out" / "eval").iterdir()))


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
