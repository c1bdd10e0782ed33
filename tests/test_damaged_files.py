"""Readers, given any damage to a file: what it holds, or one line that says what is wrong, never another error."""

import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.conftest import TINY
from videoflow_tf import t2t
from videoflow_tf.data import clip_store
from videoflow_tf.data.recordings import Item, find_items, read_item
from videoflow_tf.errors import UserError
from videoflow_tf.metrics import measurements
from videoflow_tf.predictors.predictions import Predictions
from videoflow_tf.studies.fooling import score
from videoflow_tf.training.checkpoints import Checkpoints, find_checkpoint
from videoflow_tf.training.optimizer import make_optimizer
from videoflow_tf.training.validation import Validations
from videoflow_tf.weights import read_step, read_weights, weights_dtype, write_weights
from videoflow_tf.workdir import began_with, read_config, read_history

many = settings(
    max_examples=150, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
HPARAMS = Path(__file__).parent / "t2t" / "hparams.json"


def damaged(data: bytes) -> st.SearchStrategy[bytes]:
    """Bytes changed, put in or cut off."""
    place = st.integers(0, len(data))

    def change(edits: list[tuple[int, bytes, bool]], length: int) -> bytes:
        changed = data[:length]
        for at, new, insert in edits:
            changed = changed[:at] + new + changed[at if insert else at + len(new) :]
        return changed

    edits = st.lists(st.tuples(place, st.binary(min_size=1, max_size=4), st.booleans()), max_size=4)
    return st.builds(change, edits, st.just(len(data)) | place)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
deep = st.sampled_from([b"[" * 10**5, b"1" * 5000, b'{"a":' * 10**5, b"\xff", b"", b"-", b"NaN"])


def damaged_json(value) -> st.SearchStrategy[bytes]:
    """Of a value whose parts may be any others, or of which the text is damaged."""

    def with_part(paths: list[tuple], new) -> bytes:
        changed = json.loads(json.dumps(value))
        if not paths:
            return json.dumps(new).encode()
        *outer, last = paths
        holder = changed
        for key in outer:
            holder = holder[key]
        holder[last] = new
        return json.dumps(changed).encode()

    def paths_of(part, path=()) -> list[tuple]:
        inner = part.items() if isinstance(part, dict) else enumerate(part) if isinstance(part, list) else ()
        return [path, *(found for key, below in inner for found in paths_of(below, (*path, key)))]

    other = st.builds(with_part, st.sampled_from(paths_of(value)), json_values)
    return other | damaged(json.dumps(value, indent=2).encode()) | deep


def read_or_refused(read, *arguments):
    """What a reader gives; None where it says in one line what is wrong."""
    try:
        return read(*arguments)
    except UserError as error:
        assert "\n" not in str(error)
        return None


def npz(compress: bool) -> bytes:
    rng = np.random.default_rng(0)
    draw = lambda *shape: rng.integers(0, 256, [*shape, 2, 2, 1], dtype=np.uint8)  # noqa: E731
    stream = io.BytesIO()
    save = np.savez_compressed if compress else np.savez
    save(stream, context=draw(2, 1), samples=draw(2, 2, 3), future=draw(2, 3), temperature=0.5, seed=3)
    return stream.getvalue()


def npy(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def headed(shape, descr, version=(1, 0), data=b"") -> bytes:
    """An array whose header says anything, before any bytes."""
    text = repr({"descr": descr, "fortran_order": False, "shape": shape}).encode()
    length = len(text).to_bytes(2 if version == (1, 0) else 4, "little")
    return np.lib.format.magic(*version) + length + text + data


headers = st.builds(
    headed,
    st.lists(st.integers(-2, 3) | st.integers(), max_size=6).map(tuple) | json_values,
    st.sampled_from(["|u1", "<f4", "|O", "<U4", "|S0", "|V0", ">i8", "<M8[s]", "x", [("a", "|u1")], 3]),
    st.sampled_from([(1, 0), (2, 0), (3, 0), (4, 0)]),
    st.binary(max_size=30),
)


def zipped(members: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return stream.getvalue()


def measurement(data: bytes) -> bytes:
    return zipped({"measurement.npy": data})


names = st.sampled_from([f"{name}{end}" for name in ("context", "samples", "temperature") for end in ("", ".npy")])
archives = damaged(npz(False)) | damaged(npz(True)) | st.dictionaries(names, headers, max_size=4).map(zipped)


@many
@given(archives)
def test_predictions(tmp_path, data):
    path = tmp_path / "a.npz"
    path.write_bytes(data)
    predictions = read_or_refused(Predictions, path)
    if predictions is not None:
        clips = read_or_refused(list, predictions)
        assert clips is None or len(clips) == predictions.num_videos


@many
@example(headed((3,), "|S0"), "a.npy")  # Of elements without a byte.
@example(npz(False), "a.npy")
@given(archives | damaged(npy(np.zeros([3, 2, 2, 1], np.uint8))) | headers, st.sampled_from(["a.npy", "a.npz"]))
def test_arrays_in_a_folder_of_videos(tmp_path, data, name):
    path = tmp_path / name
    path.write_bytes(data)
    read = read_or_refused(read_item, Item(name, path, len(data), 0), (4, 4, 3), "crop")
    if read is not None:
        assert all(r.frames.shape[1:] == (4, 4, 3) and r.frames.dtype == np.uint8 for r in read[0])


@many
@given(damaged(measurement(npy(np.zeros([3, 2])))) | headers.map(measurement) | headers)
def test_measurements(tmp_path, data):
    """One that cannot be read is made again."""
    (tmp_path / "a.npz").write_bytes(data)
    found = measurements.load(tmp_path / "a.npz")
    assert found is None or isinstance(found, np.ndarray)


@many
@given(damaged_json(json.loads(TINY.to_json())))
def test_configuration(tmp_path, data):
    (tmp_path / "config.json").write_bytes(data)
    read_or_refused(read_config, tmp_path)


@many
@given(damaged_json(json.loads(HPARAMS.read_text())) | damaged_json({"hparams": {"depth": 2}, "frame_size": 8}))
def test_official_hyperparameters(tmp_path, data):
    (tmp_path / "hparams.json").write_bytes(data)
    hparams = read_or_refused(t2t.read_hparams, tmp_path / "hparams.json")
    if hparams is not None:
        read_or_refused(t2t.config_from_hparams, hparams)
        read_or_refused(t2t.ignored_names, hparams)


@many
@given(damaged_json({"2": 1.5, "4": None, "6": 1.25}))
def test_record_of_validations(tmp_path, data):
    (tmp_path / "validation.json").write_bytes(data)
    validations = read_or_refused(Validations, tmp_path, 5)
    if validations is not None:
        assert validations.best is None or validations.best[0] <= 5


@many
@given(damaged_json([{"step": 0, "time": "now", "init_from": "a"}, {"step": 4, "argv": ["launch/train.py"]}]))
def test_history(tmp_path, data):
    (tmp_path / "history.json").write_bytes(data)
    read_or_refused(began_with, tmp_path)
    for start in read_or_refused(read_history, tmp_path) or ():
        assert isinstance(start["step"], int)


@many
@given(damaged_json({"study": "a", "visitor": "b", "answers": [{"generated": True, "answer": "real"}] * 2}))
def test_answers_of_a_study(tmp_path, data):
    (tmp_path / "a.json").write_bytes(data)
    read_or_refused(score, [tmp_path / "a.json"])


@pytest.fixture(scope="module")
def model(make_model):
    return make_model("float32")


@pytest.fixture(scope="module")
def run(model, tmp_path_factory):
    """A workdir with two checkpoints."""
    folder = tmp_path_factory.mktemp("run")
    optimizer = make_optimizer(TINY)
    saved = Checkpoints(model, optimizer, folder)
    for step in (1, 2):
        model.step.assign(step)
        saved.save()
    return folder


@many
@given(st.data())
def test_tensorflows_list_of_checkpoints(run, model, data):
    """Whatever is in it: the checkpoints are those that are there, and a run can go on."""
    file = run / "checkpoints" / "checkpoint"
    whole = file.read_bytes()
    try:
        file.write_bytes(data.draw(damaged(whole)))
        assert find_checkpoint(run)[1] == 2
        Checkpoints(model, make_optimizer(TINY), run)
        assert find_checkpoint(run)[1] == 2
    finally:
        file.write_bytes(whole)


@settings(many, max_examples=40)
@given(st.data())
def test_checkpoint(run, data):
    """Of a damaged newest one the one before is used, or it is not damaged where it counts."""
    name = data.draw(st.sampled_from(["ckpt-2.index", "ckpt-2.data-00000-of-00001"]))
    file = run / "checkpoints" / name
    whole = file.read_bytes()
    try:
        file.write_bytes(data.draw(damaged(whole)))
        assert find_checkpoint(run)[1] in (1, 2)
    finally:
        file.write_bytes(whole)


@pytest.fixture(scope="module")
def weights(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "model.safetensors"
    write_weights(model, path)
    return path.read_bytes()


@many
@given(st.data())
def test_weights(model, weights, tmp_path, data):
    """Above all what says where they are."""
    header = 8 + int.from_bytes(weights[:8], "little")
    path = tmp_path / "model.safetensors"
    path.write_bytes(data.draw(damaged(weights[:header])) + weights[header:])
    if read_or_refused(read_step, path) is not None:
        read_or_refused(weights_dtype, path)
        read_or_refused(read_weights, model, path)


@pytest.fixture(scope="module")
def cached(tmp_path_factory):
    """A function that decodes a video or finds it in a cache, and the files of the cache."""
    folder = tmp_path_factory.mktemp("cached")
    (folder / "videos").mkdir()
    np.save(folder / "videos" / "a.npy", np.zeros([3, 4, 4, 3], np.uint8))
    items, cache = tuple(find_items(folder / "videos")[0]), folder / "cache"

    def decode() -> np.ndarray:
        (found,) = clip_store.decode_all.__wrapped__(items, (4, 4, 3), "crop", str(cache))
        return found.recordings[0].frames

    decode()
    return decode, sorted(cache.iterdir())


@many
@given(st.data())
def test_cache_of_decoded_videos(cached, data):
    """What is damaged is decoded again."""
    decode, files = cached
    file = data.draw(st.sampled_from(files))
    whole = file.read_bytes()
    try:
        form = damaged_json(json.loads(whole)) if file.suffix == ".json" else damaged(whole) | headers
        file.write_bytes(data.draw(form))
        assert decode().shape == (3, 4, 4, 3)
    finally:
        file.write_bytes(whole)
