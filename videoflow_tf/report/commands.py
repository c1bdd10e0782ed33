"""The commands that repeat a run and its results."""

from __future__ import annotations

from typing import Any

from videoflow_tf.config import PRESETS, VideoFlowConfig


def train_command(config: VideoFlowConfig, workdir: str) -> str:
    """From the nearest preset, with a flag for every field that differs."""
    preset = min(PRESETS, key=lambda name: len(PRESETS[name].differences(config)))
    changes = {name: value for name, (_, value) in PRESETS[preset].differences(config).items()}
    return _command("train", config, {"workdir": workdir, "preset": preset} | changes)


def evaluation_command(name: str, result: dict[str, Any], config: VideoFlowConfig, workdir: str) -> str | None:
    """The command that gave a JSON file of results.

    Args:
      name: of the file.
      result: what it holds.
    """
    protocol = result.get("protocol")
    if not isinstance(protocol, dict):
        return None
    if name.startswith("interpolation"):
        options = _interpolation(protocol)
    elif name == "out_of_sequence.json":
        options = "anomaly", {"split": protocol["split"], "num_videos": protocol["videos"], "seed": protocol["seed"]}
    elif name.startswith("anomaly_"):
        names = {"split": "split", "video": "video", "video_file": "video_file", "seed": "seed"}
        options = "anomaly", {flag: protocol[key] for key, flag in names.items() if key in protocol}
    elif name.startswith("step-"):
        names = {"split": "split", "videos": "num_videos", "samples": "num_samples", "frames": "num_frames"}
        names |= {"temperature": "temperature", "seed": "seed"}
        options = "sample", {flag: protocol[key] for key, flag in names.items() if key in protocol}
    else:
        return None
    command, flags = options
    return _command(command, config, {"workdir": workdir} | flags)


def _interpolation(protocol: dict[str, Any]) -> tuple[str, dict[str, Any]]:
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
    return "interpolate", flags


def _command(name: str, config: VideoFlowConfig, flags: dict[str, Any]) -> str:
    if config.dataset != "shapes":
        flags = flags | {"data_dir": "data"}
    return " ".join([f"python launch/{name}.py", *(f"--{flag}={_text(value)}" for flag, value in flags.items())])


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
