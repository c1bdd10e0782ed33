"""The small real sample of BAIR that lies beside the checkout, prepared once through the command."""

import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
ARCHIVE = REPOSITORY.parent / "shared" / "bair"


@pytest.fixture(scope="session")
def bair_archive():
    if not (ARCHIVE / "softmotion30_44k").is_dir():
        pytest.skip("needs the sample of the archive in shared/bair beside the checkout")
    return ARCHIVE


@pytest.fixture(scope="session")
def bair_dir(bair_archive, tmp_path_factory):
    data_dir = tmp_path_factory.mktemp("bair") / "made" / "on the way"
    command = [sys.executable, "launch/prepare_bair.py", f"--data_dir={data_dir}", f"--archive={bair_archive}"]
    subprocess.run(command, cwd=REPOSITORY, check=True, capture_output=True)
    return data_dir
