"""Memory that a process holds: what was needed once is let go."""

import ctypes
import gc
import weakref

import numpy as np
import psutil
import pytest
import tensorflow as tf
from tensorflow.python.framework.func_graph import FuncGraph

from tests.conftest import TINY
from videoflow_tf import VideoFlow, data, load_workdir
from videoflow_tf.training import callbacks, export
from videoflow_tf.training.checkpoints import Checkpoints
from videoflow_tf.training.optimizer import make_optimizer
from videoflow_tf.training.train import train
from videoflow_tf.workdir import write_config


def graphs() -> int:
    """How many graphs there are in this process."""
    gc.collect()
    return sum(isinstance(found, FuncGraph) for found in gc.get_objects())


@pytest.mark.slow
@pytest.mark.parametrize("recompute", ["none", "step", "coupling"])
def test_a_model_goes_with_all_its_graphs(make_video, recompute):
    def use() -> None:
        model = VideoFlow(TINY.replace(levels=1, recompute=recompute))
        model.compile()
        video = make_video()
        model.fit(video, verbose=0)
        model.evaluate(video, verbose=0)
        model.predict_frames(video[:, :2], 2)

    use()
    before = graphs()
    use()
    assert graphs() == before


@pytest.mark.slow
def test_a_loaded_model_goes_with_all_that_it_computed(make_model, make_video, tmp_path):
    """No object of it is left, of Python's; nor does the process grow."""
    model, video = make_model("float32", levels=1), make_video()
    write_config(tmp_path, model.config)
    Checkpoints(model, make_optimizer(model.config), tmp_path).save()

    def use() -> tuple[int, int]:
        _, model = load_workdir(tmp_path)
        model.predict_frames(video[:, :2], 2, seed=1)
        model.bits_per_pixel(video)
        model.decode(model.encode(video))
        future = model.future(video[:, :2], num_frames=2)
        future.log_prob(future.sample(seed=1))
        alive = weakref.ref(model)
        del model, future
        gc.collect()
        assert alive() is None
        getattr(ctypes.CDLL(None), "malloc_trim", lambda _: None)(0)
        return len(gc.get_objects()), psutil.Process().memory_info().rss

    use()
    first, *_, last = [use() for _ in range(5)]
    assert last[0] < first[0] + 300  # TensorFlow cleans some of its lists up now and then; a graph alone has more.
    assert last[1] < 1.05 * first[1]


def test_data_leave_no_graphs(tmp_path):
    """Training opens them anew at every validation."""
    for i in range(3):
        for split in ("train", "validation", "test"):
            (tmp_path / split).mkdir(exist_ok=True)
            np.save(tmp_path / split / f"{i}.npy", np.zeros([4, 8, 8, 3], np.uint8))

    def use() -> None:
        for config, data_dir in ((TINY, None), (TINY.replace(dataset="videos"), str(tmp_path))):
            next(iter(data.train_clips(config, data_dir, batch_size=2, start_step=3)))
            assert len(list(data.eval_videos(config, data_dir, "test", num_videos=2))) == 2

    use()
    before = graphs()
    use()
    assert graphs() == before


@pytest.mark.slow
def test_shapes_of_a_sample_leave_no_more_than_a_few_graphs(make_model, make_video):
    model, video = make_model("float32", levels=1), make_video()
    counts = []
    for frames in (1, 2, 3, 4):
        for batch in range(1, 5):
            model.predict_frames(tf.constant(np.repeat(video[:1, :frames], batch, axis=0)), 2)
        counts.append(graphs())
    assert counts[-1] == counts[-2] == counts[-3]


@pytest.mark.slow
def test_two_thousand_steps_take_no_more_memory_than_two_hundred(tmp_path, monkeypatch):
    resident, kept = {}, {}
    shown = callbacks.ShowProgress.on_train_batch_end

    def measure(self, batch, logs):
        shown(self, batch, logs)
        if (step := int(self.model.step.numpy())) in (200, 2000):
            kept[step] = graphs()
            # What is free already, and the C library has not given back yet, differs from run to run.
            getattr(ctypes.CDLL(None), "malloc_trim", lambda _: None)(0)
            resident[step] = psutil.Process().memory_info().rss

    monkeypatch.setattr(callbacks.ShowProgress, "on_train_batch_end", measure)
    monkeypatch.setattr(export, "export_workdir", lambda workdir: None)
    train(TINY.replace(train_steps=2000, checkpoint_every=100, eval_every=100), tmp_path)
    assert kept[2000] == kept[200] and resident[2000] < 1.05 * resident[200]
