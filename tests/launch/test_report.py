import shutil


def test_writes_one_page(command, micro_run, tmp_path):
    workdir = shutil.copytree(micro_run, tmp_path / "run")
    done = command("report", f"--workdir={workdir}")
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{workdir / 'report.html'}\n"
    assert "<h2>Training</h2>" in (workdir / "report.html").read_text(encoding="utf-8")


def test_no_workdir(command, tmp_path):
    done = command("report", f"--workdir={tmp_path / 'none'}")
    assert done.returncode == 2
    assert done.stderr == f"error: {tmp_path / 'none'} is not a workdir: it has no config.json; check --workdir\n"
    assert not (tmp_path / "none").exists()
