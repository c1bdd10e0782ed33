"""From the archive of BAIR robot pushing, as its authors publish it, to the form in which `bair.py` reads it.

The archive holds softmotion30_44k/{train,test}/*.tfrecords. TFDS's own builder parses, encodes, shuffles and writes the
videos; only where the files come from is replaced. Files of a tar are unpacked one at a time, so that no second copy
of the archive (30 GB) comes to lie on the disk.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import io
import shutil
import tarfile
import tempfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import tensorflow as tf
from google.protobuf.message import DecodeError
from tqdm import tqdm

from videoflow_tf.data.bair import NAME, find_fault, open_dataset, version_dir
from videoflow_tf.data.tfds_videos import preparing, without_bars, without_warnings
from videoflow_tf.errors import UserError
from videoflow_tf.files import local_path, sole_user

URL = "http://rail.eecs.berkeley.edu/datasets/bair_robot_pushing_dataset_v0.tar"
RESUME_BY_HAND = f"download it by hand (curl -C - -O {URL} resumes where it stopped) and pass it as --archive"

_FOLDER = "softmotion30_44k"
_SCRATCH = "incomplete.prepare_bair."
_SPLITS = ("train", "test")
_BROKEN_TAR = (tarfile.TarError, EOFError, zlib.error, OSError)
_BROKEN_RECORDS = (tf.errors.OpError, DecodeError, IndexError, ValueError, tarfile.TarError)


def prepare(data_dir: str | Path, archive: str | Path | None) -> dict[str, int]:
    """Prepares BAIR in `data_dir`, or does nothing if that is done already.

    The dataset appears under its final name when it is complete. What an interrupted run left behind is removed.

    Args:
      data_dir: folder for TFDS datasets, made if it is not there.
      archive: the downloaded tar, or a folder that is, or somewhere holds, softmotion30_44k. None: TFDS downloads the
        tar into `data_dir`/downloads.

    Returns:
      Number of videos by split.

    Raises:
      UserError: if the archive cannot be read or holds no videos, or `data_dir` cannot be written.
    """
    data_dir = local_path(data_dir)
    if find_fault(data_dir) is None:
        return num_videos(data_dir)
    with contextlib.ExitStack() as stack:
        records = None if archive is None else stack.enter_context(_open_archive(local_path(archive)))
        stack.enter_context(preparing("BAIR", data_dir))
        final = version_dir(data_dir)
        final.parent.mkdir(parents=True, exist_ok=True)
        stack.enter_context(sole_user(final.parent, "preparing BAIR"))
        for leftover in final.parent.glob(f"{_SCRATCH}*"):
            shutil.rmtree(leftover)
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=final.parent, prefix=_SCRATCH)))
        _build(scratch, records, data_dir / "downloads", stack)
        if final.exists():  # Half prepared, or damaged.
            shutil.rmtree(final)
        version_dir(scratch).rename(final)
    return num_videos(data_dir)


def num_videos(data_dir: str | Path) -> dict[str, int]:
    """Videos of each split of the prepared dataset."""
    return {split: info.num_examples for split, info in open_dataset(data_dir).info.splits.items()}


@dataclasses.dataclass(frozen=True)
class _Record:
    """A file of the archive: its split, how to call it, and how to lay it down in a folder."""

    split: str
    label: str
    put: Callable[[Path], None]


def _build(scratch: Path, records: list[_Record] | None, downloads: Path, stack: contextlib.ExitStack) -> None:
    """Prepares the dataset in `scratch`, as if that were the data folder."""
    import tensorflow_datasets as tfds

    builder = tfds.builder(NAME, data_dir=scratch)

    def split_generators(manager: Any) -> dict[str, Iterator]:
        found = stack.enter_context(_open_archive(_download(manager))) if records is None else records
        stack.enter_context(without_bars())  # Not before: that of a download is worth seeing.
        bar = tqdm(total=len(found), desc="Preparing BAIR", unit=" files", leave=False, disable=None)
        stack.enter_context(bar)
        return {split: _examples(builder, split, found, scratch, bar) for split in _SPLITS}

    builder._split_generators = split_generators
    # On stdout TFDS praises the scratch folder.
    with without_warnings(), contextlib.redirect_stdout(io.StringIO()):
        builder.download_and_prepare(
            download_dir=downloads if records is None else scratch,
            download_config=tfds.download.DownloadConfig(try_download_gcs=False),
        )


def _download(manager: Any) -> Path:
    import tensorflow_datasets as tfds

    try:
        return Path(manager.download(URL))
    except (OSError, tfds.download.DownloadError, tfds.download.download_manager.NonMatchingChecksumError) as error:
        raise UserError(f"the download failed ({type(error).__name__}); {RESUME_BY_HAND}") from error


def _examples(builder: Any, split: str, records: list[_Record], scratch: Path, bar: tqdm) -> Iterator[tuple[str, Any]]:
    """The key and the frames of every video, through the parser of TFDS, which takes all files of a folder."""
    empty = True
    for record in records:
        if record.split != split:
            continue
        with tempfile.TemporaryDirectory(dir=scratch) as folder:
            try:
                record.put(Path(folder))
                for example in builder._generate_examples(folder):
                    empty = False
                    yield example
            except _BROKEN_RECORDS as error:
                raise UserError(f"{record.label} is damaged or not a BAIR file ({type(error).__name__})") from error
        bar.update()
    if empty:
        raise UserError(f"the files of {_FOLDER}/{split} hold no videos; is the archive whole?")


@contextlib.contextmanager
def _open_archive(archive: Path) -> Iterator[list[_Record]]:
    """All files of the archive, none of them read yet."""
    with contextlib.ExitStack() as stack:
        if archive.is_dir():
            records = _folder_records(archive)
        elif archive.exists():
            try:
                tar = stack.enter_context(tarfile.open(archive))
                records = _tar_records(tar, archive)
            except _BROKEN_TAR as error:
                reason = getattr(error, "strerror", None) or type(error).__name__
                raise UserError(f"{archive} is not a whole tar archive ({reason}); {RESUME_BY_HAND}") from error
        else:
            raise UserError(f"there is no archive {archive}; give the downloaded tar, or the folder unpacked from it")
        for split in _SPLITS:
            if not any(record.split == split for record in records):
                raise UserError(f"{archive} holds no {_FOLDER}/{split}/*.tfrecords; is it the BAIR archive, and whole?")
        yield records


def _folder_records(folder: Path) -> list[_Record]:
    if folder.name == _FOLDER or all((folder / split).is_dir() for split in _SPLITS):
        root = folder
    else:
        root = next((path for path in folder.rglob(_FOLDER) if path.is_dir()), folder)
    return [
        _Record(split, str(path), lambda to, path=path: (to / path.name).symlink_to(path.resolve()))
        for split in _SPLITS
        for path in sorted((root / split).glob("[!.]*.tfrecords"))
    ]


def _tar_records(tar: tarfile.TarFile, archive: Path) -> list[_Record]:
    records = []
    for member in tar:  # Reads the headers alone, and fails if the last file is cut short.
        path = PurePosixPath(member.name)
        wanted = path.parent.parent.name == _FOLDER and path.parent.name in _SPLITS and path.suffix == ".tfrecords"
        if wanted and member.isfile() and not path.name.startswith("."):
            put = functools.partial(lambda member, name, to: tar.makefile(member, to / name), member, path.name)
            records.append(_Record(path.parent.name, f"{member.name} in {archive}", put))
    return records
