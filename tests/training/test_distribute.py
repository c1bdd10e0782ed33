"""Several replicas. TensorFlow's devices are set once in a process: the tests run this file as a program of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def differences() -> dict[str, float]:
    """Largest differences between two replicas and one device, by what was compared."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "2"}
    run = subprocess.run([sys.executable, __file__], env=environment, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout.splitlines()[-1])


def test_initialisation_is_the_same_on_every_replica(differences):
    assert differences["replicas"] == 2
    assert differences["initial"] == 0.0
    assert differences["between_replicas"] == 0.0


def test_two_replicas_train_as_one_device_on_the_joined_batch(differences):
    assert differences["moved"] > 1e-3  # The steps did something.
    assert differences["weights"] < 1e-6
    assert differences["steps"] == 0
    assert differences["bits_per_pixel"] < 1e-5


def test_two_replicas_evaluate_as_one_device(differences):
    assert differences["evaluation"] < 1e-5


def main() -> None:
    import numpy as np
    import tensorflow as tf
    import tf_keras

    from tests.conftest import TINY
    from videoflow_tf import VideoFlow

    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    video = np.random.default_rng(0).integers(0, 256, (12, 4, 8, 8, 3), dtype=np.uint8)

    def train(strategy: tf.distribute.Strategy):
        with strategy.scope():
            model = VideoFlow(TINY)
            model.compile(optimizer=tf_keras.optimizers.SGD(1e-2))
        model.initialize(video)
        initial = [v.numpy() for v in model.trainable_variables]
        clips = tf.data.Dataset.from_tensor_slices(video).batch(4, drop_remainder=True)
        history = model.fit(clips, epochs=1, verbose=0)
        return model, initial, history.history["bits_per_pixel"][-1], model.evaluate(clips, verbose=0)

    def largest(a: list[np.ndarray], b: list[np.ndarray]) -> float:
        return float(max(np.abs(x - y).max() for x, y in zip(a, b, strict=True)))

    one, one_initial, one_bits, one_evaluation = train(tf.distribute.OneDeviceStrategy("CPU:0"))
    mirrored = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    two, two_initial, two_bits, two_evaluation = train(mirrored)
    one_weights, two_weights = ([v.numpy() for v in model.trainable_variables] for model in (one, two))
    copies = [[copy.numpy() for copy in mirrored.experimental_local_results(v)] for v in two.trainable_variables]
    results = {
        "replicas": mirrored.num_replicas_in_sync,
        "initial": largest(one_initial, two_initial),
        "between_replicas": largest([c[0] for c in copies], [c[1] for c in copies]),
        "moved": largest(one_initial, one_weights),
        "weights": largest(one_weights, two_weights),
        "steps": int(two.step.numpy() - one.step.numpy()),
        "bits_per_pixel": abs(one_bits - two_bits),
        "evaluation": abs(one_evaluation - two_evaluation),
    }
    print(json.dumps(results))


if __name__ == "__main__":
    main()
