import math
import tempfile

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from tests import reference
from tests.checks import assert_all_close, refused
from videoflow_tf.model import video_flow
from videoflow_tf.model.likelihood import encode_frames

LOG_2 = math.log(2.0)


# --- Encoding and decoding ---


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-3), ("float64", 1e-9)])
@pytest.mark.parametrize("coupling", ["affine", "additive"])
def test_clips_and_latents_come_back_from_one_another(make_model, make_frames, dtype, tolerance, coupling):
    model = make_model(dtype, moved=0.1, frame_size=16, depth=3, coupling=coupling)
    frames = tf.constant(make_frames(size=16), dtype)
    latents = model.encode(frames)
    for t in range(4):  # Encoded one by one.
        of_frame = [z[:, t] for z in latents]
        assert_all_close(of_frame, reference.encode(model, frames[:, t].numpy())[0], atol=tolerance)
    # Fresh tensors, else TFP's cache answers.
    decoded = model.decode([tf.identity(z) for z in latents])
    assert decoded.dtype == dtype
    np.testing.assert_allclose(decoded, frames, atol=tolerance)
    rng = np.random.default_rng(0)
    latents = [tf.constant(rng.normal(size=(2, 3, *model.config.latent_shape(i))), dtype) for i in range(2)]
    assert_all_close(model.encode(tf.identity(model.decode(latents))), latents, atol=tolerance)


def test_encode_follows_an_assignment_to_the_weights(make_model, make_frames):
    model, frames = make_model(), tf.constant(make_frames())
    before = model.encode(frames)
    weight = model.levels[0].flow.trainable_variables[0]
    weight.assign_add(weight + 1.0)
    assert not np.allclose(model.encode(frames)[0], before[0])


