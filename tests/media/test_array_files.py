import concurrent.futures
import gc
import sys

import numpy as np
import pytest

from videoflow_tf.media.array_files import map_array


@pytest.fixture
def restless():
    """Threads give way to each other all the time, most of all where objects are made."""
    interval, threshold = sys.getswitchinterval(), gc.get_threshold()
    sys.setswitchinterval(1e-6)
    gc.set_threshold(5)
    yield
    sys.setswitchinterval(interval)
    gc.set_threshold(*threshold)


class _Circular:
    """Its end is found by the garbage collector, which may be amid anything."""

    def __init__(self) -> None:
        self.itself = self

    def __del__(self) -> None:
        str(self)


def test_headers_are_read_in_several_threads_at_once(tmp_path, restless):
    np.save(tmp_path / "a.npy", np.arange(24, dtype=np.uint8).reshape(2, 2, 2, 3))

    def read(depth: int) -> int:
        if depth % 8:  # How deep a thread is in calls of its own makes the difference.
            return read(depth - 1)
        _Circular()
        return int(map_array(tmp_path / "a.npy").sum())

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert set(pool.map(read, range(4000))) == {276}
