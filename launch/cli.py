"""What the commands share: flags for every configuration field, one-line errors, quiet start-up."""

from __future__ import annotations

import dataclasses
import os
import re
import sys
import tempfile
import textwrap
import typing
from collections.abc import Callable

from absl import flags, logging

from videoflow_tf import config as config_lib
from videoflow_tf.config import PRESETS, VideoFlowConfig
from videoflow_tf.errors import UserError

# Read by TensorFlow when it is imported, hence before any import of it.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

FLAGS = flags.FLAGS
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
    """The command's docstring, its own flags, and the configuration flags where it has them."""
    lines = [(sys.modules["__main__"].__doc__ or "").strip(), ""]
    own = FLAGS.flags_by_module_dict()
    for module, title in ((sys.argv[0], "options:"), (__name__, "configuration (default: the preset's value):")):
        if not own.get(module):
            continue
        lines.append(title)
        for flag in own[module]:
            text = flag.help if flag.default is None else f"{flag.help} (default: {flag.default_as_str})"
            lines += textwrap.wrap(f"--{flag.name}: {text}", 110, initial_indent="  ", subsequent_indent="      ")
        lines.append("")
    lines.append("--flagfile=FILE reads options from a file, one a line; later options override earlier ones.")
    return "\n".join(lines)


def define_config_flags() -> None:
    """Defines `--preset` and a flag for every field of `VideoFlowConfig`, all without a default."""
    flags.DEFINE_enum("preset", None, list(PRESETS), "configuration to start from")
    hints = typing.get_type_hints(VideoFlowConfig)
    for field in dataclasses.fields(VideoFlowConfig):
        text, hint = config_lib.help_of(field.name), hints[field.name]
        if hint is bool:
            flags.DEFINE_boolean(field.name, None, text)
        elif hint is int:
            flags.DEFINE_integer(field.name, None, text)
        elif hint is float:
            flags.DEFINE_float(field.name, None, text)
        elif hint is str:
            flags.DEFINE_enum(field.name, None, config_lib.CHOICES[field.name], text)
        else:
            flags.DEFINE_list(field.name, None, f"{text} (comma-separated)")


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
    names = (field.name for field in dataclasses.fields(VideoFlowConfig))
    changes = {name: FLAGS[name].value for name in names if FLAGS[name].value is not None}
    if "latent_dilations" in changes:
        try:
            changes["latent_dilations"] = tuple(int(rate) for rate in changes["latent_dilations"])
        except ValueError:
            given = ",".join(changes["latent_dilations"])
            raise UserError(f"--latent_dilations={given} must be whole numbers, for example 1,2,4") from None
    return base.replace(**changes)


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
