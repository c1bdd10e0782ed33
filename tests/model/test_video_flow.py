import math

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from videoflow_tf import UserError
from videoflow_tf.model import video_flow
from videoflow_tf.model.likelihood import encode_frames, frame_log_probs

LOG_2 = math.log(2.0)


# --- Encoding and decoding ---


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-3), ("float64", 1e-9)])
@pytest.mark.parametrize("coupling", ["affine", "additive"])
def test_a_clip_comes_back_from_its_latents(make_model, make_frames, dtype, tolerance, coupling):
    model = make_model(dtype, moved=0.1, frame_size=16, depth=3, coupling=coupling)
    frames = tf.constant(make_frames(size=16), dtype)
    latents = model.encode(frames)
    assert [z.shape for z in latents] == [(2, 4, *model.config.latent_shape(level)) for level in range(2)]
    fresh = [tf.constant(z.numpy()) for z in latents]  # Else TFP's cache answers with the frames themselves.
    decoded = model.decode(fresh)
    assert decoded.dtype == dtype
    np.testing.assert_allclose(decoded, frames, atol=tolerance)


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-3), ("float64", 1e-9)])
def test_latents_come_back_from_their_frames(make_model, dtype, tolerance):
    model = make_model(dtype, moved=0.1, frame_size=16, depth=3)
    rng = np.random.default_rng(0)
    latents = [tf.constant(rng.normal(size=(2, 3, *model.config.latent_shape(i))), dtype) for i in range(2)]
    frames = tf.constant(model.decode(latents).numpy())
    for z, again in zip(latents, model.encode(frames), strict=True):
        np.testing.assert_allclose(again, z, atol=tolerance)


