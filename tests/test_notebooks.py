"""The notebooks: kept without outputs, and they run from top to bottom."""

import json

import pytest

from tests.checks import ROOT

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
# Of the outputs of each, in their order, those that are pictures or charts.
SHOWN = {"predict": ["gif", "png", "png", "png"], "train_on_your_videos": ["png", "png", "gif"]}


def test_all_are_tested():
    assert [path.stem for path in NOTEBOOKS] == sorted(SHOWN)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_kept_without_outputs_and_small(path):
    cells = [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]
    assert cells and all(cell["outputs"] == [] and cell["execution_count"] is None for cell in cells)
    assert path.stat().st_size < 20_000


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_runs_and_shows_its_pictures(path, tmp_path, monkeypatch):
    import nbclient
    import nbformat

    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    notebook = nbformat.read(path, as_version=4)
    nbclient.execute(notebook, cwd=str(tmp_path), timeout=900, kernel_name="python3")
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    kinds = [key.removeprefix("image/") for output in outputs for key in output.get("data", {})]
    assert [kind for kind in kinds if kind in ("gif", "png")] == SHOWN[path.stem]
