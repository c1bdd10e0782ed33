"""Asks people which videos are real: python launch/fooling_study.py build --workdir=W [--data_dir=D] makes a web page;
python launch/fooling_study.py score results/*.json gives the fooling rate.

build writes W/eval/fooling_study.html, one file that needs no network. Visitors open it, answer, and download their
answers as JSON. score prints the share of generated clips taken for real with its 95 % confidence interval, and with
--workdir writes W/eval/fooling_rate.json as well.
"""

import sys
from pathlib import Path

import cli
from absl import flags

from videoflow_tf.errors import UserError

_WORKDIR = cli.define_workdir("Folder of the run; score: where to keep the result, if anywhere.", required=False)
_DATA_DIR = cli.define_data_dir("build: folder of the prepared dataset; not needed for shapes.")
_SPLIT = cli.define_split("build: videos to show.")
_NUM_VIDEOS = flags.DEFINE_integer("num_videos", 20, "build: real clips, and as many generated ones.", 1)
_SAME_VIDEOS = flags.DEFINE_boolean("same_videos", False, "build: generate from the videos that are shown real, too.")
_NUM_FRAMES = flags.DEFINE_integer("num_frames", 10, "build: frames to generate.", 1)
_TEMPERATURE = flags.DEFINE_float("temperature", 0.5, "build: factor of the prior's sigma.", 0)
_SECONDS = flags.DEFINE_float("seconds", 2.0, "build: how long a clip is shown.", 0.1)
_FRAMES_PER_SECOND = flags.DEFINE_float("frames_per_second", 8.0, "build: speed of a clip.", 0.1, 60.0)
_SEED = cli.define_seed("build: seed of the samples.")

_ACTIONS = ("build", "score")


def main(action: str | None, files: list[str]) -> None:
    if action not in _ACTIONS:
        raise UserError(f"say what to do: fooling_study.py build or score; got {action or 'neither'}")
    if action == "score":
        _score(files)
        return
    if files:
        raise UserError(f"unexpected argument {files[0]!r}: options are given as --name=value")
    if _WORKDIR.value is None:
        raise UserError("--workdir is required")
    _build()


def _build() -> None:
    cli.load_tensorflow()
    from bijectors import fast_forms
    from videoflow_tf.studies.fooling_clips import build_study

    fast_forms.one_core_an_operation()
    target = build_study(
        _WORKDIR.value,
        _DATA_DIR.value,
        _SPLIT.value,
        num_videos=_NUM_VIDEOS.value,
        num_frames=_NUM_FRAMES.value,
        temperature=_TEMPERATURE.value,
        seed=_SEED.value,
        same_videos=_SAME_VIDEOS.value,
        seconds=_SECONDS.value,
        frames_per_second=_FRAMES_PER_SECOND.value,
    )
    print(target)


def _score(files: list[str]) -> None:
    from videoflow_tf.studies.fooling import score

    workdir = None if _WORKDIR.value is None else Path(_WORKDIR.value)
    if workdir is not None and not workdir.is_dir():
        raise UserError(f"there is no workdir {workdir}")
    result = score(files)
    rate, protocol = result["fooling_rate"], result["protocol"]
    interval = f"95 % interval {rate['low']:.1%} to {rate['high']:.1%}"
    print(
        f"Fooling rate {rate['rate']:.1%} ({interval}): {protocol['visitors']} visitor(s) took "
        f"{rate['taken_for_real']} of {rate['shown']} generated clips for real"
    )
    if workdir is not None:
        from videoflow_tf.files import write_json

        print(write_json(workdir / "eval" / "fooling_rate.json", result))


if __name__ == "__main__":
    # What to do and the files come without --; the other commands take options alone.
    words = [argument for argument in sys.argv[1:] if not argument.startswith("-")]
    sys.argv[1:] = [argument for argument in sys.argv[1:] if argument.startswith("-")]
    cli.run(lambda _: main(words[0] if words else None, words[1:]))
