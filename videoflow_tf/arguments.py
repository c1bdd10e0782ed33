"""Arguments that Python and the command line share, said once: the fields of a dataclass, which are flags, too."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, Self, TypeVar

from videoflow_tf.errors import UserError
from videoflow_tf.files import check_writable, local_path
from videoflow_tf.registry import PREDICTORS
from videoflow_tf.units import BITS_LABEL

Result = TypeVar("Result")

TEMPERATURE = 0.5  # Of samples, where no other is asked for: the paper's.
LATEST = "latest"
LICENCE = "Apache-2.0"  # Of weights that are passed on, where no other is named: this package's.
DATA_DIR_HELP = "Folder of the dataset: prepared, or videos; none for shapes."
CHECKPOINT_HELP = f"Which checkpoint: latest, best (by {BITS_LABEL} on the validation split), or its step."
_LONGEST_NAME = 60


def argument(default: Any, help_text: str, **limits: Any) -> Any:
    """A field of a class of arguments.

    Args:
      default: its value where none is given.
      help_text: what `--help` says of its flag.
      limits: `lower_bound` and `upper_bound` of a number, `enum_values` of a string, `path=True` of a path, see
        `files.local_path`; the flag's alone.
    """
    return dataclasses.field(default=default, metadata={"help": help_text, **limits})


class Arguments:
    """What a command is asked for: the base of dataclasses."""

    command: ClassVar[str]  # The program in launch/, and its action if it has several.
    # What changes no result, or is told by a result's protocol.
    not_in_names: ClassVar[frozenset[str]] = frozenset({"workdir", "data_dir", "output_dir", "checkpoint", "strategy"})

    @property
    def results_dir(self) -> Path:
        """The folder that is written to."""
        raise NotImplementedError

    def given(self) -> dict[str, str]:
        """What differs from the defaults, as it is written on a command line."""
        fields = dataclasses.fields(self)
        texts = {field.name: (flag_text(getattr(self, field.name)), flag_text(field.default)) for field in fields}
        return {name: text for name, (text, default) in texts.items() if text != default}

    def argv(self) -> list[str]:
        """The command that gives the same result, word by word."""
        program, *action = self.command.split()
        return [f"launch/{program}.py", *action, *(f"--{name}={value}" for name, value in self.given().items())]

    def result_name(self, kind: str, **values: str) -> str:
        """The name of a result's files without suffix: its kind, and every argument that is not the default.

        `values`: what to write for an argument instead of its value.
        """
        named = {name: value for name, value in self.given().items() if name not in self.not_in_names} | values
        return "_".join([kind, *(f"{name}-{name_text(value)}" for name, value in named.items())])


@dataclasses.dataclass(frozen=True)
class RunArguments(Arguments):
    """Which run, and on what data."""

    workdir: str | Path = dataclasses.field(metadata={"help": "Folder of the run.", "path": True})
    data_dir: str | None = argument(None, DATA_DIR_HELP, path=True)
    output_dir: str | None = argument(None, "Folder to write to instead of the run's own.", path=True)
    checkpoint: str | int = argument(LATEST, CHECKPOINT_HELP)

    @property
    def results_dir(self) -> Path:
        """The folder in which eval/, samples/ and the like are made."""
        return local_path(self.workdir if self.output_dir is None else self.output_dir)

    def at_step(self, step: int | None) -> Self:
        """With the step of the run's model for "latest" and "best", which are others later; None: as they are."""
        return self if step is None else dataclasses.replace(self, checkpoint=step)


@dataclasses.dataclass(frozen=True)
class PredictorArguments(RunArguments):
    """As `RunArguments`, of what any predictor can do, see `videoflow_tf.predictors.predictor`.

    Raises:
      UserError: there is no predictor of such a name.
    """

    predictor: str | None = argument(
        None,
        f"Instead of the run's model, on its data: {', '.join(PREDICTORS)}, or anybody's, as package.module:function.",
    )
    strategy: str = argument(
        "one_device",
        "The devices that share the work: one, or all GPUs of the machine; matters to speed only.",
        enum_values=("one_device", "mirrored"),
    )

    def __post_init__(self) -> None:
        if self.predictor is None:
            return
        check_predictor(self.predictor)
        for name in ("checkpoint", "strategy"):
            if name in self.given():
                raise UserError(f"--{name}={getattr(self, name)} is about the run's own model, not {self.predictor}")

    def at_step(self, step: int | None) -> Self:
        return self if self.predictor is not None else super().at_step(step)


def check_predictor(name: str) -> None:
    """Raises `UserError` unless the name is in the registry, or may be one of anybody's."""
    module, colon, _ = name.partition(":")
    if not colon and name not in PREDICTORS:
        raise UserError(f"there is no predictor {name!r}: {', '.join(PREDICTORS)}, or package.module:function")
    if colon and not all(part.isidentifier() for part in module.split(".")):
        raise UserError(
            f"there is no predictor {name!r}: {module!r} is not the name of a module; give package.module:function, "
            "with the package in the current folder or in PYTHONPATH"
        )


def name_text(text: str) -> str:
    """Text as it may stand in the name of a file."""
    return re.sub(r"[^A-Za-z0-9.,-]+", "-", text)


def file_label(path: str | Path, digest: str) -> str:
    """What a file is called in the names of results.

    Files of one name in several folders, and one file that changes, are several.
    """
    return name_text(f"{Path(path).name[:_LONGEST_NAME]}-{digest[:8]}")


def flag_text(value: Any) -> str:
    """A value of an argument as a flag has it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (list, tuple)):
        return ",".join(map(flag_text, value))
    return str(value).removesuffix(".0") if isinstance(value, float) else str(value)


def takes(arguments: type[Arguments]) -> Callable[[Callable[[Any], Result]], Callable[..., Result]]:
    """Makes a function of an object of the class `arguments` one of the values of its fields.

    It raises `UserError` before any work if its results could not be written.
    """

    def decorate(function: Callable[[Any], Result]) -> Callable[..., Result]:
        @functools.wraps(function)
        def call(*values: Any, **named: Any) -> Result:
            given = arguments(*values, **named)
            check_writable(given.results_dir)
            return function(given)

        call.__signature__ = inspect.signature(arguments)
        return call

    return decorate
