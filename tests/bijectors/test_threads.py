import os

import pytest
import tensorflow as tf

from bijectors import fast_forms


@pytest.fixture
def settings(monkeypatch):
    """What `threads` sets, on a pretended machine of two cores without a GPU."""
    found = {}
    for kind in ("intra", "inter"):
        name = f"set_{kind}_op_parallelism_threads"
        monkeypatch.setattr(tf.config.threading, name, lambda number, kind=kind: found.update({kind: number}))
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind=None: [])
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1}, raising=False)
    monkeypatch.delenv("TF_NUM_INTRAOP_THREADS", raising=False)
    return found


@pytest.mark.parametrize("jit_compile", [None, False])
def test_on_two_cores_an_operation_keeps_to_one(settings, jit_compile):
    fast_forms.one_core_an_operation(jit_compile)
    assert settings == {"intra": 1, "inter": 2}


@pytest.mark.parametrize("reason", ["xla", "one core", "more cores", "gpu", "chosen"])
def test_otherwise_the_setting_stays(settings, monkeypatch, reason):
    if reason in ("one core", "more cores"):
        cores = {0} if reason == "one core" else {0, 1, 2}
        monkeypatch.setattr(os, "sched_getaffinity", lambda pid: cores, raising=False)
    elif reason == "gpu":
        monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind=None: ["GPU:0"])
    elif reason == "chosen":
        monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", "2")
    fast_forms.one_core_an_operation(jit_compile=reason == "xla")
    assert settings == {}
