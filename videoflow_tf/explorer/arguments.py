"""What the explorer is asked for, checked without TensorFlow: a mistake need not wait for its import."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import ClassVar

from videoflow_tf.arguments import CHECKPOINT_HELP, DATA_DIR_HELP, LATEST, Arguments, argument
from videoflow_tf.config import SPLITS
from videoflow_tf.extras import require


@dataclasses.dataclass(frozen=True)
class ExploreArguments(Arguments):
    """Of `serve.serve`; raises `UserError` if the package of the page is not installed."""

    command: ClassVar[str] = "explore"

    workdir: str | Path = dataclasses.field(metadata={"help": "Folder of the run.", "path": True})
    data_dir: str | None = argument(None, DATA_DIR_HELP, path=True)
    checkpoint: str | int = argument(LATEST, CHECKPOINT_HELP)
    split: str = argument("test", "Videos to choose from.", enum_values=SPLITS)
    port: int = argument(7860, "Port of the page on this machine.", lower_bound=1, upper_bound=65535)

    def __post_init__(self) -> None:
        require("gradio")
