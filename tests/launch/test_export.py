import json
import shutil


def test_exports_again(command, micro_run, tmp_path):
    workdir = shutil.copytree(micro_run, tmp_path / "run")
    shutil.rmtree(workdir / "export")
    done = command("export", f"--workdir={workdir}")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(workdir / "export")
    assert json.loads((workdir / "export" / "description.json").read_text())["step"] == 6
