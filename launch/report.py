"""Puts everything there is about a run on one web page: python launch/report.py --workdir=W -> W/report.html.

Curves, results, strips, animations, configuration and the commands to repeat it, in one file that needs no network.
"""

from pathlib import Path

import cli

_WORKDIR = cli.define_path("workdir", None, "Folder of the run.", required=True)
_OUTPUT_DIR = cli.define_path(
    "output_dir", None, "Folder to write to instead of the run's own; the results in it are shown too."
)


def main() -> None:
    cli.load_tensorflow()
    from videoflow_tf.files import check_writable, write_text
    from videoflow_tf.report import report_page

    folder = _OUTPUT_DIR.value or _WORKDIR.value
    check_writable(folder)
    print(write_text(Path(folder, "report.html"), report_page(_WORKDIR.value, _OUTPUT_DIR.value)))


if __name__ == "__main__":
    cli.run(main)
