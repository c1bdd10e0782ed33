"""Numbers as they are said to people."""

import pytest

from videoflow_tf.units import counted


@pytest.mark.parametrize(
    ("number", "words"), [(0, "0 frames"), (1, "1 frame"), (2, "2 frames"), (1200, "1,200 frames")]
)
def test_counted(number, words):
    assert counted(number, "frame") == words
