"""The fooling rate: how often people take a generated video for a real one (Kumar et al. 2020, section 5.2)."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np

from videoflow_tf.errors import UserError
from videoflow_tf.files import file_digest, read_json
from videoflow_tf.media.strips import film_url

_ANSWERS = ("real", "generated")
_STUDY = re.compile(r"[0-9A-Za-z]{1,40}")


def study_page(
    real: np.ndarray, generated: np.ndarray, *, seconds: float, frames_per_second: float, protocol: dict[str, Any]
) -> str:
    """A web page that shows the clips in random order and asks which are real; one file that needs no network.

    The page knows the answers: it is for visitors who do not look at its source.

    Args:
      real: uint8 [N, T, H, W, C].
      generated: uint8 [M, T, H, W, C].
      seconds: how long a clip is shown, over and over if it is shorter.
      frames_per_second: its speed.
      protocol: how the clips were made; kept in the page.

    Returns:
      HTML

    Raises:
      UserError: `seconds` or `frames_per_second` is not finite.
    """
    if not (math.isfinite(seconds) and math.isfinite(frames_per_second)):
        raise UserError(f"seconds={seconds} and frames_per_second={frames_per_second} must be finite")
    clips = [
        {"film": film_url(clip), "generated": is_generated, "video": i}
        for is_generated, videos in ((False, real), (True, generated))
        for i, clip in enumerate(videos)
    ]
    study = {
        "id": hashlib.sha256(json.dumps([clips, protocol]).encode()).hexdigest()[:12],
        "clips": clips,
        "num_frames": real.shape[1],
        "height": real.shape[2],
        "width": real.shape[3],
        "seconds": seconds,
        "frames_per_second": frames_per_second,
        "protocol": protocol,
    }
    template = resources.files(__package__).joinpath("fooling_page.html").read_text(encoding="utf-8")
    # Neither "</script>" nor "<!--" inside a script element.
    return template.replace("__STUDY__", json.dumps(study).replace("<", "\\u003c"))


def score(files: Sequence[str | Path]) -> dict[str, Any]:
    """The fooling rate over the answers of all visitors.

    Args:
      files: the downloaded results, JSON.

    Returns:
      `fooling_rate`: share of the generated clips taken for real, with `low` and `high` of the 95 % Wilson interval
      and the counts; `real_taken_for_real`: the same of the real clips; `protocol`, with a digest of the files, the
      same in any order. The interval takes answers for independent, those of one visitor too.

    Raises:
      UserError: a file is missing or no result of a study, two files are of different studies or of one session.
    """
    if not files:
        raise UserError("give the result files to score, for example results/*.json")
    sessions = [_read_session(Path(file)) for file in files]
    studies = sorted({session["study"] for session in sessions})
    if len(studies) > 1:
        raise UserError(f"the results are of different studies, {', '.join(studies)}; score each by itself")
    seen: dict[str, Path] = {}
    for file, session in zip(files, sessions, strict=True):
        if session["visitor"] in seen:
            raise UserError(f"{file} is the same session as {seen[session['visitor']]}; give each once")
        seen[session["visitor"]] = Path(file)
    answers = [answer for session in sessions for answer in session["answers"]]
    digest = hashlib.sha256("".join(sorted(map(file_digest, files))).encode()).hexdigest()[:16]
    counts = {"visitors": len(sessions), "answers": len(answers), "answers_digest": digest}
    return {
        "fooling_rate": _rate(answers, generated=True),
        "real_taken_for_real": _rate(answers, generated=False),
        "protocol": {"study": studies[0], **counts, "confidence": 0.95},
    }


def wilson_interval(successes: int, trials: int, confidence: float = 0.95) -> tuple[float, float]:
    """Interval for the probability of a success (Wilson 1927); within [0, 1], and sound for few trials.

    trials: at least 1.
    """
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    share = successes / trials
    centre = share + z**2 / (2 * trials)
    half = z * math.sqrt(share * (1 - share) / trials + z**2 / (4 * trials**2))
    scale = 1 + z**2 / trials
    return max(0.0, (centre - half) / scale), min(1.0, (centre + half) / scale)


def _rate(answers: list[dict[str, Any]], generated: bool) -> dict[str, Any]:
    shown = [answer["answer"] for answer in answers if answer["generated"] is generated]
    if not shown:
        raise UserError(f"the results hold no answer about a {'generated' if generated else 'real'} clip")
    taken = shown.count("real")
    low, high = wilson_interval(taken, len(shown))
    return {"rate": taken / len(shown), "low": low, "high": high, "taken_for_real": taken, "shown": len(shown)}


def _read_session(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise UserError(f"there is no file {path}")
    try:
        session = read_json(path)
        # The study becomes part of a file's name.
        valid = _STUDY.fullmatch(session["study"]) is not None and isinstance(session["visitor"], str)
        valid = valid and all(
            isinstance(answer["generated"], bool) and answer["answer"] in _ANSWERS for answer in session["answers"]
        )
    except (ValueError, KeyError, TypeError):
        valid = False
    if not valid:
        raise UserError(f"{path} is not a result file of the study page; download it again, or leave it out")
    return session
