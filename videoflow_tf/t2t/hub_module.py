"""Modules of TensorFlow Hub in its TensorFlow 1 form, as the authors published their BAIR models: `google/videoflow/`
encoder, evaluator and generator. Their variables are those of a checkpoint under a scope of any name, and most
hyperparameters can be told from the variables' names and shapes.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import tarfile
import tempfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from google.protobuf.message import DecodeError
from tensorflow.core.protobuf import saved_model_pb2

from videoflow_tf.config import VideoFlowConfig
from videoflow_tf.errors import UserError, one_line
from videoflow_tf.files import local_path
from videoflow_tf.model.video_flow import VideoFlow
from videoflow_tf.t2t.checkpoint import build_model, check_new, read_checkpoint, write_run
from videoflow_tf.t2t.hparams import OFFICIAL_DEFAULTS, config_from_hparams, split_record
from videoflow_tf.t2t.variables import SCOPE
from videoflow_tf.units import counted

_MARK = "tfhub_module.pb"
_FIRST = "codec/revnet_0/revnet_step_0/"
# What changes a trained model's numbers and cannot be told from its variables, by the latent encoder that reads it.
_UNTOLD = {
    None: (),
    "conv3d_net": ("latent_skip", "model_input", "latent_dilation_rates"),
    "conv_net": ("latent_skip", "model_input", "cond_first_frame"),
    "conv_lstm": ("latent_skip", "model_input"),
    "pointwise": ("latent_skip", "model_input", "level_scale"),
}


class HubModule(NamedTuple):
    """A module read as a model."""

    model: VideoFlow
    told: dict[str, Any]  # Official hyperparameters that its variables and signatures tell.
    assumed: dict[str, Any]  # Those that they do not tell and nobody gave, with the official defaults.


def load_module(
    path: str | Path, hparams: Mapping[str, Any] | None = None, frame_size: int | str | None = None
) -> HubModule:
    """A model with the weights of a module.

    A module of the flow alone, as the encoder, becomes an unconditional model with a standard normal top prior: its
    `encode` and `decode` are the module's, its likelihood and samples are nobody's.

    Args:
      path: folder of the module, or a tar archive of it.
      hparams: official hyperparameters that its variables do not tell; see `config_from_hparams`.
      frame_size: height and width of a frame. Default: that of the module's signatures, or of `hparams`.

    Raises:
      UserError: it is no such module or damaged; the hyperparameters contradict it; a variable of it or of the model
        is left over.
    """
    given, given_size = split_record(hparams or {})
    with _unpacked(local_path(path)) as folder:
        arrays = _official_names(read_checkpoint(folder / "variables" / "variables"), path)
        from_signatures, size = _read_signatures(folder / "saved_model.pb")
    told = infer_hparams({name: a.shape for name, a in arrays.items()}, given.get("cond_first_frame", False))
    if told.get("gen_mode") != "unconditional":
        told |= from_signatures
    wrong = [f"{name}={given[name]} ({value} there)" for name, value in told.items() if given.get(name, value) != value]
    if wrong:
        raise UserError(f"hyperparameters that are not those of the module {path}: {', '.join(wrong)}; leave them out")
    if "num_cond_latents" in told:  # Of the frames given the prior sees so many.
        told.setdefault("video_num_input_frames", given.get("video_num_input_frames", told["num_cond_latents"]))
    untold = [name for name in _UNTOLD[told.get("latent_dist_encoder")] if name not in told.keys() | given.keys()]
    frame_size = next((s for s in (frame_size, given_size, size) if s is not None), None)
    config = config_from_hparams({**given, **told}, frame_size)
    return HubModule(build_model(config, arrays), told, {name: OFFICIAL_DEFAULTS[name] for name in untold})


def import_module(
    path: str | Path,
    hparams: Mapping[str, Any],
    workdir: str | Path,
    frame_size: int | str | None = None,
    dataset: str | None = None,
) -> tuple[VideoFlowConfig, HubModule]:
    """Makes a workdir of a module, as `import_checkpoint` does of a checkpoint; arguments and errors as there."""
    check_new(workdir)
    module = load_module(path, hparams, frame_size)
    return write_run(module.model, workdir, dataset), module


@contextlib.contextmanager
def _unpacked(path: Path) -> Iterator[Path]:
    """The folder of a module, of an archive for as long as it is read; nothing of it gets beyond that folder."""
    with contextlib.ExitStack() as stack:
        folder = path
        if path.is_file():
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            try:
                with tarfile.open(path) as archive:
                    _check_room(archive, folder)
                    archive.extractall(folder, filter="data")
            except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
                raise UserError(f"cannot read the archive {path}: {one_line(str(error))}") from error
        marks = [*folder.glob(_MARK), *folder.glob(f"*/{_MARK}")]
        if not marks:
            raise UserError(f"{path} is no module of TensorFlow Hub in TensorFlow 1's form: it has no {_MARK}")
        yield marks[0].parent


def _check_room(archive: tarfile.TarFile, folder: Path) -> None:
    """Raises `UserError` if what is packed in an archive fills more than half of what is free on the disk."""
    room, size = shutil.disk_usage(folder).free / 2, 0
    for member in archive:  # One after the other: of a file without end the first few are enough.
        size += member.size
        if size > room:
            raise UserError(
                f"{archive.name} does not fit on the disk: it takes {size / 2**30:.1f} GiB or more, half of what is "
                f"free for {folder} is {room / 2**30:.1f} GiB; is it a module?"
            )


def _official_names(arrays: Mapping[str, np.ndarray], path: str | Path) -> dict[str, np.ndarray]:
    """The arrays under the names that a checkpoint has, whatever the scope that they stand in."""
    scopes = [name.removesuffix(f"{_FIRST}invertible/P") for name in arrays if name.endswith(f"{_FIRST}invertible/P")]
    if len(scopes) != 1:
        raise UserError(
            f"{path} has {counted(len(scopes), 'VideoFlow')} in it, by its variables {_FIRST}invertible/P; expected one"
        )
    named = {name.removeprefix(scopes[0]) if name.startswith(scopes[0]) else name: a for name, a in arrays.items()}
    return {name if name.endswith("global_step") else SCOPE + name: array for name, array in named.items()}


def _read_signatures(path: Path) -> tuple[dict[str, int], int | None]:
    """How many frames are given and scored, as hyperparameters, and the frame size, as far as the inputs tell."""
    try:
        saved = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    except (OSError, DecodeError) as error:
        raise UserError(f"cannot read {path.name} of the module: {one_line(str(error))}") from error
    names = {"inputs": "video_num_input_frames", "targets": "video_num_target_frames"}
    hparams, size = {}, None
    for graph in saved.meta_graphs:
        for signature in graph.signature_def.values():
            for name, tensor in signature.inputs.items():
                shape = [dim.size for dim in tensor.tensor_shape.dim]
                if len(shape) in (3, 5) and shape[-1] == 3:  # A frame, or a video.
                    size = shape[-2] if shape[-2] > 0 else size
                    if len(shape) == 5 and name in names and shape[1] > 0:
                        hparams[names[name]] = shape[1]
    return hparams, size


# --- What names and shapes tell ---


def infer_hparams(shapes: Mapping[str, tuple[int, ...]], cond_first_frame: bool = False) -> dict[str, Any]:
    """The official hyperparameters that the variables of a checkpoint, by their official names, tell.

    `cond_first_frame`: of a `conv_net`, whether one of the latents that it sees is that of the first frame.
    """
    shapes = {name.removeprefix(SCOPE): shape for name, shape in shapes.items()}
    levels = _count(shapes, r"codec/revnet_(\d+)/")
    coupling = "affine" if any(name.startswith(f"{_FIRST}affine/") for name in shapes) else "additive"
    block = f"{_FIRST}{coupling}/nn/conv_block/"
    told = {
        "n_levels": levels,
        "depth": _count(shapes, r"codec/revnet_0/revnet_step_(\d+)/"),
        "coupling": coupling,
        "coupling_width": shapes.get(f"{block}1_1/W", (1,))[-1],
        "activation": _activation(shapes, block),
    }
    if any(name.startswith("top/") for name in shapes):
        channels = shapes.get(f"codec/revnet_{levels - 1}/revnet_step_0/actnorm/actnorm_center/b", (1,))[-1]
        return told | _latent_hparams(shapes, channels, int(cond_first_frame))
    top_prior = "single_conv" if any(name.startswith("top_prior/") for name in shapes) else "normal"
    return told | {"gen_mode": "unconditional", "num_train_frames": 1, "top_prior": top_prior}


def _latent_hparams(shapes: Mapping[str, tuple[int, ...]], channels: int, others: int) -> dict[str, Any]:
    """Those of the latent encoder, from its network at the top, whose latents have so many channels."""
    if any(name.startswith("top/conv3d/") for name in shapes):
        dilated = any(name.startswith("top/conv3d/dil_") for name in shapes)
        block = f"top/conv3d/{'dil_latent_3d_res_0/dil_0' if dilated else 'latent_3d_res_0'}/conv_block/"
        return {
            "latent_dist_encoder": "conv3d_net",
            "num_cond_latents": _count(shapes, rf"{block}1_1/actnorm/actnorm_(\d+)/"),
            "latent_encoder_depth": _count(shapes, r"top/conv3d/(?:dil_)?latent_3d_res_(\d+)/"),
            "latent_encoder_width": shapes.get(f"{block}1_1/W", (1,))[-1],
            "latent_activation": _activation(shapes, block),
            "latent_apply_dilations": dilated,
        }
    if "top/conv_lstm/kernel" in shapes:
        return {"latent_dist_encoder": "conv_lstm", "latent_encoder_width": shapes["top/conv_lstm/kernel"][-1] // 4}
    if "top/conditional/latent_multiplier" in shapes:
        standard = any(name.endswith("/merge_std") for name in shapes)
        return {"latent_dist_encoder": "pointwise"} | ({"level_scale": "normal"} if standard else {})
    return {"latent_dist_encoder": "conv_net"} | _conv_net_hparams(shapes, channels, others)


def _conv_net_hparams(shapes: Mapping[str, tuple[int, ...]], channels: int, others: int) -> dict[str, Any]:
    """As above; `others`: latents that it sees besides those of the frames just before."""
    top = "top/conditional/"
    residual, blocks = (_count(shapes, rf"{top}{name}_(\d+)/") for name in ("latent_resnet", "glow_nn"))
    if residual:
        block = f"{top}latent_resnet_0/conv_block/"
        told = {
            "latent_architecture": "glow_resnet",
            "latent_encoder_depth": residual,
            "latent_encoder_width": shapes.get(f"{block}1_1/W", (1,))[-1],
        }
        first = f"{block}1_1/W"
    elif blocks:
        first = f"{top}glow_nn_1/1_1/W"
        told = {
            "latent_architecture": "glow_nn",
            "latent_encoder_depth": blocks,
            "latent_pre_output_channels": shapes.get(f"{top}glow_nn_{blocks}/1_1/W", (1,))[-1],
        }
    else:
        first, told = f"{top}single_conv/conv2d/W", {"latent_architecture": "single_conv"}
    if first not in shapes:
        return told
    return told | {"num_cond_latents": (shapes[first][2] - 1) // channels - others}  # One channel marks the edge.


def _count(shapes: Mapping[str, tuple[int, ...]], pattern: str) -> int:
    """How many numbers there are in the names that begin so."""
    return len({match[1] for match in map(re.compile(pattern).match, shapes) if match})


def _activation(shapes: Mapping[str, tuple[int, ...]], block: str) -> str:
    return "gatu" if f"{block}1_tanh/W" in shapes else "relu"
