"""The Hugging Face hub: its own client, and a stand-in of the server behind it."""

import base64
import json
import zlib

import httpx2
import numpy as np
import pytest
from huggingface_hub import constants, set_client_factory
from huggingface_hub.utils._http import default_client_factory

from tests.checks import refused
from videoflow_tf import VideoFlow, extras, workdir

COMMIT = "0" * 40


class Server:
    """Keeps models and answers requests for them, as {status, json, content, headers}."""

    def __init__(self) -> None:
        self.models: dict[str, dict[str, bytes]] = {}
        self.visibility: dict[str, str | None] = {}

    def answer(self, path: str, sent: bytes) -> dict:
        match path.strip("/").split("/"):
            case ["api", "repos", "create"]:
                owner = json.loads(sent)["organization"]
                if owner == "closed":
                    return {"status": 403, "headers": {"X-Error-Message": "You may not write here"}}
                name = f"{owner}/{json.loads(sent)['name']}"
                self.models.setdefault(name, {"notes.txt": b"its owner's"})
                self.visibility[name] = json.loads(sent).get("visibility")
                return {"json": {"url": f"https://huggingface.co/{name}"}}
            case ["api", "validate-yaml"]:
                assert json.loads(sent)["content"].startswith("---\nlicense: apache-2.0\nlibrary_name: videoflow-tf\n")
                return {"json": {"errors": [], "warnings": []}}
            case ["api", "models", owner, name, *_] if f"{owner}/{name}" not in self.models:
                return {"status": 401, "headers": {"X-Request-Id": "7"}}
            case ["api", "models", _, _, "preupload", "main"]:
                files = [{**file, "uploadMode": "regular", "shouldIgnore": False} for file in json.loads(sent)["files"]]
                return {"json": {"files": files}}
            case ["api", "models", owner, name, "commit", "main"]:
                for line in map(json.loads, sent.splitlines()):
                    if line["key"] == "file":
                        content = base64.b64decode(line["value"]["content"])
                        self.models[f"{owner}/{name}"][line["value"]["path"]] = content
                address = f"https://huggingface.co/{owner}/{name}/commit/{COMMIT}"
                return {"json": {"commitUrl": address, "commitOid": COMMIT}}
            case ["api", "models", owner, name, "revision", "main"]:
                return {"json": {"id": f"{owner}/{name}", "sha": COMMIT}}
            case ["api", "models", owner, name, "tree", _]:
                files = self.models[f"{owner}/{name}"].items()
                return {"json": [{"type": "file", "path": p, "size": len(c), "oid": _tag(c)} for p, c in files]}
            case [owner, name, "resolve", _, file]:
                content = self.models[f"{owner}/{name}"][file]
                return {"content": content, "headers": {"ETag": _tag(content), "X-Repo-Commit": COMMIT}}
        return {"status": 404}


def _tag(content: bytes) -> str:
    return f"{zlib.crc32(content):040x}"


@pytest.fixture
def client(monkeypatch, tmp_path):
    """Sets what the hub's client asks instead of the network: a function of requests."""

    def ask(answer) -> None:
        set_client_factory(lambda: httpx2.Client(transport=httpx2.MockTransport(answer)))

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    yield ask
    set_client_factory(default_client_factory)


@pytest.fixture
def server(client):
    server = Server()

    def answer(request):
        found = server.answer(request.url.path, request.content)
        return httpx2.Response(found.pop("status", 200), **found)

    client(answer)
    return server


def test_there_and_back(server, make_model, make_video):
    model = make_model("float32")
    assert model.push_to_hub("somebody/tiny") == "https://huggingface.co/somebody/tiny"
    kept = {"README.md", "config.json", "model.safetensors"}
    assert server.models["somebody/tiny"].keys() == kept | {"notes.txt"}
    found = VideoFlow.from_pretrained("somebody/tiny")
    np.testing.assert_array_equal(found.bits_per_pixel(make_video()), model.bits_per_pixel(make_video()))
    # The owner's other files stay there.
    assert {path.name for path in workdir.transfer.download("somebody/tiny").iterdir()} == kept


def test_options_go_to_the_hub(server, make_model, tmp_path):
    make_model("float32").push_to_hub("somebody/tiny", private=True)
    assert server.visibility == {"somebody/tiny": "private"}
    VideoFlow.from_pretrained("somebody/tiny", revision="main", cache_dir=tmp_path / "mine")
    assert (tmp_path / "mine" / "models--somebody--tiny").is_dir()
    with refused("cannot fetch somebody/tiny from .*: .*404"):
        VideoFlow.from_pretrained("somebody/tiny", revision="v2")


def test_a_model_here_takes_no_options_of_the_hub():
    with refused("revision: for a model on the Hugging Face hub, and .*shapes is a folder here"):
        VideoFlow.from_pretrained("shapes", revision="main")


def test_what_fails_is_one_line(server, make_model):
    missing = "no trained model 'nobody/tiny': name a workdir, or one of .*; cannot fetch nobody/tiny from the .*: "
    with refused(f"{missing}401 Client Error.* Repository Not Found for url"):
        VideoFlow.from_pretrained("nobody/tiny")
    with refused("cannot upload to closed/tiny on the Hugging Face hub: 403 Forbidden: You may not write here.*look "):
        make_model("float32").push_to_hub("closed/tiny")


def test_without_a_network(client, server, make_model, caplog, capsys):
    model = make_model("float32")
    model.push_to_hub("somebody/tiny")
    VideoFlow.from_pretrained("somebody/tiny")

    def no_network(request):
        raise httpx2.ConnectError("[Errno -2] Name or service not known")

    client(no_network)
    capsys.readouterr()
    with refused("cannot fetch nobody/tiny .*Name or service not known.*; look at the network"):
        VideoFlow.from_pretrained("nobody/tiny")
    with refused("cannot upload to nobody/tiny .*Name or service not known; look at the network"):
        model.push_to_hub("nobody/tiny")
    assert capsys.readouterr() == ("", "") and not caplog.text
    VideoFlow.from_pretrained("somebody/tiny")  # It was fetched before.


def test_without_the_client(make_model, monkeypatch):
    monkeypatch.setattr(extras, "is_installed", lambda package: False)
    with refused(r"no trained model 'nobody/tiny': .*not installed: pip install 'videoflow-tf\[hub\]'"):
        VideoFlow.from_pretrained("nobody/tiny")
    with refused("huggingface_hub is not installed"):
        make_model("float32").push_to_hub("nobody/tiny")


@pytest.mark.parametrize("name", ["tiny", "a/b/c", "./runs", "../up", "/abs/olute"])
def test_other_names_are_no_models_of_the_hub(name, monkeypatch):
    monkeypatch.setattr(workdir.transfer, "download", lambda name, **_: pytest.fail(name))
    with refused(f"no trained model '{name}': name a workdir, or one of [^;]*$"):
        VideoFlow.from_pretrained(name)


def test_a_folder_here_is_no_model_of_the_hub(monkeypatch, tmp_path):
    (tmp_path / "runs" / "mine").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(workdir.transfer, "download", lambda name, **_: pytest.fail(name))
    with refused("no trained model 'runs/mine': name a workdir, or one of [^;]*$"):
        VideoFlow.from_pretrained("runs/mine")