def test_frames_are_encoded_one_by_one(make_model, make_frames):
    model, frames = make_model(), tf.constant(make_frames())
    whole = model.encode(frames)
    for t in range(4):
        for z, alone in zip(whole, model.encode(frames[:, t : t + 1]), strict=True):
            np.testing.assert_allclose(alone, z[:, t : t + 1], atol=1e-12)


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
    x = tf.constant(make_frames(1, 1, 4).reshape(1, -1))
    frames = tf.reshape(x, [1, 1, 4, 4, 3])

    @tf.function
    def jacobian(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            latents = model.encode(tf.reshape(x, [1, 1, 4, 4, 3]))
            flat = tf.concat([tf.reshape(z, [-1]) for z in latents], axis=0)
        return tape.jacobian(flat, x)[:, 0]

    expected = np.linalg.slogdet(jacobian(x))[1]
    np.testing.assert_allclose(encode_frames(model.levels, frames).log_det, [[expected]], atol=1e-9)


# --- The density ---


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
    rng = np.random.default_rng(7)

    # Under a wider normal q: E_q[p/q], the mass of p.
    wider = 1.15 * covariance
    proposals = rng.multivariate_normal(mean, wider, size=count)
    x = tf.constant(proposals.reshape(count, 1, *shape))
    weights = np.exp(log_prob(x).numpy() - log_normal(proposals, mean, wider))
    assert weights.std() / np.sqrt(count) < 0.03
    assert weights.mean() == pytest.approx(1.0, abs=4 * weights.std() / np.sqrt(count))

    # Under the model's own draws, a narrower normal r: E_p[r/p] = 1 if p is what `sample` draws from. Fresh draws:
    # on those that it was fitted to, r would be too large.
    draws = draw(tf.constant([3, 4]))
    flat, narrower = draws.numpy().reshape(count, -1), 0.85 * covariance
    weights = np.exp(log_normal(flat, mean, narrower) - log_prob(draws).numpy())
    assert weights.std() / np.sqrt(count) < 0.03
    assert weights.mean() == pytest.approx(1.0, abs=4 * weights.std() / np.sqrt(count))


def test_a_likelihood_is_the_product_of_those_of_its_frames(make_model, make_frames):
    model, frames = make_model(), tf.constant(make_frames(2, 6))
    whole = model.future(frames[:, :1], 5).log_prob(frames[:, 1:]).numpy()
    steps = [model.future(frames[:, :t], 1).log_prob(frames[:, t : t + 1]).numpy() for t in range(1, 6)]
    np.testing.assert_allclose(whole, np.sum(steps, axis=0), rtol=1e-10)


def test_float32_agrees_with_float64(make_model, make_video):
    single, double = make_model("float32"), make_model("float64")
    for a, b in zip(single.variables, double.variables, strict=True):
        b.assign(tf.cast(a, b.dtype))
    video = make_video()
    noise = np.random.default_rng(0).uniform(size=video.shape).astype(np.float32)
    np.testing.assert_allclose(
        single.bits_per_pixel(video, None, noise), double.bits_per_pixel(video, None, noise), rtol=1e-5
    )


# --- Options ---


def test_score_context_counts_every_frame(make_model, make_video):
    model, video = make_model(score_context=True), make_video(2, 5)
    noise = np.random.default_rng(1).uniform(size=video.shape)
    per_frame = model.frame_bits_per_pixel(video, None, noise)
    assert per_frame.shape == [2, 5]
    plain = make_model()
    np.testing.assert_allclose(per_frame[:, 2:], plain.frame_bits_per_pixel(video, 2, noise), rtol=1e-6)
    np.testing.assert_allclose(model.bits_per_pixel(video, None, noise), np.mean(per_frame, axis=1), rtol=1e-6)
    # A first frame is scored as an image.
    np.testing.assert_allclose(per_frame[:, :1], model.frame_bits_per_pixel(video[:, :1], None, noise[:, :1]))


def test_score_context_with_the_first_frame_encoded_twice(make_model, make_video):
    changes = {"latent_encoder": "conv2d", "condition_on_first_frame": True}
    model, video = make_model(score_context=True, **changes), make_video(2, 5)
    noise = np.random.default_rng(1).uniform(size=(2, 6, 8, 8, 3))
    per_frame = model.frame_bits_per_pixel(video, None, noise).numpy()
    assert per_frame.shape == (2, 5)
    np.testing.assert_allclose(per_frame[:, 1:], make_model(**changes).frame_bits_per_pixel(video, 1, noise), rtol=1e-6)
    # Both codings of the first frame are paid for.
    x = (video[:, [0, 0]] + noise[:, :2]) / 256 - 0.5
    bits = 8 - frame_log_probs(model.levels, tf.constant(x)) / (192 * LOG_2)
    np.testing.assert_allclose(per_frame[:, 0], np.sum(bits, axis=1), rtol=1e-6)


@pytest.mark.parametrize("top_prior", ["learned", "standard"])
def test_an_unconditional_model_scores_images(make_model, make_video, top_prior):
    model = make_model(conditional=False, num_context=0, num_train_frames=1, num_eval_frames=1, top_prior=top_prior)
    video = make_video(2, 4)
    noise = np.random.default_rng(1).uniform(size=video.shape)
    per_frame = model.frame_bits_per_pixel(video, None, noise)
    assert per_frame.shape == [2, 4]
    for t in range(4):
        alone = model.bits_per_pixel(video[:, t : t + 1], None, noise[:, t : t + 1])
        np.testing.assert_allclose(per_frame[:, t], alone, rtol=1e-6)
    turned = model.frame_bits_per_pixel(video[:, ::-1], None, noise[:, ::-1])
    np.testing.assert_allclose(turned, per_frame[:, ::-1], rtol=1e-6)
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
    np.testing.assert_array_equal(
        model.predict_frames(video[:, :2], 2, 0.0), plain.predict_frames(video[:, :2], 2, 0.0)
    )


def test_fewer_bits_ignore_the_lower_ones(make_model, make_video):
    model, video = make_model(n_bits=5), make_video()
    bits = model.bits_per_pixel(video)
    np.testing.assert_array_equal(model.bits_per_pixel(video // 8 * 8), bits)
    assert not np.allclose(model.bits_per_pixel(video // 16 * 16), bits)


@pytest.mark.parametrize("n_bits", [8, 3, 1])
def test_a_uniform_density_costs_the_bits_there_are(make_model, make_video, monkeypatch, n_bits):
    """Density 1 on the unit cube of the pixels: n bits a component, whatever the model."""
    model = make_model(n_bits=n_bits)
    flat = lambda _, frames, start, **kwargs: tf.zeros(frames.shape[:2])[:, start:]  # noqa: E731
    monkeypatch.setattr(video_flow, "frame_log_probs", flat)
    np.testing.assert_array_equal(model.bits_per_pixel(make_video()), [n_bits, n_bits])


def test_pixel_scaling_of_the_official_code(make_model, make_video):
    official, video = make_model(pixel_scaling="official"), make_video()
    noise = np.random.default_rng(1).uniform(size=video.shape)
    x = tf.constant(video / 255 - 0.5 + noise / 256)
    expected = 8 - official.future(x[:, :2], 2).log_prob(x[:, 2:]) / (2 * 192 * LOG_2)
    np.testing.assert_allclose(official.bits_per_pixel(video, None, noise), expected, rtol=1e-6)
    assert not np.allclose(make_model().bits_per_pixel(video, None, noise), expected)


def test_a_fixed_noise_makes_calls_repeat_and_a_seed_changes_it(make_model, make_video):
    model, video = make_model("float32"), make_video()
    first = model.bits_per_pixel(video)
    np.testing.assert_array_equal(model.bits_per_pixel(video), first)
    seeded = model.bits_per_pixel(video, seed=(4, 5))
    np.testing.assert_array_equal(model.bits_per_pixel(video, seed=(4, 5)), seeded)
    assert not np.array_equal(seeded, first)


@pytest.mark.parametrize(
    "option", [{"coupling_dropout": 0.5}, {"latent_dropout": 0.5}, {"latent_noise": 0.5}], ids=lambda o: next(iter(o))
)
def test_noise_and_dropout_are_for_training_alone(make_model, make_video, option):
    noisy, plain, video = make_model("float32", **option), make_model("float32"), make_video()
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
    calls = (
        model.bits_per_pixel,
        model.frame_bits_per_pixel,
        model.encode,
        model.initialize,
        lambda v: model.future(v, 2),
        lambda v: model.predict_frames(v, 2),
    )
    for call in calls:
        with pytest.raises(UserError, match=message) as caught:
            call(video)
        assert "\n" not in str(caught.value)


def test_continuous_frames_are_not_a_video(make_model, make_frames):
    """0..255 in floats, or frames already scaled: either way the numbers would mean nothing."""
    model, frames = make_model("float32"), make_frames().astype(np.float32)
    for call in (model.bits_per_pixel, lambda v: model.predict_frames(v, 2)):
        with pytest.raises(UserError, match="dtype uint8, got float32"):
            call(frames)


def test_too_few_frames(make_model, make_video):
    model = make_model()
    with pytest.raises(UserError, match="at least 3 frames, got 2"):
        model.bits_per_pixel(make_video(2, 2))
    with pytest.raises(UserError, match="at least 5 frames, got 4"):
        model.bits_per_pixel(make_video(2, 4), num_context=4)
    with pytest.raises(UserError, match="at least 1 frames?, got 0"):
        model.predict_frames(make_video(2, 2)[:, :0], 3)
    with pytest.raises(UserError, match="num_context"):
        model.bits_per_pixel(make_video(2, 4), num_context=-1)


@pytest.mark.parametrize("num_frames", [0, -1])
def test_no_frames_to_predict(make_model, make_video, num_frames):
    model = make_model()
    for call in (model.future, model.predict_frames):
        with pytest.raises(UserError, match=f"num_frames must be at least 1, got {num_frames}"):
            call(make_video(2, 2), num_frames)
    with pytest.raises(UserError, match=f"num_frames must be at least 1, got {num_frames}"):
        model.predict_frames(make_video(2, 2), tf.constant(num_frames))


@pytest.mark.parametrize(
    "shape",
    [(4, 8, 8, 3), (2, 3, 8, 8, 3), (2, 4, 8, 8, 1), (3, 4, 8, 8, 3)],
    ids=["rank", "frames", "channels", "batch"],
)
def test_dequantization_noise_of_another_shape(make_model, make_video, shape):
    model, video, noise = make_model("float32"), make_video(), np.zeros(shape, np.float32)
    calls = (
        lambda: model.bits_per_pixel(video, None, noise),
        lambda: model.future(video, 2, dequantization_noise=noise),
        lambda: model.predict_frames(video, 2, dequantization_noise=noise),
        lambda: model.encode(video, noise),
    )
    for call in calls:
        with pytest.raises(UserError, match="dequantization_noise") as caught:
            call()
        assert "\n" not in str(caught.value)


def test_a_diverged_model_raises_and_never_draws_black(make_model, make_video):
    model = make_model("float32")
    model.trainable_variables[0].assign(np.nan * model.trainable_variables[0])
    with pytest.raises(tf.errors.InvalidArgumentError, match="diverged"):
        model.predict_frames(make_video(2, 2), 2)
    assert np.isnan(model.bits_per_pixel(make_video())).all()
