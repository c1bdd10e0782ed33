"""Ways to save, load and copy a model: folders to pass on, and those of Keras."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf
import tf_keras

import videoflow_tf
from videoflow_tf.arguments import LICENCE
from videoflow_tf.config import VideoFlowConfig
from videoflow_tf.errors import UserError, one_line
from videoflow_tf.files import atomic_path
from videoflow_tf.units import counted
from videoflow_tf.workdir import find_trained

if TYPE_CHECKING:
    from videoflow_tf.model.video_flow import VideoFlow

_WEIGHTS, _MODEL, _LEGACY = ".weights.h5", ".keras", (".h5", ".hdf5", ".keras")
_SAVED_TO = f"a VideoFlow is saved to a file whose name ends with {_MODEL}; its `export` writes a SavedModel"


class Saving:
    """The part of `VideoFlow` that saves, loads and copies it.

    Keras' newer formats, .keras (the whole model, also behind `pickle` and `copy`) and .weights.h5, and TensorFlow's
    checkpoints (a name without an ending) give every bit back. The older ones do not see variables in `tf.Module`s,
    and are refused.
    """

    @classmethod
    def from_pretrained(cls, name_or_path: str | Path, **options: Any) -> VideoFlow:
        """A trained model: one that comes with the package, by name, such as "shapes", that of any workdir, or
        "user/model" on the Hugging Face hub, for which the extra `hub` has to be installed.

        `options`, of the hub alone: revision, token, cache_dir, force_download, local_files_only, as of
        `huggingface_hub.ModelHubMixin.from_pretrained`.

        Raises:
          UserError: there is no such model, or the hub cannot be reached; or there are options for a model that is
            here.
        """
        return videoflow_tf.load_workdir(find_trained(name_or_path, **options))[1]

    def save_pretrained(self, folder: str | Path, workdir: str | Path | None = None, licence: str = LICENCE) -> None:
        """Writes the folder that `from_pretrained` takes, see `videoflow_tf.save_pretrained`."""
        videoflow_tf.save_pretrained(self, folder, workdir, licence)

    def push_to_hub(
        self, repository: str, workdir: str | Path | None = None, licence: str = LICENCE, **options: Any
    ) -> str:
        """Uploads that folder as "user/model", see `videoflow_tf.push_to_hub`; gives its address."""
        return videoflow_tf.push_to_hub(self, repository, workdir, licence, **options)

    def get_config(self) -> dict[str, Any]:
        """What `from_config` makes the same model of, but for its weights."""
        return {"config": json.loads(self.config.to_json()), "dtype": self.float_dtype.name, "name": self.name}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> Saving:
        """The inverse of `get_config`."""
        del custom_objects  # There are none in it.
        return cls(**config | {"config": VideoFlowConfig(**config["config"])})

    def to_json(self, **kwargs: Any) -> str:
        """What `tf_keras.models.model_from_json` makes the same model of, but for its weights and its optimizer."""
        described = tf_keras.saving.serialize_keras_object(self)
        names = ("module", "class_name", "config", "registered_name")
        return json.dumps({name: described[name] for name in names}, **kwargs)

    def __deepcopy__(self, memo: dict[int, Any]) -> Saving:
        """As Keras' own, also of a class that it cannot import by its name, such as one of a function."""
        with tf_keras.saving.custom_object_scope({type(self).__name__: type(self)}):
            return super().__deepcopy__(memo)

    def export(self, filepath: str | Path) -> None:
        """Writes a SavedModel, see `videoflow_tf.training.export.export_model`."""
        from videoflow_tf.training.export import export_model

        export_model(self, filepath)

    @property
    def _trackable_saved_model_saver(self) -> Any:
        """What Keras, and TensorFlow itself, write a model by to a SavedModel: refused."""
        raise UserError(_SAVED_TO)

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compiles a loaded model as it was; Keras leaves that to a model with a `compile` of its own."""
        self.compile(**tf_keras.saving.deserialize_keras_object(config))
        self.optimizer.build(self.trainable_variables)

    def save(self, filepath: str | Path, overwrite: bool = True, save_format: str | None = None, **kwargs: Any) -> None:
        """Writes the model, compiled or not, to a .keras file.

        Raises:
          UserError: for a name or a format of another kind.
        """
        if not str(filepath).endswith(_MODEL) or save_format not in (None, "keras"):
            raise UserError(f"{_SAVED_TO}; got {filepath}")
        _write(super().save, filepath, overwrite)

    def save_weights(self, filepath: str | Path, overwrite: bool = True, **kwargs: Any) -> None:
        """Writes the weights to a .weights.h5 file or, without an ending, to a checkpoint of TensorFlow's.

        Raises:
          UserError: for a name or a format of another kind.
        """
        self._check_weights_file(filepath, (_WEIGHTS,), kwargs.get("save_format"))
        if str(filepath).endswith(_WEIGHTS):
            _write(super().save_weights, filepath, overwrite)
        else:
            super().save_weights(filepath, overwrite=overwrite, **kwargs)

    def load_weights(self, filepath: str | Path, **kwargs: Any) -> Any:
        """Reads what `save_weights` wrote, or the weights in a .keras file.

        Raises:
          UserError: for a file of another kind, or weights of another model.
        """
        self._check_weights_file(filepath, (_WEIGHTS, _MODEL))
        return super().load_weights(filepath, **kwargs)

    @staticmethod
    def _check_weights_file(filepath: str | Path, endings: tuple[str, ...], save_format: str | None = None) -> None:
        name = str(filepath)
        if (name.endswith(_LEGACY) or save_format in ("h5", "hdf5")) and not name.endswith(endings):
            raise UserError(f"the weights of a VideoFlow go to a file whose name ends with {_WEIGHTS}, got {filepath}")

    @classmethod
    def load(cls, filepath: str | Path) -> Saving:
        """The model, compiled or not, that `save` wrote.

        Raises:
          UserError: there is no such file, or it is of another kind or damaged.
        """
        try:
            if not str(filepath).endswith(_MODEL):
                raise ValueError(f"its name does not end with {_MODEL}")
            model = tf_keras.models.load_model(filepath)
        except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
            raise UserError(f"cannot read the model {filepath}: {one_line(str(error))}") from error
        if not isinstance(model, cls):
            raise UserError(f"{filepath} is a {type(model).__name__}, not a {cls.__name__}")
        return model

    @property
    def own_variables(self) -> dict[str, tf.Variable]:
        """All variables by their paths, but those of the optimizer and the metrics, which Keras saves by itself."""
        kept = [v for part in self.parts.values() for v in part.variables if not v.trainable]
        return {v.name.removesuffix(":0"): v for v in (*self.trainable_variables, *kept, self.step)}

    def save_own_variables(self, store: Any) -> None:
        """Keras' hook for its newer formats: fills a mapping from names to arrays."""
        for i, variable in enumerate(self.own_variables.values()):
            store[str(i)] = variable.numpy()

    def load_own_variables(self, store: Any) -> None:
        """The inverse of `save_own_variables`; `UserError` for what another model saved."""
        variables = list(self.own_variables.values())
        found = [np.array(store[str(i)]) for i in range(len(store.keys()))]
        expected = [(tuple(v.shape), v.dtype.as_numpy_dtype) for v in variables]
        if [(value.shape, value.dtype) for value in found] != expected:
            raise UserError(
                f"the file has {counted(len(found), 'weight')}, not those of this model, which has {len(variables)}: "
                "another configuration or dtype wrote it"
            )
        for variable, value in zip(variables, found, strict=True):
            variable.assign(value)


def _write(save: Callable[..., None], filepath: str | Path, overwrite: bool) -> None:
    """Writes a file whole or not at all; where nothing is to be overwritten, Keras asks at the terminal."""
    if not overwrite and Path(filepath).exists():
        save(filepath, overwrite=False)
        return
    with atomic_path(filepath) as temporary:
        save(temporary)
