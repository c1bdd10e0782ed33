"""Measures bits per pixel: python launch/evaluate.py --workdir=W [--data_dir=D] -> W/eval/metrics.json."""

import json
from pathlib import Path

import cli
from absl import flags

_WORKDIR = flags.DEFINE_string("workdir", None, "Folder of the run.", required=True)
_DATA_DIR = flags.DEFINE_string("data_dir", None, "Folder of the prepared dataset; not needed for shapes.")
_SPLIT = flags.DEFINE_enum("split", "test", ["train", "validation", "test"], "Videos to evaluate on.")
_NUM_VIDEOS = flags.DEFINE_integer("num_videos", None, "The first so many of them; default: the whole split.", 1)
_BATCH_SIZE = flags.DEFINE_integer("batch_size", 16, "Videos at a time; a matter of memory and speed only.", 1)
_SEED = flags.DEFINE_integer("seed", 0, "Seed of the dequantisation noise.", 0)


def main(argv: list[str]) -> None:
    del argv
    cli.load_tensorflow()
    from videoflow_tf.checkpoints import atomic_path, load_workdir
    from videoflow_tf.evaluation.likelihood import evaluate_likelihood

    _, model = load_workdir(_WORKDIR.value)
    metrics = evaluate_likelihood(
        model,
        _DATA_DIR.value,
        _SPLIT.value,
        num_videos=_NUM_VIDEOS.value,
        batch_size=_BATCH_SIZE.value,
        seed=_SEED.value,
    )
    target = Path(_WORKDIR.value) / "eval" / "metrics.json"
    with atomic_path(target) as path:
        path.write_text(json.dumps(metrics, indent=2) + "\n")
    bits, protocol = metrics["bits_per_pixel"], metrics["protocol"]
    error = "" if bits["standard_error"] is None else f" +- {bits['standard_error']:.4f}"
    print(f"{bits['mean']:.4f}{error} bits per pixel, {protocol['videos']} {protocol['split']} videos: {target}")


if __name__ == "__main__":
    cli.run(main)