@pytest.mark.parametrize("levels", [1, 2])
@pytest.mark.parametrize("coupling", ["affine", "additive"])
def test_the_log_det_is_that_of_the_jacobian(make_model, make_frames, levels, coupling):
    model = make_model(moved=0.2, frame_size=4, levels=levels, depth=2, coupling=coupling)
    frames = tf.constant(make_frames(1, 1, 4))

    @tf.function
    def jacobian(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            flat = tf.concat([tf.reshape(z, [-1]) for z in model.encode(x)], axis=0)
        return tf.reshape(tape.jacobian(flat, x), [48, 48])

    expected = np.linalg.slogdet(jacobian(frames))[1]
    np.testing.assert_allclose(encode_frames(model.levels, frames).log_det, [[expected]], atol=1e-9)


# --- The density ---


def noise_of(video: np.ndarray) -> np.ndarray:
    return np.random.default_rng(1).uniform(size=video.shape)


def literal_bits(model, video: np.ndarray) -> np.ndarray:
    """Bits per pixel of every frame with its `noise_of`."""
    x = (video + noise_of(video)) / 256 - 0.5
    return 8 - reference.frame_log_probs(model, x) / (192 * LOG_2)


def log_normal(z: np.ndarray, mean: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    centred = z - mean
    distance = np.sum(centred * np.linalg.solve(covariance, centred.T).T, axis=1)
    return -0.5 * (distance + np.linalg.slogdet(2 * np.pi * covariance)[1])


@pytest.mark.parametrize(("levels", "frame_size", "num_frames"), [(1, 2, 1), (1, 2, 2), (2, 4, 1)])
def test_the_density_has_a_total_mass_of_one(make_model, make_frames, levels, frame_size, num_frames):
    model = make_model(frame_size=frame_size, levels=levels, depth=2, moved=0.05, num_past_latents=1)
    context = tf.constant(make_frames(1, 1, frame_size))
    future = model.future(context, num_frames)
    count, shape = 8000, (num_frames, frame_size, frame_size, 3)
    draw = tf.function(lambda seed: future.sample(count, seed=seed))
    log_prob = tf.function(lambda x: future.log_prob(x)[:, 0])
    flat = draw(tf.constant([1, 2])).numpy().reshape(count, -1)
    mean, covariance = flat.mean(axis=0), np.cov(flat.T)
    # Under a wider normal q: E_q[p/q], the mass of p.
    wider = 1.15 * covariance
    proposals = np.random.default_rng(7).multivariate_normal(mean, wider, size=count)
    of_normal = log_prob(tf.constant(proposals.reshape(count, 1, *shape))) - log_normal(proposals, mean, wider)
    # Under the model's own draws, a narrower normal r: E_p[r/p] = 1 if p is what `sample` draws from. Fresh draws:
    # on those that it was fitted to, r would be too large.
    draws = draw(tf.constant([3, 4]))
    of_model = log_normal(draws.numpy().reshape(count, -1), mean, 0.85 * covariance) - log_prob(draws)
    for weights in (np.exp(of_normal), np.exp(of_model)):
        error = weights.std() / np.sqrt(count)
        assert error < 0.03
        assert weights.mean() == pytest.approx(1.0, abs=4 * error)


def test_float32_agrees_with_float64(make_model, make_video):
    single, double = make_model("float32"), make_model("float64")
    for a, b in zip(single.variables, double.variables, strict=True):
        b.assign(tf.cast(a, b.dtype))
    video = make_video()
    bits = [model.bits_per_pixel(video, None, noise_of(video).astype(np.float32)) for model in (single, double)]
    np.testing.assert_allclose(*bits, rtol=1e-5)


# --- Options ---


@pytest.mark.parametrize("twice", [False, True])
def test_score_context_counts_every_frame(make_model, make_video, twice):
    """Where the first frame is encoded twice, both codings are paid for."""
    changes = {"latent_encoder": "conv2d", "condition_on_first_frame": twice}
    model, video = make_model(score_context=True, **changes), make_video(2, 5)
    encoded = video[:, [0] * twice + [*range(5)]]
    bits, noise = literal_bits(model, encoded), noise_of(encoded)
    expected = np.concatenate([bits[:, : 1 + twice].sum(axis=1, keepdims=True), bits[:, 1 + twice :]], axis=1)
    np.testing.assert_allclose(model.frame_bits_per_pixel(video, None, noise), expected, rtol=1e-6)
    np.testing.assert_allclose(model.bits_per_pixel(video, None, noise), np.mean(expected, axis=1), rtol=1e-6)


@pytest.mark.parametrize("top_prior", ["learned", "standard"])
def test_an_unconditional_model_scores_images(make_model, make_video, top_prior):
    model = make_model(conditional=False, num_context=0, num_train_frames=1, num_eval_frames=1, top_prior=top_prior)
    video = make_video(2, 4)
    per_frame = model.frame_bits_per_pixel(video, None, noise_of(video))
    np.testing.assert_allclose(per_frame, literal_bits(model, video), rtol=1e-6)
    assert model.predict_frames(video[:, :0], 3, seed=1).shape == [2, 3, 8, 8, 3]
    latents = model.encode(model.future(video[:, :0], 2, temperature=0.0).sample(seed=1))
    assert np.ptp(latents[-1], axis=(0, 1)).max() < 1e-9
    if top_prior == "standard":
        np.testing.assert_allclose(latents[-1], 0.0, atol=1e-9)


def test_pretraining_ignores_the_past(make_model, make_video):
    model, plain, video = make_model(pretrain_steps=2), make_model(), make_video(2, 4)
    before = model.frame_bits_per_pixel(video).numpy()
    context_changed = np.concatenate([255 - video[:, :2], video[:, 2:]], axis=1)
    np.testing.assert_allclose(model.frame_bits_per_pixel(context_changed), before, rtol=1e-6)
    assert not np.allclose(plain.frame_bits_per_pixel(video), before)
    assert not np.allclose(plain.frame_bits_per_pixel(context_changed), plain.frame_bits_per_pixel(video))
    first = model.predict_frames(video[:, :2], 2, 0.0)
    np.testing.assert_array_equal(model.predict_frames(context_changed[:, :2], 2, 0.0), first)
    model.step.assign(2)
    np.testing.assert_allclose(model.frame_bits_per_pixel(video), plain.frame_bits_per_pixel(video), rtol=1e-6)
    predicted = (one.predict_frames(video[:, :2], 2, 0.0) for one in (model, plain))
    np.testing.assert_array_equal(*predicted)


def test_fewer_bits_ignore_the_lower_ones(make_model, make_video):
    model, video = make_model(n_bits=5), make_video()
    bits = model.bits_per_pixel(video)
    np.testing.assert_array_equal(model.bits_per_pixel(video // 8 * 8), bits)
    assert not np.allclose(model.bits_per_pixel(video // 16 * 16), bits)


@pytest.mark.parametrize("n_bits", [8, 3, 1])
def test_a_uniform_density_costs_the_bits_there_are(make_model, make_video, monkeypatch, n_bits):
    """Density 1 on the unit cube of the pixels: n bits a component, whatever the model."""
    model = make_model(n_bits=n_bits)
    flat = lambda _, frames, start, **kwargs: tf.zeros(frames.shape[:2], frames.dtype)[:, start:]  # noqa: E731
    monkeypatch.setattr(video_flow, "frame_log_probs", flat)
    np.testing.assert_array_equal(model.bits_per_pixel(make_video()), [n_bits, n_bits])


def test_pixel_scaling_of_the_official_code(make_model, make_video):
    official, video = make_model(pixel_scaling="official"), make_video()
    noise = noise_of(video)
    x = tf.constant(video / 255 - 0.5 + noise / 256)
    expected = 8 - official.future(x[:, :2], 2).log_prob(x[:, 2:]) / (2 * 192 * LOG_2)
    np.testing.assert_allclose(official.bits_per_pixel(video, None, noise), expected, rtol=1e-6)
    assert not np.allclose(make_model().bits_per_pixel(video, None, noise), expected)


def test_a_video_has_the_same_noise_wherever_it_stands(make_model, make_video):
    """In `bits_per_pixel`, with a seed for all or none, `encode` and Keras' `evaluate`, and as it had when it came
    first."""
    model, video = make_model(), make_video(5)
    seeded = model.bits_per_pixel(video, seed=5).numpy()
    np.testing.assert_allclose(model.bits_per_pixel(video[::-1], seed=5), seeded[::-1], rtol=1e-6)
    bits = model.bits_per_pixel(video).numpy()
    assert not np.allclose(seeded, bits, rtol=1e-6)
    np.testing.assert_allclose(model.bits_per_pixel(video[::-1]), bits[::-1], rtol=1e-6)
    alone = [model.bits_per_pixel(video[i : i + 1], seed=(0, 0)).numpy()[0] for i in range(5)]
    np.testing.assert_allclose(bits, alone, rtol=1e-6)
    assert_all_close(model.encode(video[3:]), [z[3:] for z in model.encode(video)], atol=1e-12)
    model.compile()
    for batch_size in (2, 5):
        evaluated = model.evaluate(video, batch_size=batch_size, verbose=0)
        np.testing.assert_allclose(evaluated, bits.mean(), rtol=1e-6)


def test_a_seed_for_each_video(make_model, make_video):
    model, video = make_model(), make_video(2)
    seeds = np.array([[1, 2], [3, 4]], np.int32)
    bits = model.bits_per_pixel(video, seed=seeds)
    alone = [model.bits_per_pixel(video[i : i + 1], seed=seeds[i]).numpy()[0] for i in range(2)]
    np.testing.assert_allclose(bits, alone, rtol=1e-6)


@pytest.mark.parametrize("changes", [{}, {"n_bits": 5}, {"dequantization": "variational", "dequantization_width": 6}])
def test_pixels_and_continuous_frames_come_back_from_one_another(make_model, make_video, changes):
    model, video = make_model("float32", **changes), make_video()
    frames = model.dequantize(video)
    assert frames.dtype == tf.float32 and np.abs(frames).max() <= 0.5
    lost = 8 - model.config.n_bits
    np.testing.assert_array_equal(model.quantize(frames).numpy() >> lost, video >> lost)
    assert not np.array_equal(model.dequantize(video, seed=1), frames)


def test_the_density_of_dequantized_pixels_is_their_bits(make_model, make_video):
    model, video = make_model(), make_video()
    frames = model.dequantize(video)
    future = model.future(frames[:, :2], 2)
    expected = 8 - future.log_prob(frames[:, 2:]) / (2 * 192 * LOG_2)
    np.testing.assert_allclose(model.bits_per_pixel(video), expected, rtol=1e-6)


def test_a_fixed_noise_makes_calls_repeat_and_a_seed_changes_it(make_model, make_video):
    model, video = make_model("float32"), make_video()
    first = model.bits_per_pixel(video)
    np.testing.assert_array_equal(model.bits_per_pixel(video), first)
    seeded = model.bits_per_pixel(video, seed=(4, 5))
    np.testing.assert_array_equal(model.bits_per_pixel(video, seed=(4, 5)), seeded)
    assert not np.array_equal(seeded, first)


def test_autograph_reads_none_of_it(make_model, make_video, tmp_path, monkeypatch):
    """What it converts of a user's function, it writes to a file: that function alone."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    model, video = make_model(), make_video()

    @tf.function
    def of_a_user(video):
        flowed = model.levels[0].squeeze.forward_and_log_det(tf.cast(video[:, 0], tf.float64))
        future = model.future(video[:, :2], 2).sample(seed=[1, 2])
        return flowed, future, model.decode(model.encode(video)), model.predict_frames(video[:, :2], 2), model(video)

    of_a_user.get_concrete_function(tf.TensorSpec(video.shape, tf.uint8))
    written = [path.read_text() for path in tmp_path.glob("__autograph_generated_file*")]
    assert len(written) == 1 and "tf__of_a_user" in written[0]


@pytest.mark.parametrize(
    "option",
    [
        "coupling_dropout",
        pytest.param("latent_dropout", marks=pytest.mark.slow),
        pytest.param("latent_noise", marks=pytest.mark.slow),
    ],
)
def test_noise_and_dropout_are_for_training_alone(make_model, make_video, option):
    noisy, plain, video = make_model("float32", **{option: 0.5}), make_model("float32"), make_video()
    np.testing.assert_array_equal(noisy.bits_per_pixel(video), plain.bits_per_pixel(video))
    for model in (noisy, plain):
        model.compile(optimizer=tf_keras.optimizers.SGD(0.0))
    np.testing.assert_allclose(noisy.evaluate(video, verbose=0), plain.evaluate(video, verbose=0))

    def trained(model) -> float:
        return model.fit(video, batch_size=2, shuffle=False, verbose=0).history["bits_per_pixel"][0]

    noisy.step.assign(0)
    first = trained(noisy)
    assert first != trained(plain)  # Both at step 0, so with the same dequantisation noise.
    second = trained(noisy)
    noisy.step.assign(0)
    assert trained(noisy) == first != second


# --- What a caller can get wrong ---


def bad_videos() -> dict[str, tuple]:
    good = np.zeros((2, 4, 8, 8, 3), np.uint8)
    return {
        "float64": (good.astype(np.float64), "dtype uint8, got float64"),
        "int32": (good.astype(np.int32), "dtype uint8, got int32"),
        "rank": (good[0], r"\[batch, frames, 8, 8, 3\], got shape \(4, 8, 8, 3\)"),
        "size": (good[:, :, :, :4], r"expected frames of 8x8 with 3 channels, got \(8, 4, 3\)"),
        "channels": (good[..., :1], r"expected frames of 8x8 with 3 channels, got \(8, 8, 1\)"),
    }


@pytest.mark.parametrize("name", bad_videos())
def test_a_wrong_video_is_a_user_error_of_one_line(make_model, name):
    model = make_model("float32")
    video, message = bad_videos()[name]
    calls = (model.bits_per_pixel, model.frame_bits_per_pixel, model.encode, model.initialize)
    for call in (*calls, lambda v: model.future(v, 2), lambda v: model.predict_frames(v, 2)):
        with refused(message):
            call(video)


def test_continuous_frames_are_not_a_video(make_model, make_frames):
    """0..255 in floats, or frames already scaled: either way the numbers would mean nothing."""
    model, frames = make_model("float32"), make_frames().astype(np.float32)
    for call in (model.bits_per_pixel, lambda v: model.predict_frames(v, 2)):
        with refused("dtype uint8, got float32"):
            call(frames)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m, v: m.bits_per_pixel(v, num_context=4), "at least 5 frames, got 4"),
        (lambda m, v: m.bits_per_pixel(v, num_context=-1), "num_context"),
    ],
)
def test_too_few_frames(make_model, make_video, call, message):
    with refused(message):
        call(make_model(), make_video())


@pytest.mark.parametrize("shape", [(4, 8, 8, 3), (2, 3, 8, 8, 3), (2, 4, 8, 8, 1), (3, 4, 8, 8, 3)], ids=str)
def test_dequantization_noise_of_another_shape(make_model, make_video, shape):
    model, video, noise = make_model("float32"), make_video(), np.zeros(shape, np.float32)
    calls = (
        lambda: model.bits_per_pixel(video, None, noise),
        lambda: model.future(video, 2, dequantization_noise=noise),
        lambda: model.predict_frames(video, 2, dequantization_noise=noise),
        lambda: model.encode(video, noise),
    )
    for call in calls:
        with refused("dequantization_noise"):
            call()


def test_a_diverged_model_raises_and_never_draws_black(make_model, make_video):
    model = make_model("float32")
    model.trainable_variables[0].assign(np.nan * model.trainable_variables[0])
    with pytest.raises(tf.errors.InvalidArgumentError, match="diverged"):
        model.predict_frames(make_video(2, 2), 2)
    assert np.isnan(model.bits_per_pixel(make_video())).all()
