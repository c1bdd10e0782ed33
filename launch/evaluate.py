"""Measures a trained model: python launch/evaluate.py --workdir=W [--data_dir=D] [--metrics=...] -> W/eval.

Metrics: bits_per_pixel; on samples psnr, ssim, vgg_cosine (best, mean and worst sample), fvd, diversity, vgg_diversity.
Writes W/eval/metrics.json and curves.png; with --temperatures temperature_sweep.json and .png. Started again after an
interruption, it goes on where it was.
"""

import math
from pathlib import Path
from typing import Any

import cli
from absl import flags

from videoflow_tf.errors import UserError
from videoflow_tf.metrics import LIKELIHOOD, METRICS

_WORKDIR = flags.DEFINE_string("workdir", None, "Folder of the run.")
_DATA_DIR = flags.DEFINE_string("data_dir", None, "Folder of the prepared dataset; not needed for shapes.")
_METRICS = flags.DEFINE_list("metrics", ["bits_per_pixel"], "What to measure, comma-separated.")
_SPLIT = flags.DEFINE_enum("split", "test", ["train", "validation", "test"], "Videos to evaluate on.")
_NUM_VIDEOS = flags.DEFINE_integer("num_videos", None, "The first so many of them; default: 256, or all of fewer.", 1)
_NUM_SAMPLES = flags.DEFINE_integer("num_samples", 100, "Futures sampled of each video.", 1)
_NUM_FRAMES = flags.DEFINE_integer(
    "num_frames", None, "Frames to predict in samples; default: num_eval_frames - num_context.", 1
)
_TEMPERATURE = flags.DEFINE_float("temperature", 1.0, "Factor of the prior's sigma in samples.", 0)
_TEMPERATURES = flags.DEFINE_list("temperatures", None, "A sweep over these instead, for example 0.0,0.5,1.0.")
_DEQUANTIZATION_SAMPLES = flags.DEFINE_integer(
    "dequantization_samples", 1, "Noise draws for bits_per_pixel; 2 and more: the importance-weighted bound too.", 1
)
_VGG_WEIGHTS = flags.DEFINE_string("vgg_weights", None, "Keras's VGG16 weights without top (.h5), for vgg_*.")
_I3D_PATH = flags.DEFINE_string("i3d_path", None, "Folder of the SavedModel I3D (Kinetics-400), for fvd.")
_FVD_DRAWS = flags.DEFINE_integer("fvd_draws", 5, "FVD is measured so many times, on one sample of each video.", 1)
_FVD_CONTEXT = flags.DEFINE_boolean(
    "fvd_context", True, "Whether the given frames are part of the clips that fvd sees."
)
_SELF_CHECK = flags.DEFINE_boolean("self_check", False, "Only check the SavedModel --i3d_path on two known clips.")
_BATCH_SIZE = flags.DEFINE_integer(
    "batch_size", 16, "Videos or samples at a time; matters to memory and speed only.", 1
)
_SEED = flags.DEFINE_integer("seed", 0, "Seed of the samples and of the dequantisation noise.", 0, 2**31 - 1)

_DEFAULT_VIDEOS = 256


def main(argv: list[str]) -> None:
    del argv
    if _SELF_CHECK.value:
        _self_check()
        return
    if _WORKDIR.value is None:
        raise UserError("--workdir is required")
    names, temperatures = _checked_metrics(), _checked_temperatures()
    cli.load_tensorflow()
    from videoflow_tf import data
    from videoflow_tf.metrics import results
    from videoflow_tf.metrics.likelihood import evaluate_likelihood
    from videoflow_tf.metrics.measurements import Measurements
    from videoflow_tf.metrics.runner import Sampling, check_samples, evaluate_samples, make_metrics
    from videoflow_tf.model.future_sampler import FutureSampler
    from videoflow_tf.training.checkpoints import load_workdir

    config, model = load_workdir(_WORKDIR.value)
    data_dir, split, batch_size, seed = _DATA_DIR.value, _SPLIT.value, _BATCH_SIZE.value, _SEED.value
    metrics = make_metrics(
        [name for name in names if name != LIKELIHOOD],
        num_samples=_NUM_SAMPLES.value,
        vgg_weights=_VGG_WEIGHTS.value,
        i3d_path=_I3D_PATH.value,
        fvd_draws=_FVD_DRAWS.value,
        fvd_context=_FVD_CONTEXT.value,
    )
    num_videos = _NUM_VIDEOS.value
    if num_videos is None:
        num_videos = min(_DEFAULT_VIDEOS, data.num_eval_videos(config, data_dir, split))
    num_frames = _NUM_FRAMES.value or config.num_eval_frames - config.num_context
    samplings = [Sampling(split, num_videos, num_frames, t, seed) for t in temperatures or [_TEMPERATURE.value]]
    if metrics:
        check_samples(model, data_dir, metrics, samplings[0])

    folder = Path(_WORKDIR.value) / "eval"
    measurements = Measurements(folder / "measurements", model)
    measured: list[dict[str, Any]] = [{} for _ in samplings]
    if LIKELIHOOD in names:
        measured[0] = evaluate_likelihood(
            model,
            data_dir,
            split,
            num_videos=num_videos,
            batch_size=batch_size,
            seed=seed,
            dequantization_samples=_DEQUANTIZATION_SAMPLES.value,
            measurements=measurements,
        )
    sampler = FutureSampler(model, batch_size)
    for i, sampling in enumerate(samplings if metrics else []):
        print(f"Samples at temperature {sampling.temperature:g}")
        measured[i] |= evaluate_samples(model, data_dir, metrics, sampling, measurements, sampler)
    if temperatures:
        sweep = [{"temperature": t, **m} for t, m in zip(temperatures, measured, strict=True)]
        paths = results.write_sweep(folder, sweep)
    else:
        paths = results.write_metrics(folder, measured[0], step=int(model.step.numpy()))
    for line in results.summary(names, temperatures, measured):
        print(line)
    print(*paths, sep="\n")


def _checked_metrics() -> list[str]:
    """The names of the metrics asked for, each once."""
    names = list(dict.fromkeys(name.strip() for name in _METRICS.value))
    for name in names:
        if name not in METRICS:
            raise UserError(f"there is no metric {name!r}; --metrics is a list of {', '.join(METRICS)}")
    if not names:
        raise UserError(f"--metrics is empty; choose from {', '.join(METRICS)}")
    if _TEMPERATURES.value is not None and LIKELIHOOD in names:
        wanted = ",".join(name for name in names if name != LIKELIHOOD) or "psnr"
        raise UserError(f"--temperatures is about samples, bits_per_pixel is not: give for example --metrics={wanted}")
    return names


def _checked_temperatures() -> list[float]:
    """The temperatures of a sweep, ascending, each once; none without a sweep."""
    if _TEMPERATURES.value is None:
        return []
    try:
        temperatures = sorted({float(text) for text in _TEMPERATURES.value})
    except ValueError:
        temperatures = []
    if not temperatures or not all(0 <= t < math.inf for t in temperatures):
        raise UserError(f"--temperatures={','.join(_TEMPERATURES.value)} must be numbers of 0 or more: 0.0,0.5,1.0")
    return temperatures


def _self_check() -> None:
    cli.load_tensorflow()
    from videoflow_tf.metrics.fvd import I3D, SELF_CHECK_VALUE, self_check

    distance = self_check(I3D(_I3D_PATH.value))
    print(f"FVD of all-black and all-white clips: {distance:.2f}; the real weights give about {SELF_CHECK_VALUE:g}")


if __name__ == "__main__":
    cli.run(main)
