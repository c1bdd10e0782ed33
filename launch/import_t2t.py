"""Makes a workdir of a model of the official code: python launch/import_t2t.py --checkpoint=PREFIX
--hparams=config.json --workdir=W.

Or of a module of TensorFlow Hub in its TensorFlow 1 form, such as google/videoflow/evaluator/1, with
--hub_module=FOLDER_OR_TGZ: its variables tell most hyperparameters, those that they do not are printed, and given in
--hparams where they are not the official defaults. Of the encoder, which is the flow alone, only encoding and decoding
mean something.

The workdir is as if trained here: evaluate.py, sample.py, export.py and train.py take it. Training goes on from the
checkpoint's step with a fresh optimizer; give train.py --train_steps beyond that step.
"""

import cli
from absl import flags

from videoflow_tf.errors import UserError

_CHECKPOINT = cli.define_path(
    "checkpoint", None, "Path of the checkpoint, such as model.ckpt-1000, or of one of its files."
)
_HUB_MODULE = cli.define_path("hub_module", None, "Instead: folder or tar archive of a module of TensorFlow Hub.")
_HPARAMS = cli.define_path("hparams", None, "JSON file of the official hyperparameters; of a module, what it lacks.")
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
    if (_CHECKPOINT.value is None) == (_HUB_MODULE.value is None):
        raise UserError("give one of --checkpoint and --hub_module")
    if _HUB_MODULE.value is None and _HPARAMS.value is None:
        raise UserError("--hparams is required with --checkpoint")
    cli.load_tensorflow()
    from videoflow_tf import t2t

    to = _WORKDIR.value, _FRAME_SIZE.value, _DATASET.value
    hparams = {} if _HPARAMS.value is None else t2t.read_hparams(_HPARAMS.value)
    if _HUB_MODULE.value is None:
        config, step = t2t.import_checkpoint(_CHECKPOINT.value, hparams, *to)
    else:
        config, module = t2t.import_module(_HUB_MODULE.value, hparams, *to)
        step = int(module.model.step)
        print(f"The module tells {_listed(module.told)}")
        if module.told.get("top_prior") == "normal":
            print("It is the flow alone: encoding and decoding are the module's, likelihoods and samples are not")
        if module.assumed:
            print(f"It does not tell, taken as official: {_listed(module.assumed)}; --hparams where they were others")
    if ignored := t2t.ignored_names(hparams):
        print(f"Ignored, about other parts of tensor2tensor: {', '.join(ignored)}")
    print(f"Imported step {step} to {_WORKDIR.value}, dataset {config.dataset}")


def _listed(hparams: dict[str, object]) -> str:
    return ", ".join(f"{name}={value}" for name, value in hparams.items())


if __name__ == "__main__":
    cli.run(main)
