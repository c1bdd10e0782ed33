"""The documentation: its code runs, its commands and flags exist, the site has every public name."""

import ast
import collections
import importlib
import os
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest

from tests.checks import ROOT
from tests.conftest import TINY
from videoflow_tf import registry
from videoflow_tf.commands import LAUNCH
from videoflow_tf.config import PRESETS
from videoflow_tf.units import BITS_UNIT

PAGES, README = sorted((ROOT / "docs").rglob("*.md")), ROOT / "README.md"
WITH_CODE = [page for page in [*PAGES, README] if "```python" in page.read_text()]
WITH_COMMANDS = [*(page for page in PAGES if "generated" not in page.parts), README, ROOT / "BUILD.md"]


def name_of(path):
    return str(path.relative_to(ROOT))


@pytest.fixture
def own_registries():
    """What the code registers is gone after it."""
    registries = [part for part in vars(registry).values() if isinstance(part, registry.Registry)]
    before = [tuple(names) for names in registries]
    yield
    for names, known in zip(registries, before, strict=True):
        for name in set(names) - set(known):
            names.unregister(name)


@pytest.mark.slow
@pytest.mark.parametrize("page", WITH_CODE, ids=name_of)
def test_code_of_a_page_runs(page, tmp_path, monkeypatch, own_registries):
    monkeypatch.chdir(tmp_path)
    namespace, text = {}, page.read_text()
    if page == README:  # Its videos are the reader's own; and its models are tiny here.
        for name in ("bair", "demo"):
            monkeypatch.setitem(PRESETS, name, TINY.replace(num_context=3, num_train_frames=4, num_eval_frames=7))
        parts = {"video": 7, "context": 3, "frames": 20}
        namespace = {name: np.zeros([2, length, *TINY.frame_shape], np.uint8) for name, length in parts.items()}
    for block in re.finditer(r"(?ms)^```python\n(.*?)^```", text):
        # At its own lines of the page, so that an error names them.
        lines = "\n" * text.count("\n", 0, block.start(1)) + block[1]
        exec(compile(lines, page, "exec"), namespace)


def code_of(text):
    """The lines of code blocks, fenced or indented, and what stands in backticks."""
    text = text.replace("\\\n", " ")
    fenced = re.findall(r"(?ms)^```\w*\n(.*?)^```", text)
    prose = re.sub(r"(?ms)^```.*?^```", "", text)
    lines = [line for block in fenced for line in block.splitlines()]
    return lines + re.findall(r"(?m)^ {4}(\S.*)", prose) + re.findall(r"`([^`\n]+)`", prose)


def commands_of(text):
    """Names of programs and the flags that stand after them; of flags that stand alone the name is None."""
    for line in code_of(text):
        if line.startswith("--") and not line.startswith("--8<--"):
            yield None, re.findall(r"(?<!\S)--(\w+)", line)
        elif named := re.search(r"(?:^videoflow |\blaunch/)(\w+)(?:\.py\b|(?<=\w)(?= |$))(.*)", line):
            yield named[1], re.findall(r"(?<!\S)--(\w+)", named[2])


@pytest.fixture(scope="module")
def options(command):
    """The flags of every program."""
    programs = sorted(path.stem for path in LAUNCH.glob("*.py") if path.stem != "cli")
    shown = {name: command(name, "--help").stdout for name in programs}
    return {name: {*re.findall(r"(?m)^  --(\w+):", text), "flagfile", "help"} for name, text in shown.items()}


def is_option(flag, known):
    return flag in known or flag.removeprefix("no") in known


@pytest.mark.parametrize("page", WITH_COMMANDS, ids=name_of)
def test_commands_and_their_flags_exist(page, options):
    every = set().union(*options.values())
    for name, given in commands_of(page.read_text()):
        assert name is None or name in options, f"there is no command {name}"
        unknown = [flag for flag in given if not is_option(flag, every if name is None else options[name])]
        assert not unknown, f"{name} has no {unknown}"


def test_a_wrong_command_is_found():
    found = list(commands_of("`videoflow evalute --x=1`\n\n    python launch/train.py --workdr=W\n\n| `--fit=crop` |"))
    assert found == [("train", ["workdr"]), ("evalute", ["x"]), (None, ["fit"])]


