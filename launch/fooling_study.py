"""Asks people which videos are real: python launch/fooling_study.py build --workdir=W [--data_dir=D] makes a web page;
python launch/fooling_study.py score results/*.json gives the fooling rate.

build writes W/eval/fooling_study.html, one file that needs no network. What differs from the defaults, such as the
temperature, is in its name: visitors had better get a copy under another. They open it, answer, and download their
answers as JSON. score prints the share of generated clips taken for real with its 95 % confidence interval, and with
--workdir or --output_dir writes eval/fooling_rate_STUDY_visitors-N_answers-DIGEST.json there as well: other answers do
not replace it.
"""

from collections.abc import Sequence
from pathlib import Path

import cli

from videoflow_tf.errors import UserError
from videoflow_tf.studies.arguments import StudyArguments
from videoflow_tf.units import counted
from videoflow_tf.workdir import run_config

cli.define_flags(StudyArguments)


def main(action: str | None = None, *files: str) -> None:
    if action == "score":
        _score(files)
    elif action == "build":
        if files:
            raise UserError(f"unexpected argument {files[0]!r}: options are given as --name=value")
        _build()
    else:
        raise UserError(f"say what to do: fooling_study.py build or score; got {action or 'neither'}")


def _build() -> None:
    arguments = cli.arguments_from_flags(StudyArguments)
    cli.load_tensorflow()
    from bijectors import fast_forms
    from videoflow_tf.studies.fooling_clips import build_study

    config = run_config(arguments.workdir)
    fast_forms.set_up_cpu(config.depth, config.coupling_width)
    cli.announce_data(config, arguments.data_dir)
    print(build_study(**vars(arguments)))


def _score(files: Sequence[str]) -> None:
    from videoflow_tf.files import check_writable, write_json
    from videoflow_tf.studies.fooling import score

    given = {name: cli.FLAGS[name].value for name in ("workdir", "output_dir") if cli.FLAGS[name].value is not None}
    if not Path(given.get("workdir", ".")).is_dir():
        raise UserError(f"there is no workdir {given['workdir']}")
    folder = given.get("output_dir", given.get("workdir"))
    if folder is not None:
        check_writable(folder)
    result = score(files)
    rate, protocol = result["fooling_rate"], result["protocol"]
    interval = f"95 % interval {rate['low']:.1%} to {rate['high']:.1%}"
    print(
        f"Fooling rate {rate['rate']:.1%} ({interval}): {counted(protocol['visitors'], 'visitor')} took "
        f"{rate['taken_for_real']} of {rate['shown']} generated clips for real"
    )
    if folder is not None:
        whose = f"visitors-{protocol['visitors']}_answers-{protocol['answers_digest'][:8]}"
        argv = ["launch/fooling_study.py", "score", *files, *(f"--{name}={value}" for name, value in given.items())]
        path = Path(folder, "eval", f"fooling_rate_{protocol['study']}_{whose}.json")
        print(write_json(path, result | {"argv": argv}))


if __name__ == "__main__":
    cli.run(main, takes_words=True, saves_memory="give fewer --num_videos or --num_frames")
