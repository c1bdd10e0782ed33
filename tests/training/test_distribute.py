"""Several replicas. TensorFlow's devices are set once in a process: the tests run this file as a program of its own."""

import json

from tests.checks import run_python


def test_two_replicas_train_and_evaluate_as_one_device_on_the_joined_batch():
    run = run_python(__file__)
    assert run.returncode == 0, run.stderr
    differences = json.loads(run.stdout.splitlines()[-1])
    assert differences["replicas"] == 2
    assert differences["initial"] == differences["between_replicas"] == differences["steps"] == 0
    assert differences["moved"] > 1e-3  # The steps did something.
    assert differences["weights"] < 1e-6
    assert differences["bits_per_pixel"] < 1e-5
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
