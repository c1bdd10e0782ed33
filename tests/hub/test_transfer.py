"""The Hugging Face hub, in a stand-in of its client."""

import sys
import types
from pathlib import Path

import numpy as np
import pytest

from tests.checks import refused
from videoflow_tf import VideoFlow, extras, workdir


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """A client whose hub is a folder."""

    def snapshot_download(repo_id: str, allow_patterns: list[str]) -> str:
        if not (tmp_path / repo_id).is_dir():
            raise OSError(f"404 Client Error.\n\nRepository Not Found for {repo_id}")
        assert {path.name for path in (tmp_path / repo_id).iterdir()} <= set(allow_patterns)
        return str(tmp_path / repo_id)

    class HfApi:
        def create_repo(self, repo_id: str, exist_ok: bool) -> str:
            if repo_id.startswith("closed/"):
                raise PermissionError("403 Forbidden")
            (tmp_path / repo_id).mkdir(parents=True, exist_ok=exist_ok)
            return f"https://huggingface.co/{repo_id}"

        def upload_folder(self, repo_id: str, folder_path: str, commit_message: str) -> None:
            for path in Path(folder_path).iterdir():
                (tmp_path / repo_id / path.name).write_bytes(path.read_bytes())

    client = types.SimpleNamespace(snapshot_download=snapshot_download, HfApi=HfApi)
    monkeypatch.setitem(sys.modules, "huggingface_hub", client)
    monkeypatch.setattr(extras, "is_installed", lambda package: True)


def test_there_and_back(hub, make_model, make_video):
    model = make_model("float32")
    assert model.push_to_hub("somebody/tiny") == "https://huggingface.co/somebody/tiny"
    found = VideoFlow.from_pretrained("somebody/tiny")
    np.testing.assert_array_equal(found.bits_per_pixel(make_video()), model.bits_per_pixel(make_video()))


def test_what_fails_is_one_line(hub, make_model):
    with refused("no trained model 'nobody/tiny': name a workdir, or one of .*; cannot fetch nobody/tiny from the "):
        VideoFlow.from_pretrained("nobody/tiny")
    with refused("cannot upload to closed/tiny on the Hugging Face hub: 403 Forbidden; look at"):
        make_model("float32").push_to_hub("closed/tiny")


def test_without_the_client(make_model, monkeypatch):
    monkeypatch.setattr(extras, "is_installed", lambda package: False)
    with refused(r"no trained model 'nobody/tiny': .*not installed: pip install 'videoflow-tf\[hub\]'"):
        VideoFlow.from_pretrained("nobody/tiny")
    with refused("huggingface_hub is not installed"):
        make_model("float32").push_to_hub("nobody/tiny")


@pytest.mark.parametrize("name", ["tiny", "a/b/c", "./runs", "../up", "/abs/olute"])
def test_other_names_are_no_models_of_the_hub(name, monkeypatch):
    monkeypatch.setattr(workdir.transfer, "download", lambda name: pytest.fail(name))
    with refused(f"no trained model '{name}': name a workdir, or one of [^;]*$"):
        VideoFlow.from_pretrained(name)


def test_a_folder_here_is_no_model_of_the_hub(monkeypatch, tmp_path):
    (tmp_path / "runs" / "mine").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(workdir.transfer, "download", lambda name: pytest.fail(name))
    with refused("no trained model 'runs/mine': name a workdir, or one of [^;]*$"):
        VideoFlow.from_pretrained("runs/mine")
