import copy
import dataclasses
import json
import pickle

import pytest

from tests.checks import refused
from videoflow_tf.config import PARTS, PRESETS, RESUMABLE_FIELDS, VideoFlowConfig, choices_of, help_of


@pytest.mark.parametrize("name", PRESETS)
def test_presets_survive_json(name):
    config = VideoFlowConfig.preset(name)
    assert VideoFlowConfig.from_json(config.to_json()) == config


def test_presets_are_those_of_the_paper():
    bair, quality, shapes = (VideoFlowConfig.preset(name) for name in ("bair", "bair_quality", "shapes"))
    assert (bair.levels, bair.depth, bair.coupling, bair.coupling_width) == (3, 24, "affine", 512)
    assert (bair.latent_encoder_depth, bair.latent_encoder_width, bair.latent_dilations) == (5, 256, (1, 2, 4))
    assert (bair.num_context, bair.num_train_frames, bair.num_eval_frames) == (3, 4, 13)
    assert (bair.learning_rate, bair.warmup_steps, bair.batch_size, bair.init_batch_size) == (3e-4, 10_000, 5, 128)
    assert bair.differences(quality) == {"coupling": ("affine", "additive"), "coupling_width": (512, 392)}
    assert (shapes.coupling, shapes.latent_encoder_depth, shapes.latent_skip) == ("additive", 10, False)
    assert (shapes.num_context, shapes.num_train_frames, shapes.num_eval_frames) == (1, 2, 5)
    assert (shapes.learning_rate, shapes.batch_size) == (1e-4, 10)


def test_every_field_has_a_help_line():
    for field in dataclasses.fields(VideoFlowConfig):
        assert help_of(field.name) and "\n" not in help_of(field.name)


def test_every_choice_is_accepted_by_its_field():
    for field in dataclasses.fields(VideoFlowConfig):
        choices = choices_of(field.name)
        assert (choices is None) == (not isinstance(field.default, str) or field.name == "cache_dir")
        for value in choices or ():
            assert getattr(VideoFlowConfig().replace(**{field.name: value}), field.name) == value


def test_parts_are_all_fields_in_their_order():
    fields = [name for names in PARTS.values() for name in names]
    assert fields == [field.name for field in dataclasses.fields(VideoFlowConfig)]
    assert list(json.loads(VideoFlowConfig().to_json())) == fields
    parts = {name: part for part, names in PARTS.items() for name in names}
    assert [parts[name] for name in ("coupling", "latent_encoder", "dataset", "seed")] == list(PARTS)


def test_a_run_may_go_on_with_other_lengths_and_memory_alone():
    assert {"train_steps", "checkpoint_every", "recompute", "accumulate_steps"} <= RESUMABLE_FIELDS
    assert not RESUMABLE_FIELDS & {*PARTS["flow"], *PARTS["prior"], "batch_size", "seed"}
    assert RESUMABLE_FIELDS & set(PARTS["data"]) == {"cache_dir"}


