"""The commands that repeat a run and its results."""

from __future__ import annotations

from typing import Any

from videoflow_tf.config import PRESETS, VideoFlowConfig
from videoflow_tf.data.source import dataset_class
from videoflow_tf.protocol import Protocol
from videoflow_tf.registry import METRICS
from videoflow_tf.studies.arguments import SIMILARITIES


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
    protocol = Protocol.from_json(result.get("protocol") or {})
    found: list[tuple[str, dict[str, Any]]] = []
    if name == "metrics.json":
        found = _metrics(result)
    elif name == "temperature_sweep.json":
        found = _sweep(result["results"])
    elif protocol == Protocol():
        pass
    elif name.startswith("interpolation"):
        found = [("interpolate", _interpolation(protocol))]
    elif name.startswith(("out_of_sequence", "anomaly_")):
        found = [("anomaly", _flags(protocol, "split", "videos", "video", "video_file", "seed"))]
    elif name.startswith("step-"):
        chosen = [("choose", metric) for metric in SIMILARITIES if metric in result]
        flags = _flags(protocol, "split", "videos", "samples", "frames", "temperature", "seed")
        found = [("sample", flags | dict(chosen))]
    return [_command(command, config, {"workdir": workdir} | flags) for command, flags in found]


def _metrics(metrics: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """One command for all metrics that share their flags."""
    commands: dict[str, tuple[list[str], dict[str, Any]]] = {}
    for name in METRICS:
        if name in metrics:
            protocol = Protocol.of_metric(metrics, name)
            flags = _flags(protocol, "split", "videos", "seed", "temperature") | METRICS[name].flags(protocol)
            commands.setdefault(repr(flags), ([], flags))[0].append(name)
    return [("evaluate", {"metrics": tuple(names)} | flags) for names, flags in commands.values()]


def _sweep(results: list[dict[str, Any]]) -> list[tuple[str, dict[str, Any]]]:
    temperatures = tuple(at["temperature"] for at in results)
    found = _metrics(results[0])
    for _, flags in found:
        del flags["temperature"]
        flags["temperatures"] = temperatures
    return found


def _interpolation(protocol: Protocol) -> dict[str, Any]:
    how = protocol.settings
    ends = {"video": how["first"]["video"], "other_video": how["last"]["video"], "num_frames": how["last"]["frame"]}
    flags = {"split": protocol.split, **ends, "steps": how["steps"], "levels": tuple(how["levels"])}
    return flags if how["channel_rank"] is None else flags | {"channel_rank": how["channel_rank"]}


def _flags(protocol: Protocol, *names: str) -> dict[str, Any]:
    """What a protocol says of `names`, where it does, by the names of the flags."""
    values, counts = protocol.to_json(), ("videos", "samples", "frames")
    return {f"num_{name}" if name in counts else name: values[name] for name in names if name in values}


def _command(name: str, config: VideoFlowConfig, flags: dict[str, Any]) -> str:
    if dataset_class(config).needs_data_dir:
        flags = flags | {"data_dir": "data"}
    return " ".join([f"python launch/{name}.py", *(f"--{flag}={_text(value)}" for flag, value in flags.items())])


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
