"""Trained models: weights alone, by name or folder, and as the start of another run."""

import numpy as np
import pytest

from tests.checks import refused
from videoflow_tf import UserError, VideoFlow, save_pretrained, workdir
from videoflow_tf.hub.card import model_card
from videoflow_tf.training.checkpoints import load_weights, load_workdir
from videoflow_tf.training.train import train


@pytest.fixture(scope="module")
def weights_alone(micro_run, tmp_path_factory):
    """The finished run's averaged weights in a workdir of their own."""
    folder = tmp_path_factory.mktemp("trained") / "micro"
    save_pretrained(load_workdir(micro_run)[1], folder)
    return folder


def test_from_pretrained_takes_a_name_or_a_folder(weights_alone, make_video, monkeypatch):
    monkeypatch.setattr(workdir, "PRETRAINED", weights_alone.parent)
    video = make_video(size=16)
    expected = load_workdir(weights_alone)[1].bits_per_pixel(video)
    for name in ("micro", weights_alone, str(weights_alone)):
        np.testing.assert_array_equal(VideoFlow.from_pretrained(name).bits_per_pixel(video), expected)
    with pytest.raises(UserError, match="no trained model 'macro': name a workdir, or one of micro"):
        VideoFlow.from_pretrained("macro")


def test_a_run_starts_from_the_weights_of_another(micro_config, micro_run, weights_alone, tmp_path, capsys):
    train(micro_config.replace(train_steps=0, seed=5), tmp_path / "new", init_from=weights_alone)
    assert f"Starting from the weights in {weights_alone}" in capsys.readouterr().out
    new, trained = load_workdir(tmp_path / "new")[1], load_workdir(micro_run)[1]
    assert int(new.step) == 0
    assert f"--init_from={weights_alone}" in model_card(new.config, 0, 1, tmp_path / "new")
    # Another seed draws other permutations and signs: those of the other run count.
    theirs = trained.own_variables
    for name, mine in new.own_variables.items():
        if mine is not new.step:
            np.testing.assert_array_equal(mine, theirs[name], err_msg=name)
    assert len(theirs) > len(trained.trainable_variables) + 1


def test_a_model_with_one_gaussian_becomes_a_mixture(micro_config, weights_alone, make_video, tmp_path):
    mixture = VideoFlow(micro_config.replace(prior_components=3, seed=5))
    load_weights(mixture, weights_alone)
    video = make_video(size=16)
    expected = VideoFlow.from_pretrained(weights_alone).bits_per_pixel(video)
    np.testing.assert_allclose(mixture.bits_per_pixel(video), expected, rtol=1e-3)
    save_pretrained(mixture, tmp_path / "mixture")
    for components in (1, 2):
        with refused(rf"prior_components \(3 there, {components} here\)"):
            load_weights(VideoFlow(micro_config.replace(prior_components=components)), tmp_path / "mixture")


def test_another_architecture_is_refused_by_what_differs_before_anything_is_written(
    micro_config, weights_alone, tmp_path
):
    other = micro_config.replace(depth=2, n_bits=5, learning_rate=0.5)
    message = r"another architecture: depth \(1 there, 2 here\), n_bits \(8 there, 5 here\)$"
    with pytest.raises(UserError, match=message):
        train(other, tmp_path / "run", init_from=weights_alone)
    with pytest.raises(UserError, match="nothing is not a workdir"):
        train(other, tmp_path / "run", init_from=tmp_path / "nothing")
    assert not (tmp_path / "run").exists()
