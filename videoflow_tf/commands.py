"""The command `videoflow`: `videoflow train ...` is `python launch/train.py ...`, from wherever the package is."""

from __future__ import annotations

import ast
import difflib
import re
import runpy
import sys

from videoflow_tf.files import shipped

LAUNCH = shipped("launch")
_INSTALLED = LAUNCH.parent.name == __package__  # Without the repository.


def here(text: str) -> str:
    """`text` with the programs that it names as they are called here: `videoflow NAME` without the repository."""
    return re.sub(r"(python )?launch/(\w+)\.py", r"videoflow \2", text) if _INSTALLED else text


def main() -> None:
    """Runs the program of launch/ that the first word names; without one, lists them."""
    programs = {path.stem: path for path in sorted(LAUNCH.glob("*.py")) if path.stem != "cli"}
    name = sys.argv[1] if len(sys.argv) > 1 else "--help"
    if name in ("-h", "-help", "--help"):
        print("videoflow COMMAND --option=value ...; videoflow COMMAND --help lists the options of one.\n")
        for name, path in programs.items():
            described = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
            print(f"  {name:15}  {described.partition(': python ')[0]}")
        return
    if name not in programs:
        close = difflib.get_close_matches(name, programs, n=1)
        hint = f"did you mean {close[0]}?" if close else "videoflow --help lists them"
        print(f"error: there is no command {name!r}; {hint}", file=sys.stderr)
        sys.exit(2)
    sys.path.insert(0, str(LAUNCH))
    sys.argv = [str(programs[name]), *sys.argv[2:]]
    runpy.run_path(sys.argv[0], run_name="__main__")
