"""What it takes to add a coupling, a latent encoder or a dataset from outside the package: a class and one line."""

import contextlib

import numpy as np
import pytest
import tensorflow as tf

from bijectors.coupling import Coupling
from tests.bijectors.conftest import Scaling
from tests.checks import refused, run_python
from videoflow_tf.config import VideoFlowConfig, choices_of
from videoflow_tf.data.source import Source, numbers_from
from videoflow_tf.latent_encoders import DiagonalGaussian
from videoflow_tf.latent_encoders.base import LatentEncoder, WindowEncoder
from videoflow_tf.registry import COUPLINGS, DATASETS, LATENT_ENCODERS, METRICS, Registry

REGISTRIES = {"coupling": COUPLINGS, "latent_encoder": LATENT_ENCODERS, "dataset": DATASETS}


@contextlib.contextmanager
def registered(registry, name, part):
    registry.register(name, part)
    try:
        yield
    finally:
        registry.unregister(name)


@pytest.mark.parametrize("registry", [*REGISTRIES.values(), METRICS])
def test_every_name_has_a_class(registry):
    classes = [registry[name] for name in registry]
    assert all(isinstance(part, type) for part in classes) and len(set(classes)) == len(classes)


def test_names_of_a_registry():
    registry = Registry("thing", {"one": "collections:OrderedDict"})
    with registered(registry, "two", dict):
        assert tuple(registry) == ("one", "two") and "two" in registry and registry["two"] is dict
        with refused("there is a thing 'two' already; choose another name"):
            registry.register("two", list)
    assert tuple(registry) == ("one",) and "two" not in registry
    for call in (registry.__getitem__, registry.unregister):
        with refused("unknown thing 'two'; one of: one"):
            call("two")


@pytest.mark.parametrize("field", REGISTRIES)
def test_a_registered_name_is_a_choice_of_configuration_and_flags(field):
    with registered(REGISTRIES[field], "mine", "mine:Mine"):
        assert choices_of(field)[-1] == "mine"
        config = VideoFlowConfig(**{field: "mine"})
        assert VideoFlowConfig.from_json(config.to_json()) == config
    with refused(f"{field} must be one of"):
        VideoFlowConfig(**{field: "mine"})
    script = f"""
import sys
sys.path.insert(0, "launch")
from videoflow_tf import registry
registry.{field.upper()}S.register("mine", "mine:Mine")
import cli
cli.define_config_flags()
cli.FLAGS(["x", "--preset=shapes", "--{field}=mine"])
print(cli.config_from_flags().{field})
"""
    done = run_python("-c", script)
    assert (done.stdout, done.stderr) == ("mine\n", "")


class LastLatent(WindowEncoder):
    """mean = z_{t-1}; sigma learned per position and channel."""

    def __init__(self, config, level, rng, dtype, name="last_latent"):
        super().__init__(1, name=name)
        self.log_std = tf.Variable(np.zeros(config.latent_shape(level)), dtype=dtype)

    def fold(self):
        return tf.convert_to_tensor(self.log_std)

    def apply(self, weights, past, level, seed=None):
        return DiagonalGaussian(past[-1], tf.broadcast_to(weights, tf.shape(past[-1])))

    def initialize_windows(self, past, level):
        """Nothing: it has no actnorm."""


class Stripes(Source):
    """Bright rows that move down by one row a frame; the first bright row is the number of the video."""

    def __init__(self, config, data_dir):
        self._config = config

    def train_batches(self, batch_size, start_step):
        videos = self.videos("train", self._config.num_train_frames).skip(start_step * batch_size)
        return videos.batch(batch_size, drop_remainder=True)

    def num_videos(self, split, num_frames):
        return 8

    def videos(self, split, num_frames):
        size = self._config.frame_size

        def video(index):
            rows = tf.range(size)[None, :] - tf.range(num_frames)[:, None]  # [T, H]
            bright = (rows - tf.cast(index, tf.int32)) % 4 == 0
            return tf.tile(tf.where(bright, tf.constant(255, tf.uint8), 0)[:, :, None, None], [1, 1, size, 3])

        return numbers_from(0).map(video)


OUTSIDE = {"coupling": Scaling, "latent_encoder": LastLatent, "dataset": Stripes}


@pytest.fixture(scope="module")
def trained(micro_config, tmp_path_factory):
    """A model with a part of each kind from outside, after one step of training, read back from its workdir."""
    from videoflow_tf.training import train as training
    from videoflow_tf.training.checkpoints import load_workdir

    workdir = tmp_path_factory.mktemp("outside") / "run"
    with contextlib.ExitStack() as stack:
        for field, part in OUTSIDE.items():
            stack.enter_context(registered(REGISTRIES[field], "mine", part))
        config = micro_config.replace(**dict.fromkeys(OUTSIDE, "mine"), train_steps=1)
        training.train(config, workdir, None)
        yield load_workdir(workdir)[1]


def test_it_can_be_sampled(trained):
    assert trained.predict_frames(np.zeros([1, 1, 16, 16, 3], np.uint8), 2, seed=0).shape == (1, 2, 16, 16, 3)


def test_a_coupling_from_outside(trained):
    couplings = [part for part in trained.submodules if isinstance(part, Coupling)]
    assert couplings and all(type(part) is Scaling for part in couplings)


def test_a_latent_encoder_from_outside(trained):
    encoders = [part for part in trained.submodules if isinstance(part, LatentEncoder)]
    assert len(encoders) == trained.config.levels and all(type(part) is LastLatent for part in encoders)
    assert all(np.abs(encoder.log_std.numpy()).max() > 0 for encoder in encoders)


def test_a_dataset_from_outside(trained):
    from videoflow_tf.data import eval_videos

    first = next(iter(eval_videos(trained.config, None, "test")))["video"].numpy()
    assert first.shape == (5, 16, 16, 3) and (first[1, 1::4] == 255).all()
