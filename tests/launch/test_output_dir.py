"""Every command that reads a run can write elsewhere: of the run, not a file changes."""

import pytest

COMMANDS = [
    ("sample", ["--num_frames=2", "--num_samples=1"], "samples"),
    ("interpolate", ["--steps=2"], "eval"),
    ("export", ["--format=hub"], "hub/model.safetensors"),
    ("report", [], "report.html"),
]
LONGER = [
    ("evaluate", ["--num_videos=2"], "eval/metrics_num_videos-2.json"),
    ("anomaly", ["--num_videos=2"], "eval"),
    ("fooling_study build", ["--num_videos=1"], "eval/fooling_study_num_videos-1.html"),
    ("export", [], "export/saved_model.pb"),
]


@pytest.mark.parametrize(
    ("name", "options", "written"),
    [*COMMANDS, *(pytest.param(*command, marks=pytest.mark.slow) for command in LONGER)],
    ids=lambda value: str(value).split()[0],
)
def test_results_go_to_the_output_dir_alone(output, micro_run, tmp_path, name, options, written):
    def times():
        return {path: path.stat().st_mtime_ns for path in micro_run.rglob("*")}

    name, *action = name.split()
    before = times()
    printed = output(name, *action, f"--workdir={micro_run}", f"--output_dir={tmp_path}", *options)
    assert (tmp_path / written).exists() and str(tmp_path) in printed
    assert times() == before
