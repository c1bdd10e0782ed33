"""Programs in processes that begin with TensorFlow imported: forks of one that has done nothing else."""

from __future__ import annotations

import multiprocessing
import os
import runpy
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
_TIMEOUT = 600  # Seconds.
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["tensorflow", "tf_keras", "tensorflow_probability", "matplotlib.figure"])


def run_command(name: str, *arguments: object, cwd: Path = ROOT) -> subprocess.CompletedProcess:
    """As `python launch/NAME.py ARGUMENTS` in the folder `cwd`, its output as text."""
    return run_program(ROOT / "launch" / f"{name}.py", *arguments, cwd=cwd)


def run_program(file: Path, *arguments: object, cwd: Path = ROOT) -> subprocess.CompletedProcess:
    """As `python FILE ARGUMENTS` in the folder `cwd`, its output as text."""
    argv = [str(file.relative_to(ROOT) if file.is_relative_to(ROOT) else file), *map(str, arguments)]
    with tempfile.NamedTemporaryFile() as stdout, tempfile.NamedTemporaryFile() as stderr:
        process = _CONTEXT.Process(target=_run, args=(argv, str(cwd), dict(os.environ), stdout.name, stderr.name))
        process.start()
        process.join(_TIMEOUT)
        if process.is_alive():
            process.kill()
            process.join()
        texts = [Path(stream.name).read_text() for stream in (stdout, stderr)]
    return subprocess.CompletedProcess(argv, process.exitcode, *texts)


def _run(argv: list[str], cwd: str, environment: dict[str, str], stdout: str, stderr: str) -> None:
    os.environ.clear()
    os.environ.update(environment)
    for path, descriptor in ((stdout, 1), (stderr, 2)):
        os.dup2(os.open(path, os.O_WRONLY), descriptor)
    os.chdir(cwd)
    sys.argv = argv
    sys.path[:0] = [str(ROOT / "launch"), str(ROOT)]
    runpy.run_path(str(ROOT / argv[0]), run_name="__main__")
