import json
import shutil

import pytest


@pytest.mark.slow
def test_exports_again(output, workdir):
    shutil.rmtree(workdir / "export")
    printed = output("export", f"--workdir={workdir}")
    assert printed.strip() == str(workdir / "export")
    assert json.loads((workdir / "export" / "description.json").read_text())["step"] == 6
