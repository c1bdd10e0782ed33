"""Makes a workdir of a checkpoint of the official code: python launch/import_t2t.py --checkpoint=PREFIX
--hparams=config.json --workdir=W.

The workdir is as if trained here: evaluate.py, sample.py, export.py and train.py take it. Training goes on from the
checkpoint's step with a fresh optimizer; give train.py --train_steps beyond that step.
"""

import cli
from absl import flags

_CHECKPOINT = cli.define_path(
    "checkpoint", None, "Path of the checkpoint without .index or .data, such as model.ckpt-1000.", required=True
)
_HPARAMS = cli.define_path("hparams", None, "JSON file of the official hyperparameters.", required=True)
_WORKDIR = cli.define_path("workdir", None, "Folder to make.", required=True)
_FRAME_SIZE = flags.DEFINE_string(
    "frame_size", None, "Height and width of a frame, one number; default: that in the hyperparameters, or 64."
)
_DATASET = flags.DEFINE_string(
    "dataset",
    None,
    "What to evaluate and go on training on; default: bair if the frames are 64x64, else shapes.",
)


def main() -> None:
    cli.load_tensorflow()
    from videoflow_tf import t2t

    hparams = t2t.read_hparams(_HPARAMS.value)
    config, step = t2t.import_checkpoint(_CHECKPOINT.value, hparams, _WORKDIR.value, _FRAME_SIZE.value, _DATASET.value)
    print(f"Imported step {step} to {_WORKDIR.value}, dataset {config.dataset}")


if __name__ == "__main__":
    cli.run(main)
