"""Puts everything there is about a run on one web page: python launch/report.py --workdir=W -> W/report.html.

Curves, results, strips, animations, configuration and the commands to repeat it, in one file that needs no network.
"""

from pathlib import Path

import cli

_WORKDIR = cli.define_path("workdir", None, "Folder of the run.", required=True)


def main() -> None:
    cli.load_tensorflow()
    from videoflow_tf.files import check_writable, write_text
    from videoflow_tf.report import report_page

    check_writable(_WORKDIR.value)
    print(write_text(Path(_WORKDIR.value, "report.html"), report_page(_WORKDIR.value)))


if __name__ == "__main__":
    cli.run(main)
