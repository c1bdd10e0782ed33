import re

import numpy as np
import tensorflow as tf

from videoflow_tf.training import callbacks


def test_loss_of_invertibility_is_said(make_model, make_video, tmp_path, capsys):
    model = make_model("float32")
    watch = callbacks.WatchInvertibility(make_video()[0], tf.summary.create_file_writer(str(tmp_path)))
    watch.set_model(model)
    watch.on_test_end()
    assert capsys.readouterr().out == ""
    log_s = model.levels[0].steps[0].conv.log_s
    for value in (log_s - np.float32([30] + [0] * 11), log_s * np.nan):
        log_s.assign(value)
        watch.on_test_end()
        assert re.fullmatch("warning: at step 0 the flow is no longer invertible .*\n", capsys.readouterr().out)


def test_minutes_left_are_minutes(make_model, capsys):
    """Not 0.0000e+00 at the end, and of a step that takes no time."""
    model = make_model("float32")
    progress = callbacks.ShowProgress(train_steps=4, frames_per_step=2)
    progress.set_model(model)
    progress.set_params({"steps": 4})
    progress.on_train_begin()
    for batch in range(4):
        model.step.assign_add(1)
        progress.on_train_batch_end(batch, {"bits_per_pixel": 1.0})
    last = capsys.readouterr().out.splitlines()[-1]
    assert re.search(r"minutes_left: 0\.0100$", last.rstrip()) and "bits_per_pixel: 1.0000" in last
