"""The predictor that a command asks for: the model of a run, one of the registry, or anybody's."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable
from typing import Any

from videoflow_tf.arguments import PredictorArguments
from videoflow_tf.config import VideoFlowConfig
from videoflow_tf.errors import UserError
from videoflow_tf.predictors.predictor import Predictor
from videoflow_tf.predictors.video_flow import VideoFlowPredictor
from videoflow_tf.registry import PREDICTORS
from videoflow_tf.workdir import run_config


def open_predictor(arguments: PredictorArguments) -> Predictor:
    """The trained model of a run, or the predictor that `arguments` name, for the run's data.

    Raises:
      UserError: there is no such run, checkpoint or predictor.
    """
    if arguments.predictor is None:
        return VideoFlowPredictor.of_run(arguments.workdir, arguments.checkpoint, arguments.strategy)
    return make_predictor(arguments.predictor, run_config(arguments.workdir), arguments.data_dir)


def make_predictor(name: str, config: VideoFlowConfig, data_dir: str | None) -> Predictor:
    """Makes the predictor of a name in the registry, or of a "package.module:function".

    Raises:
      UserError: there is no such predictor, or what the function makes is none.
    """
    predictor = (_imported(name) if ":" in name else PREDICTORS[name])(config, data_dir)
    if not isinstance(predictor, Predictor):
        raise UserError(
            f"{name} gives a {type(predictor).__name__}: it must be an object of a subclass of "
            f"{Predictor.__module__}.{Predictor.__name__}"
        )
    return predictor


def _imported(name: str) -> Callable[..., Any]:
    """The object at "package.module:name"; modules in the current folder are found, as by `python -m`."""
    module, _, attribute = name.partition(":")
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise UserError(f"--predictor={name}: {error}; it must be package.module:function") from None
    if not callable(found):
        raise UserError(f"--predictor={name} is not a function or class")
    return found
