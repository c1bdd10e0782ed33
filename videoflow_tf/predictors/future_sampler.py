"""Sampled futures of which every one is a function of its seed, its video and its number alone."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from videoflow_tf.errors import UserError
from videoflow_tf.predictors.predictor import NotFiniteError, Predictor
from videoflow_tf.seeds import as_seed, fold_in
from videoflow_tf.units import counted

# More samples that are not finite than are, by so many: a matter of the model, not of a rare sample.
_MOST_LOST = 4


class FutureSampler:
    """Draws any number of futures of a video, of any length, in bounded memory.

    How samples are divided into batches is a matter of memory and speed, and changes no sample.
    """

    def __init__(self, predictor: Predictor, batch_size: int = 16) -> None:
        """`batch_size`: samples at a time, on each of the predictor's replicas."""
        self._predictor, self._batch_size = predictor, batch_size * predictor.num_replicas

    def __call__(
        self, context: np.ndarray, num_frames: int, temperature: float, seed: int, video: int, count: int
    ) -> np.ndarray:
        """The first `count` samples of a video: uint8 [count, N, H, W, C]. See `batches`."""
        batches = self.batches(context, num_frames, temperature, seed, video, count)
        return np.concatenate([batch for _, batch in batches])

    def batches(
        self, context: np.ndarray, num_frames: int, temperature: float, seed: int, video: int, count: int
    ) -> Iterator[tuple[list[int], np.ndarray]]:
        """The first `count` samples of a video, as many at a time as are drawn together.

        A sample that is not finite is left out: one of a higher number takes its place.

        Args:
          context: uint8 [K, H, W, C].
          num_frames: N, frames to draw after the context.
          temperature: factor of every sigma in the prior.
          seed: of all samples.
          video: index of the video.
          count: samples to draw.

        Returns:
          At a time n numbers of samples, ascending from 0, and uint8 [n, N, H, W, C]; n at most the whole batch.

        Raises:
          UserError: most of the samples are not finite, or they are no frames of that number and shape.
        """
        video_seed = as_seed((seed, video))

        def draw(numbers: list[int]) -> np.ndarray | None:
            """None if one of them is not finite."""
            seeds = np.stack([fold_in(video_seed, number) for number in numbers])
            try:
                frames = self._predictor.predict_frames(context, num_frames, temperature, seeds)
            except NotFiniteError:
                return None
            return self._checked(frames, (len(numbers), num_frames, *context.shape[1:]))

        found = lost = 0
        while found < count:
            first = found + lost
            numbers = list(range(first, first + min(self._batch_size, count - found)))
            batch = draw(numbers)
            if batch is None:
                alone = {number: draw([number]) for number in numbers}
                numbers = [number for number in numbers if alone[number] is not None]
                lost += len(alone) - len(numbers)
                if lost >= found + len(numbers) + _MOST_LOST:
                    which = f"{lost} of {first + len(alone)} samples of video {video}"
                    raise UserError(
                        f"{which} at temperature {temperature:g} are not finite; train the model longer, "
                        "or give a lower --temperature or fewer --num_frames"
                    )
                if not numbers:
                    continue
                batch = np.concatenate([alone[number] for number in numbers])
            found += len(numbers)
            yield numbers, batch

    def _checked(self, frames: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        frames = np.asarray(frames)
        if frames.dtype != np.uint8 or frames.shape != shape:
            raise UserError(
                f"{type(self._predictor).__name__}.predict_frames gives {frames.dtype} {list(frames.shape)}; "
                f"it must be uint8 {list(shape)}: samples, frames, height, width, channels"
            )
        return frames


def lost_in_words(lost: int) -> str:
    """What is to be said where samples had to be left out."""
    return f"{counted(lost, 'sample')} not finite: left out, others drawn instead"
