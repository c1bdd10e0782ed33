"""The commands that repeat a run and its results."""

from __future__ import annotations

from typing import Any

from videoflow_tf.config import PRESETS, VideoFlowConfig
from videoflow_tf.metrics import LIKELIHOOD, METRICS, SAMPLE_METRICS


def train_command(config: VideoFlowConfig, workdir: str) -> str:
    """From the nearest preset, with a flag for every field that differs."""
    preset = min(PRESETS, key=lambda name: len(PRESETS[name].differences(config)))
    changes = {name: value for name, (_, value) in PRESETS[preset].differences(config).items()}
    return _command("train", config, {"workdir": workdir, "preset": preset} | changes)


def result_commands(name: str, result: Any, config: VideoFlowConfig, workdir: str) -> list[str]:
    """The commands that gave a JSON file of results; none if it is no file of this package.

    Where files are needed that a workdir does not hold, their names are placeholders in capitals.

    Args:
      name: of the file.
      result: what it holds.
    """
    if not isinstance(result, dict):
        return []
    protocol = result.get("protocol")
    if name == "metrics.json":
        found = _metrics(result)
    elif name == "temperature_sweep.json":
        sweep = result["results"]
        temperatures = {"temperatures": tuple(at["temperature"] for at in sweep)}
        found = [(command, flags | temperatures) for command, flags in _metrics(sweep[0])]
        for _, flags in found:
            del flags["temperature"]
    elif not protocol:
        found = []
    elif name.startswith("interpolation"):
        found = [("interpolate", _interpolation(protocol))]
    elif name == "out_of_sequence.json":
        names = {"split": "split", "videos": "num_videos", "seed": "seed"}
        found = [("anomaly", _renamed(protocol, names))]
    elif name.startswith("anomaly_"):
        names = {"split": "split", "video": "video", "video_file": "video_file", "seed": "seed"}
        found = [("anomaly", _renamed(protocol, names))]
    elif name.startswith("step-"):
        names = {"split": "split", "videos": "num_videos", "samples": "num_samples", "frames": "num_frames"}
        flags = _renamed(protocol, names | {"temperature": "temperature", "seed": "seed"})
        chosen = [metric for metric in SAMPLE_METRICS if metric in result]
        found = [("sample", flags | ({"choose": chosen[0]} if chosen else {}))]
    else:
        found = []
    return [_command(command, config, {"workdir": workdir} | flags) for command, flags in found]


def _metrics(metrics: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """One command for all metrics that share their flags."""
    commands: dict[str, tuple[list[str], dict[str, Any]]] = {}
    for name in METRICS:
        if name in metrics:
            flags = _metric_flags(name, metrics["protocol"] if name == LIKELIHOOD else metrics[name]["protocol"])
            commands.setdefault(repr(flags), ([], flags))[0].append(name)
    return [("evaluate", {"metrics": tuple(names)} | flags) for names, flags in commands.values()]


def _metric_flags(name: str, protocol: dict[str, Any]) -> dict[str, Any]:
    names = {"split": "split", "videos": "num_videos", "seed": "seed"}
    if name == LIKELIHOOD:
        return _renamed(protocol, names | {"dequantization_samples": "dequantization_samples"})
    own = {"draws": "fvd_draws", "context_included": "fvd_context"} if name == "fvd" else {"samples": "num_samples"}
    flags = _renamed(protocol, names | {"temperature": "temperature"} | own)
    flags["num_frames"] = protocol["frames"] - protocol["context"]
    files = {"vgg_weights": ("vgg_weights", "VGG16.h5"), "i3d": ("i3d_path", "I3D")}
    return flags | {flag: value for key, (flag, value) in files.items() if key in protocol}


def _renamed(protocol: dict[str, Any], names: dict[str, str]) -> dict[str, Any]:
    """What a protocol says under the names of the flags."""
    return {flag: protocol[key] for key, flag in names.items() if key in protocol}


def _interpolation(protocol: dict[str, Any]) -> dict[str, Any]:
    flags = {
        "split": protocol["split"],
        "video": protocol["first"]["video"],
        "other_video": protocol["last"]["video"],
        "num_frames": protocol["last"]["frame"],
        "steps": protocol["steps"],
        "levels": tuple(protocol["levels"]),
    }
    if protocol["channel_rank"] is not None:
        flags["channel_rank"] = protocol["channel_rank"]
    return flags


def _command(name: str, config: VideoFlowConfig, flags: dict[str, Any]) -> str:
    if config.dataset != "shapes":
        flags = flags | {"data_dir": "data"}
    return " ".join([f"python launch/{name}.py", *(f"--{flag}={_text(value)}" for flag, value in flags.items())])


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
