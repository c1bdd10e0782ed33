def test_writes_one_page(output, workdir):
    printed = output("report", f"--workdir={workdir}")
    assert printed == f"{workdir / 'report.html'}\n"
    assert "<h2>Training</h2>" in (workdir / "report.html").read_text(encoding="utf-8")


def test_no_workdir(error, tmp_path):
    line = error("report", f"--workdir={tmp_path / 'none'}")
    assert line == (
        f"error: {tmp_path / 'none'} is not a workdir: it has no config.json; name the folder of a run, or a trained "
        "model: shapes, shapes_64, shapes_64_one_frame, shapes_two_frames\n"
    )
    assert not (tmp_path / "none").exists()