def public_names(path, kinds=(ast.ClassDef, ast.FunctionDef)):
    """Of the classes and functions at the top of a module, those with a docstring."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, kinds) and not node.name.startswith("_"):
            assert ast.get_docstring(node), f"{path}: {node.name} has no docstring"
            yield node.name


def public_functions(path):
    """Public functions of a module and methods of its public classes: the class or None, and their nodes."""
    public = lambda node, kind: isinstance(node, kind) and not node.name.startswith("_")  # noqa: E731
    for node in ast.parse(path.read_text()).body:
        if public(node, ast.FunctionDef):
            yield None, node
        if public(node, ast.ClassDef):
            yield from ((node.name, method) for method in node.body if public(method, ast.FunctionDef))


def inherited_docstring(path, class_name, method):
    module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
    bases = getattr(importlib.import_module(module), class_name).__mro__
    return next((text for base in bases if method in vars(base) and (text := vars(base)[method].__doc__)), None)


ARRAY = re.compile(r"(tuple\[)?(tf\.Tensor|np\.ndarray)( \||,|$)")


def test_every_public_function_says_what_it_does_and_of_which_shapes():
    """A method may leave that to the class that it overrides it of."""
    missing = []
    for path in (path for package in ("bijectors", "videoflow_tf") for path in (ROOT / package).rglob("*.py")):
        for class_name, node in public_functions(path):
            text = ast.get_docstring(node) or (class_name and inherited_docstring(path, class_name, node.name))
            arguments = (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)
            annotations = [a.annotation for a in arguments] + [node.returns]
            arrays = any(ARRAY.match(ast.unparse(annotation)) for annotation in annotations if annotation)
            if not text or (arrays and not re.search(r"\[|\bshape", text)):
                missing.append(f"{name_of(path)}:{node.lineno}: {node.name}")
    assert not missing


def test_no_two_classes_have_one_name():
    paths = (path for package in ("bijectors", "videoflow_tf") for path in (ROOT / package).rglob("*.py"))
    names = collections.Counter(name for path in paths for name in public_names(path, ast.ClassDef))
    assert not [name for name, count in names.items() if count > 1]


def test_site_has_every_public_name(tmp_path):
    pytest.importorskip("zensical")
    for name in ("docs", "bijectors", "videoflow_tf"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__", "generated"))
    for name in ("mkdocs.yml", "BUILD.md", "README.md"):
        shutil.copy(ROOT / name, tmp_path)
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    for words in (["docs/generate.py"], ["-m", "zensical", "build", "--strict"]):
        done = subprocess.run(
            [sys.executable, *words], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=600
        )
        assert done.returncode == 0, done.stdout + done.stderr
    output = done.stdout + done.stderr
    assert "No issues found" in output and "griffe" not in output, output
    pages = {page: page.read_text() for page in (tmp_path / "site").rglob("*.html")}
    assert not [page for page, text in pages.items() if re.search(r"\]\[(bijectors|videoflow_tf)", text)]
    reference = "".join(text for page, text in pages.items() if page.parent.name == "reference")
    prose = re.sub(r"(?s)<(pre|code|script|math)\b.*?</\1>|<[^>]+>", "", reference)
    raw = re.findall(r".*(?:={5,}|`\w|\w`|\S {4,}\S).*", prose)  # What Markdown did not understand.
    assert not raw
    # One item for a text of two lines.
    assert re.search(r"Element i is the batch of step\s+<code>start_step", reference)
    for package in ("bijectors", "videoflow_tf"):
        for path in (tmp_path / package).rglob("*.py"):
            module = ".".join(path.relative_to(tmp_path).with_suffix("").parts).removesuffix(".__init__")
            for name in public_names(path):
                assert f'id="{module}.{name}"' in reference, f"{module}.{name}"


INTRODUCE_BITS = (
    "README.md",
    "benchmarks/README.md",
    "docs/results.md",
    "docs/guides/look.md",
    "docs/guides/own_videos.md",
)


@pytest.mark.parametrize("page", INTRODUCE_BITS)
def test_a_page_that_tells_bits_says_what_they_are_counted_by(page):
    assert BITS_UNIT in " ".join((ROOT / page).read_text().split())


def test_the_table_of_results_begins_with_what_bits_are_counted_by():
    assert re.search(
        rf"start:results\] -->\nBits per pixel are {BITS_UNIT}: .*\n\n\| what", (ROOT / "README.md").read_text()
    )
