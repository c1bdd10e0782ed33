"""Puts everything there is about a run on one web page: python launch/report.py --workdir=W -> W/report.html.

Curves, results, strips, animations, configuration and the commands to repeat it, in one file that needs no network.
"""

from pathlib import Path

import cli

_WORKDIR = cli.define_workdir()


def main(argv: list[str]) -> None:
    del argv
    cli.load_tensorflow()
    from videoflow_tf.files import atomic_path
    from videoflow_tf.report import report_page

    page = report_page(_WORKDIR.value)
    target = Path(_WORKDIR.value) / "report.html"
    with atomic_path(target) as path:
        path.write_text(page, encoding="utf-8")
    print(target)


if __name__ == "__main__":
    cli.run(main)
