"""Measures a trained model: python launch/evaluate.py --workdir=W [--data_dir=D] [--metrics=...] -> W/eval.

Or any other model: --predictor=package.module:function, on the data of the run W; or samples that are drawn already:
--predictions=FILE.npz.

Metrics: bits_per_pixel; on samples psnr, ssim, lpips, vgg_cosine (best, mean and worst sample), fvd, diversity,
vgg_diversity, legal_futures (moving shapes alone). lpips and fvd need prepare_lpips.py and prepare_i3d.py once.
Writes W/eval/metrics.json and .png; with --temperatures temperature_sweep.json and .png. What differs from the defaults
is in their names, and the training step where a result of another one has the name: no result replaces another. Started
again after an interruption, it goes on where it was.
"""

import cli
from absl import flags

from videoflow_tf.commands import here
from videoflow_tf.errors import UserError
from videoflow_tf.metrics.arguments import EvaluateArguments
from videoflow_tf.metrics.network_files import check_networks, find_i3d
from videoflow_tf.workdir import run_config

cli.define_flags(EvaluateArguments)
_SELF_CHECK = flags.DEFINE_boolean(
    "self_check", False, "Only check the network of fvd on two known clips: status 2 if it is another."
)


def main() -> None:
    if _SELF_CHECK.value:
        _self_check()
        return
    arguments = cli.arguments_from_flags(EvaluateArguments)
    check_networks(arguments)
    cli.load_tensorflow()
    from bijectors import fast_forms
    from videoflow_tf import evaluate

    if arguments.predictions is None:
        config = run_config(arguments.workdir)
        fast_forms.skip_graph_optimizer(config.depth, config.coupling_width)
        cli.announce_data(config, arguments.data_dir)
    results = evaluate(**vars(arguments))
    print(*results.lines, *results.paths, sep="\n")


def _self_check() -> None:
    folder = find_i3d(cli.FLAGS.i3d_path)
    cli.load_tensorflow()
    from videoflow_tf.metrics.fvd import SELF_CHECK_ERROR, SELF_CHECK_VALUE, self_check
    from videoflow_tf.metrics.i3d import I3D

    distance = self_check(I3D(cli.FLAGS.i3d_path))
    found = f"FVD of all-black and all-white clips: {distance:.2f}; the weights of I3D give {SELF_CHECK_VALUE:g}"
    if not abs(distance - SELF_CHECK_VALUE) <= SELF_CHECK_ERROR:
        remedy = here("remove it or leave --i3d_path out, and run launch/prepare_i3d.py")
        raise UserError(f"{found}: {folder} is another network; {remedy}")
    print(found)


if __name__ == "__main__":
    cli.run(main, saves_memory="give a smaller --batch_size")
