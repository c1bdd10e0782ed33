"""Says what a dataset is like: python launch/inspect_data.py --dataset=videos --data_dir=FOLDER [--frame_size=64].

Splits, lengths, sizes, motion, what is left out and why; and the bits per pixel (per colour component) of copying
the last frame, or continuing the last two, with a fitted Laplace error: floors that a trained model must beat.
Writes a picture of some videos, contact_sheet_DIGEST.png.
"""

import cli

from videoflow_tf.arguments import DATA_DIR_HELP
from videoflow_tf.config import VideoFlowConfig

_DATA_DIR = cli.define_path("data_dir", None, DATA_DIR_HELP)
_OUTPUT_DIR = cli.define_path("output_dir", "runs/inspect_data", "Folder to write the picture to.")
cli.define_config_flags()


def main() -> None:
    config = cli.config_from_flags(VideoFlowConfig())
    cli.load_tensorflow()
    from videoflow_tf.studies import inspection

    cli.check_data_flags(config)
    for line in inspection.inspect(config, _DATA_DIR.value, _OUTPUT_DIR.value):
        print(line, flush=True)


if __name__ == "__main__":
    cli.run(main)