def test_copies_are_equal():
    config = VideoFlowConfig.preset("demo")
    assert pickle.loads(pickle.dumps(config)) == copy.deepcopy(config) == config
    assert hash(copy.copy(config)) == hash(config)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"frame_size": 60}, "frame_size=60 does not divide by 2\\*\\*levels = 8"),
        ({"frame_size": "48x60"}, "frame_size=48x60 does not divide by 2\\*\\*levels = 8"),
        (
            {"frame_size": "64 x 64"},
            "frame_size must be a number of pixels, or HEIGHTxWIDTH such as 48x64; got '64 x 64'",
        ),
        ({"frame_size": (48, 64)}, "frame_size must be .*; got \\(48, 64\\)"),
        ({"frame_size": 64.0}, "frame_size must be .*; got 64.0"),
        ({"frame_size": True}, "frame_size must be .*; got True"),
        ({"frame_size": 0}, "frame_size must be .*; got 0"),
        ({"frame_size": "0x64"}, "frame_size must be .*; got '0x64'"),
        ({"channels": 2}, "channels must be 3 \\(RGB\\) or 1 \\(grey\\), got 2"),
        ({"depth": 0}, "depth must be at least 1, got 0"),
        ({"depth": 1.5}, "depth must be a whole number, got 1.5"),
        ({"depth": True}, "depth must be a whole number, got True"),
        ({"learning_rate": float("nan")}, "learning_rate must be at least 0, got nan"),
        ({"n_bits": 9}, "n_bits must be between 1 and 8, got 9"),
        ({"ema_decay": 1.0}, "ema_decay must be between 0 and 0.999999, got 1.0"),
        ({"latent_skip": 1}, "latent_skip must be true or false, got 1"),
        ({"coupling": "afine"}, "coupling must be one of affine, additive; got 'afine'"),
        ({"latent_dilations": (2, 4)}, "must start with 1"),
        ({"latent_dilations": ()}, "must start with 1"),
        ({"latent_dilations": "1"}, "latent_dilations must be a list of positive whole numbers"),
        ({"num_train_frames": 3}, "num_train_frames=3 leaves nothing to predict after num_context=3"),
        ({"num_context": 0}, "num_context=0 needs conditional=false"),
        ({"decay_from": 5, "decay_until": 5}, "decay_until=5 must be greater than decay_from=5"),
        ({"coupling_widht": 5}, "unknown configuration field 'coupling_widht'; did you mean coupling_width"),
    ],
)
def test_bad_values_are_one_clear_line(changes, message):
    with refused(message):
        VideoFlowConfig().replace(**changes)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not JSON"),
        ("[]", "must be a JSON object, got list"),
        ('{"depth": "4"}', "depth must be a whole number"),
        ('{"dpeth": 4}', "did you mean depth"),
    ],
)
def test_bad_json(text, message):
    with refused(message):
        VideoFlowConfig.from_json(text)


def test_missing_field_has_its_default():
    assert VideoFlowConfig.from_json('{"seed": 3}') == VideoFlowConfig(seed=3)


def test_unknown_preset():
    with refused("unknown preset 'bear'; one of: bair,"):
        VideoFlowConfig.preset("bear")


def test_latents_hold_as_many_numbers_as_a_frame():
    config = VideoFlowConfig(frame_size=32, levels=3)
    shapes = [config.latent_shape(level) for level in range(3)]
    assert shapes == [(16, 16, 6), (8, 8, 12), (4, 4, 48)]
    assert sum(h * w * c for h, w, c in shapes) == 32 * 32 * 3


def test_a_frame_size_is_a_number_or_height_by_width():
    for given, kept, shape in (
        (32, 32, (32, 32, 3)),
        ("32", 32, (32, 32, 3)),
        ("32x32", 32, (32, 32, 3)),
        ("48x64", "48x64", (48, 64, 3)),
        ("048x64", "48x64", (48, 64, 3)),
    ):
        config = VideoFlowConfig(frame_size=given)
        assert (config.frame_size, config.frame_shape) == (kept, shape)
        assert VideoFlowConfig.from_json(config.to_json()) == config
    grey = VideoFlowConfig(frame_size="48x64", channels=1)
    assert grey.frame_shape == (48, 64, 1)
    assert [grey.latent_shape(level) for level in range(3)] == [(24, 32, 2), (12, 16, 4), (6, 8, 16)]


def test_a_configuration_from_before_frames_had_a_width_and_channels_is_unchanged():
    values = {"frame_size": 32, "levels": 3, "latent_dilations": [1], "dataset": "shapes", "shapes_background": "black"}
    config = VideoFlowConfig.from_json(json.dumps(values))
    assert config.frame_shape == (32, 32, 3)
    assert {name: value for name, value in json.loads(config.to_json()).items() if name in values} == values
