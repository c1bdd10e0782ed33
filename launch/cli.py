"""What the commands share: flags, among them one for every configuration field, one-line errors, quiet start-up."""

from __future__ import annotations

import dataclasses
import os
import re
import sys
import tempfile
import textwrap
from collections.abc import Callable
from typing import Any

from absl import flags, logging

from videoflow_tf.config import MAX_SEED, PARTS, PRESETS, SPLITS, VideoFlowConfig, choices_of, help_of
from videoflow_tf.errors import UserError

# Read by TensorFlow when it is imported, hence before any import of it.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

FLAGS = flags.FLAGS
flags.disclaim_key_flags()  # What is defined here belongs to the command that asks for it.
_EXIT_USER_ERROR = 2
_EXIT_INTERRUPTED = 130  # 128 + SIGINT, as shells report it.


def run(main: Callable[[list[str]], None]) -> None:
    """Parses the command line, calls `main(argv)` and exits; the last line of every command.

    A mistake of the user's, in the flags or a `UserError` from anywhere, is one line on stderr and
    status 2; Ctrl-C is one line and status 130.
    """
    logging.set_verbosity(logging.ERROR)
    try:
        sys.exit(main(_parse(sys.argv)))
    except (UserError, flags.Error) as error:
        print(f"error: {_one_line(str(error))}", file=sys.stderr)
        sys.exit(_EXIT_USER_ERROR)
    except KeyboardInterrupt:
        print("\ninterrupted", file=sys.stderr)
        sys.exit(_EXIT_INTERRUPTED)


def _one_line(message: str) -> str:
    message = " ".join(message.removeprefix("ERROR::").split())
    # absl's words for a required flag that is not given.
    return re.sub(r"^flag --(\w+)=None: .* must have a value other than None\.$", r"--\1 is required", message)


def _parse(argv: list[str]) -> list[str]:
    # Before parsing: `--help` should work whatever else is missing or wrong.
    if any(argument in ("-h", "-help", "--help") for argument in argv[1:]):
        print(_help())
        sys.exit(0)
    rest = FLAGS(argv)
    if len(rest) > 1:
        raise UserError(f"unexpected argument {rest[1]!r}: options are given as --name=value")
    return rest


def _help() -> str:
    """The command's docstring, its own flags, and the configuration flags by part where it has them."""
    parts = {
        name: f"configuration of the {part} (default: the preset's value):" for part in PARTS for name in PARTS[part]
    }
    groups: dict[str, list[str]] = {}
    for flag in FLAGS.flags_by_module_dict().get(sys.argv[0], []):
        text = flag.help if flag.default is None else f"{flag.help} (default: {flag.default_as_str})"
        title = parts.get(flag.name, "options:") if "preset" in FLAGS else "options:"
        groups.setdefault(title, []).extend(
            textwrap.wrap(f"--{flag.name}: {text}", 110, initial_indent="  ", subsequent_indent="      ")
        )
    lines = [(sys.modules["__main__"].__doc__ or "").strip(), ""]
    for title, flag_lines in groups.items():
        lines += [title, *flag_lines, ""]
    lines.append("--flagfile=FILE reads options from a file, one a line; later options override earlier ones.")
    return "\n".join(lines)


def define_workdir(text: str = "Folder of the run.", *, required: bool = True) -> flags.FlagHolder[str | None]:
    """Defines `--workdir`."""
    return flags.DEFINE_string("workdir", None, text, required=required)


def define_data_dir(
    text: str = "Folder of the prepared dataset; not needed for shapes.", *, required: bool = False
) -> flags.FlagHolder[str | None]:
    """Defines `--data_dir`."""
    return flags.DEFINE_string("data_dir", None, text, required=required)


def define_split(text: str) -> flags.FlagHolder[str]:
    """Defines `--split`."""
    return flags.DEFINE_enum("split", "test", SPLITS, text)


def define_seed(text: str) -> flags.FlagHolder[int]:
    """Defines `--seed`."""
    return flags.DEFINE_integer("seed", 0, text, 0, MAX_SEED)


_DEFINE: dict[type, Callable[..., Any]] = {
    bool: flags.DEFINE_boolean,
    int: flags.DEFINE_integer,
    float: flags.DEFINE_float,
    tuple: flags.DEFINE_list,
}


def define_config_flags() -> None:
    """Defines `--preset` and a flag for every field of `VideoFlowConfig`, all without a default."""
    flags.DEFINE_enum("preset", None, list(PRESETS), "configuration to start from")
    for field in dataclasses.fields(VideoFlowConfig):
        name, kind, text = field.name, type(field.default), help_of(field.name)
        if kind is str:
            flags.DEFINE_enum(name, None, choices_of(name), text)
        else:
            _DEFINE[kind](name, None, f"{text} (comma-separated)" if kind is tuple else text)


def config_from_flags(saved: VideoFlowConfig | None = None) -> VideoFlowConfig:
    """The configuration that the flags ask for.

    Args:
      saved: the configuration of an existing run, the starting point where no `--preset` is given.

    Raises:
      UserError: neither `--preset` nor a saved configuration, or a value out of range.
    """
    if FLAGS.preset is not None:
        base = VideoFlowConfig.preset(FLAGS.preset)
    elif saved is not None:
        base = saved
    else:
        raise UserError(
            "no configuration: give --flagfile=launch/demo.flags, another flagfile, or "
            f"--preset=<{'|'.join(PRESETS)}>; a folder with a run needs neither"
        )
    changes = {field.name: _flag_value(field.name) for field in dataclasses.fields(VideoFlowConfig)}
    return base.replace(**{name: value for name, value in changes.items() if value is not None})


def _flag_value(name: str) -> Any:
    """What is given for a configuration field, None if nothing; a list in whole numbers."""
    value = FLAGS[name].value
    if not isinstance(value, list):
        return value
    try:
        return tuple(int(number) for number in value)
    except ValueError:
        raise UserError(f"--{name}={','.join(value)} must be whole numbers, for example 1,2,4") from None


def load_tensorflow() -> None:
    """Imports TensorFlow and finds the devices without the lines that it writes to stderr on the way.

    Its C++ start-up messages obey no log level: they go to file descriptor 2, which is held back
    meanwhile. They are shown if the import fails.
    """
    sys.stderr.flush()
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            import tensorflow as tf

            tf.config.list_physical_devices()
            tf.get_logger().setLevel("ERROR")
        except BaseException:
            held.seek(0)
            os.write(stderr, held.read())
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
