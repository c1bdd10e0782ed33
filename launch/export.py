"""Exports a checkpoint, the newest unless told: python launch/export.py --workdir=W -> W/export, a SavedModel.

With --format=hub to W/hub instead: a folder to pass on, with the configuration, the weights alone in model.safetensors
and a model card with the figures of W/eval. Every command takes it as --workdir, VideoFlow.from_pretrained as well.
"""

import cli
from absl import flags

from videoflow_tf.arguments import CHECKPOINT_HELP, LATEST, LICENCE
from videoflow_tf.errors import UserError

_WORKDIR = cli.define_path("workdir", None, "Folder of the run.", required=True)
_OUTPUT_DIR = cli.define_path("output_dir", None, "Folder to write export/ or hub/ to instead of the run's own.")
_FORMAT = flags.DEFINE_enum("format", "saved_model", ["saved_model", "hub"], "What to write.")
_CHECKPOINT = flags.DEFINE_string("checkpoint", LATEST, CHECKPOINT_HELP)
_LICENCE = flags.DEFINE_string(
    "licence", LICENCE, "Of the weights, as the card of --format=hub names it: an SPDX identifier such as MIT."
)


def main() -> None:
    if _LICENCE.present and _FORMAT.value != "hub":
        raise UserError("--licence is about the model card: give --format=hub, or leave it out")
    cli.load_tensorflow()
    from videoflow_tf.hub.folder import export_hub
    from videoflow_tf.training.export import export_workdir

    what = _WORKDIR.value, _OUTPUT_DIR.value, _CHECKPOINT.value
    print(export_hub(*what, _LICENCE.value) if _FORMAT.value == "hub" else export_workdir(*what))


if __name__ == "__main__":
    cli.run(main)
