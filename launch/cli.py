"""What the commands share: flags, among them one for every configuration field, one-line errors, quiet start-up."""

from __future__ import annotations

import dataclasses
import os
import re
import sys
import tempfile
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from absl import flags, logging

from videoflow_tf.arguments import flag_text
from videoflow_tf.commands import LAUNCH, here
from videoflow_tf.config import PARTS, PRESETS, VideoFlowConfig, choices_of, help_of
from videoflow_tf.errors import UserError, memory_fault, one_line
from videoflow_tf.files import local_path, reason_of

# Read by TensorFlow when it is imported, hence before any import of it.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

Arguments = TypeVar("Arguments")

FLAGS = flags.FLAGS
flags.disclaim_key_flags()  # What is defined here belongs to the command that asks for it.
_EXIT_USER_ERROR = 2
_EXIT_INTERRUPTED = 130  # 128 + SIGINT, as shells report it.
_SAVES_MEMORY = "close other programs, or take a machine or a device with more"


def run(main: Callable[..., None], takes_words: bool = False, saves_memory: str = _SAVES_MEMORY) -> None:
    """Parses the command line, calls `main()` and exits; the last line of every command.

    With `takes_words`, what stands on the command line beside the flags is passed to `main`.
    `saves_memory` says what to do where there is too little.

    A mistake of the user's, in the flags or a `UserError` from anywhere, is one line on stderr and
    status 2, and so is a disk or a file that fails, or too little memory; Ctrl-C is one line and status 130.
    """
    logging.set_verbosity(logging.ERROR)
    # Names of files, UTF-8 or not, are printed as the system has them.
    sys.stdout.reconfigure(errors="surrogateescape")
    try:
        words = _parse(sys.argv)
        if words and not takes_words:
            raise UserError(f"unexpected argument {words[0]!r}: options are given as --name=value")
        sys.exit(main(*words))
    except (UserError, flags.Error) as error:
        print(f"error: {_one_line(str(error))}", file=sys.stderr)
        sys.exit(_EXIT_USER_ERROR)
    except Exception as error:
        if (reason := memory_fault(error, saves_memory) or _reason(error)) is None:
            raise
        print(f"error: {_one_line(reason)}", file=sys.stderr)
        sys.exit(_EXIT_USER_ERROR)
    except KeyboardInterrupt:
        print("\ninterrupted", file=sys.stderr)
        sys.exit(_EXIT_INTERRUPTED)


def _reason(error: Exception) -> str | None:
    """What went wrong with a file, a disk or a folder in the middle of the work; None of other errors."""
    if isinstance(error, OSError):
        return reason_of(error) + ("" if error.filename is None else f": {error.filename}")
    tf = sys.modules.get("tensorflow")
    if tf is None or not isinstance(error, tf.errors.OpError):
        return None
    from videoflow_tf.data import reading_fault

    if isinstance(error, (tf.errors.NotFoundError, tf.errors.DataLossError, tf.errors.PermissionDeniedError)):
        return reading_fault(error) or f"a file cannot be read any more: {error.message.splitlines()[0]}"
    return reading_fault(error)


def _one_line(message: str) -> str:
    message = one_line(message.removeprefix("ERROR::"))
    # absl's words for a required flag that is not given.
    return re.sub(r"^flag --(\w+)=None: .* must have a value other than None\.$", r"--\1 is required", message)


def _parse(argv: list[str]) -> list[str]:
    """Parses the flags, wherever they stand; gives the words beside them."""
    # Before parsing: `--help` should work whatever else is missing or wrong.
    if any(argument in ("-h", "-help", "--help") for argument in argv[1:]):
        print(_help())
        sys.exit(0)
    FLAGS.set_gnu_getopt(True)
    return FLAGS(_find_flagfiles(argv))[1:]


def _find_flagfiles(argv: list[str]) -> list[str]:
    """The words with the paths of flagfiles of this folder that are called by their names, or as launch/NAME, alone."""
    found = []
    for before, word in zip(["", *argv], argv, strict=False):
        option, name = re.fullmatch(r"(--?flagfile=)?(.*)", word, re.DOTALL).groups(default="")
        name = name.removeprefix("launch/")
        bare = (option or before in ("--flagfile", "-flagfile")) and "/" not in name
        shipped = bare and (LAUNCH / name).is_file() and not Path(word.removeprefix(option)).is_file()
        found.append(f"{option}{LAUNCH / name}" if shipped else word)
    return found


