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
