"""A run to write to, and commands that succeed or fail as they should."""

import shutil
from pathlib import Path

import pytest


@pytest.fixture
def workdir(micro_run, tmp_path) -> Path:
    """A copy of the finished run, without results and samples."""
    return shutil.copytree(micro_run, tmp_path / "run", ignore=shutil.ignore_patterns("eval", "samples"))


@pytest.fixture(scope="session")
def output(command):
    """Runs a command, see `command`, that succeeds; gives what it prints."""

    def run(name: str, *arguments: str) -> str:
        done = command(name, *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.fixture(scope="session")
def error(command):
    """Runs a command that the user got wrong; gives the one line that it prints."""

    def run(name: str, *arguments: str) -> str:
        done = command(name, *arguments)
        assert done.returncode == 2
        assert all(line.startswith("Data: ") for line in done.stdout.splitlines())
        assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1
        return done.stderr

    return run
