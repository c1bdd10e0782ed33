"""Measures a trained model: python launch/evaluate.py --workdir=W [--data_dir=D] [--metrics=...] -> W/eval.

Metrics: bits_per_pixel; on samples psnr, ssim, vgg_cosine (best, mean and worst sample), fvd, diversity, vgg_diversity,
legal_futures (moving shapes alone).
Writes W/eval/metrics.json and curves.png; with --temperatures temperature_sweep.json and .png. Started again after an
interruption, it goes on where it was.
"""

import cli
from absl import flags

from videoflow_tf.errors import UserError
from videoflow_tf.metrics.arguments import checked_names, checked_temperatures
from videoflow_tf.registry import METRICS

_WORKDIR = cli.define_workdir(required=False)
_DATA_DIR = cli.define_data_dir()
_METRICS = flags.DEFINE_list(
    "metrics", ["bits_per_pixel"], f"What to measure, comma-separated, of {', '.join(METRICS)}."
)
_SPLIT = cli.define_split("Videos to evaluate on.")
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
_SEED = cli.define_seed("Seed of the samples and of the dequantisation noise.")


def main(argv: list[str]) -> None:
    del argv
    if _SELF_CHECK.value:
        _self_check()
        return
    if _WORKDIR.value is None:
        raise UserError("--workdir is required")
    names, temperatures = checked_names(_METRICS.value), _TEMPERATURES.value
    checked_temperatures(temperatures)
    cli.load_tensorflow()
    from videoflow_tf import evaluate

    results = evaluate(
        _WORKDIR.value,
        _DATA_DIR.value,
        names,
        _SPLIT.value,
        num_videos=_NUM_VIDEOS.value,
        num_samples=_NUM_SAMPLES.value,
        num_frames=_NUM_FRAMES.value,
        temperature=_TEMPERATURE.value,
        temperatures=temperatures,
        dequantization_samples=_DEQUANTIZATION_SAMPLES.value,
        vgg_weights=_VGG_WEIGHTS.value,
        i3d_path=_I3D_PATH.value,
        fvd_draws=_FVD_DRAWS.value,
        fvd_context=_FVD_CONTEXT.value,
        batch_size=_BATCH_SIZE.value,
        seed=_SEED.value,
    )
    print(*results.lines, *results.paths, sep="\n")


def _self_check() -> None:
    cli.load_tensorflow()
    from videoflow_tf.metrics.fvd import I3D, SELF_CHECK_VALUE, self_check

    distance = self_check(I3D(_I3D_PATH.value))
    print(f"FVD of all-black and all-white clips: {distance:.2f}; the real weights give about {SELF_CHECK_VALUE:g}")


if __name__ == "__main__":
    cli.run(main)
