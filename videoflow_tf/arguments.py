"""Arguments that Python and the command line share, said once: the fields of a dataclass, which are flags, too."""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

Result = TypeVar("Result")


def argument(default: Any, help_text: str, **limits: Any) -> Any:
    """A field of a class of arguments.

    Args:
      default: its value where none is given.
      help_text: what `--help` says of its flag.
      limits: `lower_bound` and `upper_bound` of a number or `enum_values` of a string; the flag's alone.
    """
    return dataclasses.field(default=default, metadata={"help": help_text, **limits})


@dataclasses.dataclass(frozen=True)
class RunArguments:
    """Which run, and on what data."""

    workdir: str | Path = dataclasses.field(metadata={"help": "Folder of the run."})
    data_dir: str | None = argument(None, "Folder of the dataset: prepared, or videos; none for shapes.")
    output_dir: str | None = argument(None, "Folder to write to instead of the run's own.")

    @property
    def results_dir(self) -> Path:
        """The folder in which eval/, samples/ and the like are made."""
        return Path(self.workdir if self.output_dir is None else self.output_dir)


def takes(arguments: type[Any]) -> Callable[[Callable[[Any], Result]], Callable[..., Result]]:
    """Makes a function of an object of the class `arguments` one of the values of its fields."""

    def decorate(function: Callable[[Any], Result]) -> Callable[..., Result]:
        @functools.wraps(function)
        def call(*values: Any, **named: Any) -> Result:
            return function(arguments(*values, **named))

        call.__signature__ = inspect.signature(arguments)
        return call

    return decorate
