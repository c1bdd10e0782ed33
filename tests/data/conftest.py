"""The small real sample of BAIR that lies beside the checkout, prepared once through the command."""

import pytest

from tests.checks import ROOT

ARCHIVE = ROOT.parent / "shared" / "bair"


@pytest.fixture(scope="session")
def bair_archive():
    if not (ARCHIVE / "softmotion30_44k").is_dir():
        pytest.skip("needs the sample of the archive in shared/bair beside the checkout")
    return ARCHIVE


@pytest.fixture(scope="session")
def bair_dir(bair_archive, tmp_path_factory, command):
    data_dir = tmp_path_factory.mktemp("bair") / "made" / "on the way"
    assert command("prepare_bair", f"--data_dir={data_dir}", f"--archive={bair_archive}").returncode == 0
    return data_dir
