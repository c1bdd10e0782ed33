import json
import shutil

import pytest


@pytest.mark.slow
def test_exports_again(output, workdir):
    shutil.rmtree(workdir / "export")
    printed = output("export", f"--workdir={workdir}")
    assert printed.strip() == str(workdir / "export")
    assert json.loads((workdir / "export" / "description.json").read_text())["step"] == 6


@pytest.mark.slow
def test_the_command_writes_the_figures_of_the_run(output, error, micro_run, tmp_path):
    """Those of the same step alone; every command takes the folder as a workdir."""
    run = shutil.copytree(micro_run, tmp_path / "run")
    measured = output("evaluate", f"--workdir={run}", "--num_videos=2", "--metrics=bits_per_pixel,psnr")
    lines = [line for line in measured.splitlines() if line.startswith(("bits_per_pixel:", "psnr:"))]
    old = json.loads((run / "eval" / "metrics_num_videos-2.json").read_text())
    old["protocol"]["step"] = old["psnr"]["protocol"]["step"] = 4
    (run / "eval" / "old.json").write_text(json.dumps(old).replace("2", "7"))
    (run / "eval" / "no_metrics.json").write_text("[]")
    printed = output("export", "--format=hub", f"--workdir={run}", "--licence=CC-BY-4.0")
    assert printed.strip() == str(run / "hub")
    card = (run / "hub" / "README.md").read_text()
    assert card.startswith("---\nlicense: cc-by-4.0\n") and "CC-BY-4.0, but for\nwhat the licence of the data" in card
    how = [
        "1 frame given, 4 scored, seed=0, likelihood=bound, n_bits=8, dequantization_samples=1, pixel_scaling=exact",
        "1 frame given, 4 predicted, seed=0",
    ]
    assert len(lines) == 2 and [line for line in card.splitlines() if line[2:].startswith(("bits_", "psnr"))] == [
        f"- {line}; {how}" for line, how in zip(lines, how, strict=True)
    ]
    again = output("evaluate", f"--workdir={run / 'hub'}", "--num_videos=2", "--metrics=bits_per_pixel,psnr")
    assert [line for line in again.splitlines() if line in lines] == lines
    output("report", f"--workdir={run / 'hub'}")
    assert "6 of 6 training steps" in (run / "hub" / "report.html").read_text()
    assert "has files in it; name a new folder" in error("export", "--format=hub", f"--workdir={run}")
    assert "no checkpoint 'best'" in error("evaluate", f"--workdir={run / 'hub'}", "--checkpoint=best")


def test_a_licence_that_is_none(error, micro_run, tmp_path):
    where = f"--workdir={micro_run}", f"--output_dir={tmp_path / 'out'}"
    assert error("export", *where, "--licence=MIT") == (
        "error: --licence is about the model card: give --format=hub, or leave it out\n"
    )
    line = error("export", "--format=hub", *where, "--licence=my own\nlicense: mit")
    assert "licence='my own\\nlicense: mit' must be an SPDX identifier" in line
    assert not (tmp_path / "out" / "hub").exists()


def test_training_does_not_go_on_in_a_folder_of_weights(output, error, micro_run, tmp_path):
    folder = tmp_path / "hub"
    output("export", "--format=hub", f"--workdir={micro_run}", f"--output_dir={tmp_path}")
    before = {path: path.read_bytes() for path in folder.iterdir()}
    line = error("train", f"--workdir={folder}", "--train_steps=8")
    assert f"{folder} has weights alone, without an optimizer; start from them: --init_from={folder}" in line
    assert {path: path.read_bytes() for path in folder.iterdir()} == before