def _help() -> str:
    """The command's docstring, its own flags, and the configuration flags by part where it has them."""
    parts = {
        name: f"configuration of the {part} (default: the preset's value, in brackets):"
        for part, names in PARTS.items()
        for name in names
    }
    groups: dict[str, list[str]] = {}
    for flag in FLAGS.flags_by_module_dict().get(sys.argv[0], []):
        text = flag.help if flag.default is None else f"{flag.help} (default: {flag.default_as_str})"
        title = parts.get(flag.name, "options:") if "preset" in FLAGS else "options:"
        groups.setdefault(title, []).extend(
            textwrap.wrap(f"--{flag.name}: {text}", 110, initial_indent="  ", subsequent_indent="      ")
        )
    lines = [here(sys.modules["__main__"].__doc__ or "").strip(), ""]
    for title, flag_lines in groups.items():
        lines += [title, *flag_lines, ""]
    lines.append("--flagfile=FILE reads options from a file, one a line; later options override earlier ones.")
    return "\n".join(lines)


class _PathParser(flags.ArgumentParser):
    """A path of this machine, see `local_path`, as text."""

    def parse(self, argument: str) -> str:
        return str(local_path(argument))

    def flag_type(self) -> str:
        return "path"


def define_path(name: str, default: str | None, help: str, **how: Any) -> flags.FlagHolder[str | None]:
    """As `flags.DEFINE_string`, of a path: `~` is the user's home, an address such as gs://... is refused."""
    return flags.DEFINE(_PathParser(), name, default, help, **how)


_DEFINE: dict[str, Callable[..., Any]] = {
    "bool": flags.DEFINE_boolean,
    "int": flags.DEFINE_integer,
    "float": flags.DEFINE_float,
    "str": flags.DEFINE_string,
    "tuple": flags.DEFINE_list,
    "Sequence": flags.DEFINE_list,
}


def _define(field: dataclasses.Field, default: Any, **how: Any) -> None:
    """Defines the flag of a field whose type, as it is written, begins with one in `_DEFINE`; `how`: as absl has it."""
    if how.pop("path", False):
        define = define_path
    else:
        define = flags.DEFINE_enum if "enum_values" in how else _DEFINE[re.match(r"\w+", field.type)[0]]
    define(name=field.name, default=default, **how)


def define_flags(arguments: type[Any]) -> None:
    """Defines a flag for every field of a class of arguments, see `videoflow_tf.arguments`."""
    for field in dataclasses.fields(arguments):
        default = None if field.default is dataclasses.MISSING else field.default
        _define(field, list(default) if isinstance(default, tuple) else default, **field.metadata)


def arguments_from_flags(arguments: type[Arguments]) -> Arguments:
    """The arguments that the flags give, an object of that class; raises `UserError` if a required one is missing."""
    given = {field.name: FLAGS[field.name].value for field in dataclasses.fields(arguments)}
    for field in dataclasses.fields(arguments):
        if field.default is dataclasses.MISSING and given[field.name] is None:
            raise UserError(f"--{field.name} is required")
    return arguments(**given)


def define_config_flags() -> None:
    """Defines `--preset` and a flag for every field of `VideoFlowConfig`, all without a default."""
    flags.DEFINE_enum("preset", None, list(PRESETS), "configuration to start from")
    for field in dataclasses.fields(VideoFlowConfig):
        text, choices = help_of(field.name), choices_of(field.name)
        text += " (comma-separated)" if isinstance(field.default, tuple) else ""
        text += f" [{_preset_values(field.name)}]"
        closed = choices is not None and field.metadata["read"] is None
        _define(field, None, help=text, **({"enum_values": choices} if closed else {}))


def _preset_values(name: str) -> str:
    """What a configuration field is in the presets: "24", or "bair, shapes: 24; demo: 6"."""
    presets: dict[str, list[str]] = {}
    for preset, config in PRESETS.items():
        presets.setdefault(flag_text(getattr(config, name)), []).append(preset)
    if len(presets) == 1:
        return next(iter(presets))
    return "; ".join(f"{', '.join(names)}: {value}" for value, names in presets.items())


def config_from_flags(saved: VideoFlowConfig | None = None) -> VideoFlowConfig:
    """The configuration that the flags ask for.

    Args:
      saved: the configuration of an existing run, or of the one to begin with: the starting point where no `--preset`
        is given.

    Raises:
      UserError: neither `--preset` nor a saved configuration, or a value out of range.
    """
    if FLAGS.preset is not None:
        base = VideoFlowConfig.preset(FLAGS.preset)
    elif saved is not None:
        base = saved
    else:
        raise UserError(
            "no configuration: give --flagfile=demo.flags, another flagfile, or "
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


def announce_data(config: VideoFlowConfig, data_dir: str | None) -> None:
    """The first line of a command: what it trains or evaluates on.

    Raises:
      UserError: there is no such data, or a flag of it that is given has no effect.
    """
    from videoflow_tf import data

    check_data_flags(config)
    print(data.describe_data(config, data_dir), flush=True)


def check_data_flags(config: VideoFlowConfig) -> None:
    """Raises `UserError` if a flag is given that has no effect on the dataset."""
    from videoflow_tf import data

    fields = [field.name for field in dataclasses.fields(VideoFlowConfig)]
    data.check_options(config, [name for name in fields if name in FLAGS and FLAGS[name].present])


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
        except Exception:
            held.seek(0)
            os.write(stderr, held.read())
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
