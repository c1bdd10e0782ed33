"""Prepares the BAIR robot pushing dataset for training: python launch/prepare_bair.py --data_dir=D [--archive=A]."""

import cli

from videoflow_tf.units import counted

_DATA_DIR = cli.define_path("data_dir", None, "Folder to prepare the dataset in.", required=True)
_ARCHIVE = cli.define_path(
    "archive",
    None,
    "The downloaded bair_robot_pushing_dataset_v0.tar, or a folder holding softmotion30_44k. Default: download it.",
)


def main() -> None:
    cli.load_tensorflow()
    from videoflow_tf.data import bair, prepare_bair

    data_dir = _DATA_DIR.value
    if bair.find_fault(data_dir) is None:
        print("BAIR is prepared already.")
    elif _ARCHIVE.value is None:
        print(f"Downloading 30 GB from {prepare_bair.URL}")
        print(f"to {data_dir}/downloads, which can be deleted afterwards. A broken download starts anew;")
        print(f"if yours breaks, {prepare_bair.RESUME_BY_HAND}.", flush=True)
    counts = prepare_bair.prepare(data_dir, _ARCHIVE.value)
    print(", ".join(f"{split}: {counted(count, 'video')}" for split, count in counts.items()))
    print(bair.version_dir(data_dir))


if __name__ == "__main__":
    cli.run(main)
