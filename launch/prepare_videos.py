"""Prepares your own videos for training: python launch/prepare_videos.py --input=FOLDER --data_dir=D --name=NAME.

Afterwards train.py --dataset=tfds:NAME --data_dir=D trains on them, and every program that knows TensorFlow Datasets
reads them. Killed and started again, it goes on where it was. What of the folder is not used is listed at the end.
"""

import cli
from absl import flags

from videoflow_tf.config import choices_of

_INPUT = cli.define_path("input", None, "Folder of videos: files, folders of pictures, arrays.", required=True)
_DATA_DIR = cli.define_path("data_dir", None, "Folder to prepare the dataset in.", required=True)
_NAME = flags.DEFINE_string("name", None, "Name of the dataset.", required=True)
_FRAME_SIZE = flags.DEFINE_string("frame_size", "64", "Height and width of a frame, in pixels: 64, or 48x64.")
_CHANNELS = flags.DEFINE_integer("channels", 3, "Colour components of a pixel: 3 (RGB), or 1 (grey).")
_FIT = flags.DEFINE_enum("fit", "crop", choices_of("fit"), "How a frame of another form is made to fit.")


def main() -> None:
    cli.load_tensorflow()
    from videoflow_tf.data import prepare_videos
    from videoflow_tf.data.pipeline import left_out

    arguments = _INPUT.value, _DATA_DIR.value, _NAME.value, _FRAME_SIZE.value, _CHANNELS.value, _FIT.value
    source = prepare_videos.prepare(*arguments)
    if source is None:
        print(f"{_NAME.value} is prepared already.")
    else:
        print(source.contents(), *left_out(source, None), sep="\n")
    print(f"Train on it: --dataset=tfds:{_NAME.value} --data_dir={_DATA_DIR.value}")


if __name__ == "__main__":
    cli.run(main)
