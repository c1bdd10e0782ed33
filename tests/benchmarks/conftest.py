"""The benchmarks import one another by their file names, as when they are run as commands."""

import sys

from tests.checks import ROOT

sys.path.insert(0, str(ROOT / "benchmarks"))
