import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import tensorflow as tf

from tests.checks import run_python
from tests.commands import run_program
from videoflow_tf import data
from videoflow_tf.config import PARTS, VideoFlowConfig
from videoflow_tf.errors import memory_fault
from videoflow_tf.hub.card import model_card
from videoflow_tf.units import BITS_UNIT
from videoflow_tf.workdir import read_config

ROOT = Path(__file__).parent.parent.parent
COMMANDS = ("train", "evaluate", "sample", "export", "interpolate", "anomaly", "explore", "report")


@pytest.mark.parametrize("name", COMMANDS)
def test_help_shows_the_commands_own_flags(command, name):
    done = command(name, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert "--workdir" in done.stdout and f"python launch/{name}.py" in done.stdout


def test_help_of_train_shows_every_field_and_its_choices(command):
    text = command("train", "--help").stdout
    options, *parts = text.split("\nconfiguration of the ")
    assert "--preset:" in options and len(parts) == len(PARTS)
    for section, (part, names) in zip(parts, PARTS.items(), strict=True):
        assert section.startswith(f"{part} (default: the preset's value, in brackets):")
        assert re.findall(r"(?m)^  --(\w+):", section) == list(names)
    assert "<conv3d|conv2d|conv_lstm|pointwise>" in text
    assert "flow steps per level [bair, bair_quality, shapes: 24; demo: 2]" in text
    assert "(RGB), or 1 (grey) [3]" in text


def run_without_tensorflow(name, *arguments, **environment):
    """The finished process of a command that must not import it."""
    script = f"""
import runpy, sys
sys.argv = ["launch/{name}.py", *sys.argv[1:]]
sys.path.insert(0, "launch")
try:
    runpy.run_path(sys.argv[0], run_name="__main__")
finally:
    assert "tensorflow" not in sys.modules
"""
    return run_python("-c", script, *arguments, env={**os.environ, "PYTHONPATH": str(ROOT), **environment})


@pytest.mark.parametrize("name", COMMANDS)
def test_help_and_flag_errors_do_not_wait_for_tensorflow(name):
    for argument, status in (("--help", 0), ("--no_such_flag", 2)):
        done = run_without_tensorflow(name, argument)
        assert done.returncode == status, done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["evaluate", "--workdir=w", "--metrics=psnr,vgg_cosine"], "VGG16 needs --vgg_weights: download https://"),
        (["evaluate", "--predictions=p", "--metrics=vgg_diversity", "--vgg_weights=x"], "VGG16 finds no file --vgg_we"),
        (["evaluate", "--workdir=w", "--metrics=fvd"], "FVD needs the network I3D: run launch/prepare_i3d.py once"),
        (["evaluate", "--self_check", "--i3d_path=x"], "FVD finds no SavedModel in --i3d_path=x: run launch/prepare"),
        (["compare", "--workdirs=w", "--output_dir=o", "--metrics=lpips"], "LPIPS needs its networks: run launch/prep"),
    ],
)
def test_missing_networks_do_not_wait_for_tensorflow(tmp_path, arguments, message):
    done = run_without_tensorflow(*arguments, XDG_CACHE_HOME=str(tmp_path))
    assert done.returncode == 2 and done.stderr.startswith(f"error: {message}"), done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--dept=3"], "Unknown command line flag 'dept'. Did you mean: depth ?"),
        (["--depth=deep"], "invalid literal for int() with base 10: 'deep'"),
        (["--coupling=afine"], "value should be one of <affine|additive>"),
        (["--preset=bear"], "value should be one of <bair|"),
        (["--flagfile=missing.flags"], "Unable to open flagfile"),
        # A name that a flagfile here has, of another folder, is not that one.
        (["--flagfile=/no/such/place/demo.flags"], "No such file or directory: '/no/such/place/demo.flags'"),
        (["--flagfile", "no/launch/demo.flags"], "No such file or directory: 'no/launch/demo.flags'"),
        (["--preset=demo", "leftover"], "unexpected argument 'leftover'"),
        (["--preset=demo", "--depth=0"], "depth must be at least 1, got 0"),
        (["--preset=demo", "--frame_size=60"], "frame_size=60 does not divide"),
        (["--preset=demo", "--latent_dilations=1,x"], "--latent_dilations=1,x must be whole numbers"),
        ([], "no configuration: give --flagfile"),
        (["--preset=bair"], "--data_dir"),
        # The configuration is that of the model that it begins with.
        (["--init_from=shapes_two_frames", "--depth=3"], "another architecture: depth (4 there, 3 here)"),
        (["--init_from=missing"], "missing is not a workdir"),
    ],
)
def test_mistakes_are_one_line_and_write_nothing(error, tmp_path, arguments, message):
    assert message in error("train", f"--workdir={tmp_path / 'run'}", *arguments)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", COMMANDS)
def test_workdir_is_required(error, name):
    assert error(name).startswith("error: --workdir is required")


@pytest.mark.parametrize("name", COMMANDS[1:])
def test_workdir_that_is_none(error, name, tmp_path):
    assert error(name, f"--workdir={tmp_path}").startswith(f"error: {tmp_path} is not a workdir")
    assert not list(tmp_path.iterdir())


# Every flag that names a file or a folder.
PATHS = {
    "train": ["workdir", "data_dir", "init_from"],
    "evaluate": ["workdir", "data_dir", "output_dir", "vgg_weights", "i3d_path"],
    "sample": ["workdir", "data_dir", "output_dir"],
    "export": ["workdir", "output_dir"],
    "interpolate": ["workdir", "data_dir", "output_dir"],
    "anomaly": ["workdir", "data_dir", "output_dir", "video_file"],
    "report": ["workdir", "output_dir"],
    "fooling_study": ["workdir", "data_dir", "output_dir"],
    "import_t2t": ["checkpoint", "hub_module", "hparams", "workdir"],
    "prepare_bair": ["data_dir", "archive"],
    "prepare_i3d": ["archive"],
    "prepare_lpips": ["archive"],
}


@pytest.mark.parametrize("name", PATHS)
def test_paths_are_of_this_machine_and_know_the_home(name):
    script = f"""
import importlib, json, sys
sys.path.insert(0, "launch")
import cli
importlib.import_module("{name}")
paths = {PATHS[name]}
cli.FLAGS(["x", *(f"--{{path}}=~/a" for path in paths)])
print(json.dumps([cli.FLAGS[path].value for path in paths]))
for path in paths:
    try:
        cli.FLAGS(["x", f"--{{path}}=gs://bucket/a"])
    except cli.flags.Error as error:
        print(error)
"""
    environment = {**os.environ, "HOME": "/home/me"}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, env=environment)
    assert done.returncode == 0, done.stderr
    found, *refusals = done.stdout.splitlines()
    assert json.loads(found) == ["/home/me/a"] * len(PATHS[name])
    assert len(refusals) == len(PATHS[name])
    assert all("gs://bucket/a is an address" in refusal for refusal in refusals)


# A flagfile gives its preset, or the configuration of a model in pretrained/.
FLAGFILES = {name: VideoFlowConfig.preset(name) for name in ("bair", "bair_quality", "shapes", "demo")}
FLAGFILES["shapes_one_frame"] = read_config(ROOT / "pretrained/shapes")
FLAGFILES["shapes_64"] = read_config(ROOT / "pretrained/shapes_64")
FLAGFILES["shapes_64_one_frame"] = read_config(ROOT / "pretrained/shapes_64_one_frame")
FLAGFILES["shapes_two_frames"] = read_config(ROOT / "pretrained/shapes_two_frames")


@pytest.mark.parametrize("name", FLAGFILES)
def test_flagfiles_say_what_they_reproduce_and_give_it(name):
    script = f"""
import sys
sys.path.insert(0, "launch")
import cli
import train
cli.FLAGS(["x", "--flagfile=launch/{name}.flags", "--workdir=w"])
print(cli.config_from_flags().to_json())
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT)
    assert VideoFlowConfig.from_json(done.stdout) == FLAGFILES[name]
    with open(ROOT / f"launch/{name}.flags") as file:
        assert file.readline().startswith("# ")


@pytest.mark.parametrize("name", ["shapes", "shapes_64", "shapes_64_one_frame", "shapes_two_frames"])
def test_the_card_of_a_trained_model_is_the_one_that_is_made_and_its_commands_have_the_architecture(name):
    folder = ROOT / "pretrained" / name
    config, text = read_config(folder), (folder / "README.md").read_text()
    use = re.compile(r"(?s)## Use\n(.*)## Figures")
    assert use.search(text)[1] == use.search(model_card(config, 1, 1))[1]
    words = shlex.split(re.search(r"(?m)^ +python launch/train.py (.*)", text)[1])
    more = re.search(r"begins with its\nweights by the command above and `(.*)`", text)[1].split()
    script = """
import sys
sys.path.insert(0, "launch")
import train
train.cli.FLAGS(sys.argv)
flags = train.cli.FLAGS
print(flags.workdir, flags.init_from, train.cli.config_from_flags().to_json())
"""
    done = run_python("-c", script, *words, *more, check=True)
    workdir, begins_with, given = done.stdout.split(maxsplit=2)
    assert (workdir, begins_with, VideoFlowConfig.from_json(given)) == ("NEW", "FOLDER", config)


def test_a_flagfile_of_the_home_is_that_one(error, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "demo.flags").write_text("--preset=demo\n--depth=0\n")
    for words in (["--flagfile=~/demo.flags"], ["--flagfile", "~/demo.flags"]):
        assert "depth must be at least 1, got 0" in error("train", f"--workdir={tmp_path / 'run'}", *words)


@pytest.mark.parametrize("name", ["demo.flags", "launch/demo.flags"])
def test_a_flagfile_that_comes_with_the_package_is_found_from_everywhere(command, tmp_path, name):
    done = command("train", f"--workdir={tmp_path / 'run'}", f"--flagfile={name}", "--depth=0", cwd=tmp_path)
    assert "depth must be at least 1, got 0" in done.stderr


def test_a_printed_path_that_is_not_utf_8_is_as_the_system_has_it(tmp_path):
    answers = [{"generated": generated, "answer": "real"} for generated in (True, False)]
    (tmp_path / "a.json").write_text(json.dumps({"study": "s", "visitor": "a", "answers": answers}))
    words = ("score", tmp_path / "a.json", f"--output_dir={tmp_path / 'out-'}\udcff")
    done = run_python(ROOT / "launch/fooling_study.py", *words, errors="surrogateescape")
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.splitlines()[-1]).is_file()


def test_flags_override_the_flagfile_and_a_saved_configuration():
    script = """
import sys
sys.path.insert(0, "launch")
import cli
from videoflow_tf.config import PARTS, VideoFlowConfig
from videoflow_tf.workdir import read_config
cli.define_config_flags()
cli.FLAGS(["x", "--depth=2", "--latent_dilations=1,2", "--nolatent_skip", "--learning_rate=0.5"])
saved = VideoFlowConfig(seed=9)
print(cli.config_from_flags(saved).to_json())
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT)
    expected = VideoFlowConfig(seed=9, depth=2, latent_dilations=(1, 2), latent_skip=False, learning_rate=0.5)
    assert VideoFlowConfig.from_json(done.stdout) == expected


@pytest.mark.parametrize(
    ("failure", "line"),
    [
        ("OSError(28, 'No space left on device', 'a/b')", "error: No space left on device: a/b\n"),
        ("OSError('24 requested and 0 written')", "error: No space left on device\n"),
        (
            "tf.errors.NotFoundError(None, None, 'x.tfrecord; No such file')",
            "error: a file cannot be read any more: x.",
        ),
        ("tf.errors.DataLossError(None, None, 'corrupted record at 7\\n [[graph]]')", "error: a file .* at 7\n"),
        ("MemoryError", "error: there is not enough memory: close other programs"),
    ],
)
def test_a_file_that_fails_in_the_middle_is_one_line(tmp_path, failure, line):
    """A full disk, a dataset that is deleted meanwhile, a damaged one."""
    program = tmp_path / "program.py"
    program.write_text(f"""
import cli
def main():
    import tensorflow as tf
    raise {failure}
cli.run(main)
""")
    done = run_program(program)
    last = done.stderr.splitlines(keepends=True)[-1]
    assert done.returncode == 2 and re.match(line, last) and "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "cure"),
    [
        (["sample", "--workdir=shapes_two_frames", f"--num_samples={1 << 45}"], "give fewer --num_samples"),
        # TensorFlow's own error, in reading the clips, which waits ten seconds for each of them to be freed.
        pytest.param(
            ["train", "--preset=demo", "--depth=1", f"--init_batch_size={1 << 45}"],
            "give --recompute=step, --accumulate",
            marks=pytest.mark.slow,
        ),
    ],
    ids=["sample", "train"],
)
def test_too_little_memory_is_one_line_with_the_cure(command, tmp_path, arguments, cure):
    """More than can be addressed."""
    where = "--workdir" if arguments[0] == "train" else "--output_dir"
    done = command(*arguments, f"{where}={tmp_path / 'run'}")
    assert done.stderr.splitlines()[-1].startswith(f"error: there is not enough memory: {cure}")
    assert done.returncode == 2 and "Traceback" not in done.stderr


@pytest.mark.slow
def test_memory_alone_is_what_is_said_of_it():
    """TensorFlow has one class for that, a full disk and too many open files."""
    with pytest.raises(tf.errors.ResourceExhaustedError) as caught:
        next(iter(tf.data.Dataset.range(1).map(lambda i: tf.zeros([1 << 45]))))
    assert "IteratorGetNext" in caught.value.message and data.reading_fault(caught.value) is None
    assert memory_fault(caught.value, "less") == "there is not enough memory: less"
    full = tf.errors.ResourceExhaustedError(None, None, "runs/memory; No space left on device")
    assert memory_fault(full, "less") is None


def test_control_characters_do_not_reach_the_terminal():
    script = 'import sys; sys.path.insert(0, "launch"); import cli\ncli.run(lambda: open("\\x1b[31m\\n\\udcff"))'
    done = run_python("-c", script)
    assert done.stderr == "error: No such file or directory: \\x1b[31m \\udcff\n"


@pytest.mark.parametrize("name", [path.stem for path in sorted((ROOT / "launch").glob("*.py")) if path.stem != "cli"])
def test_help_says_what_bits_are_counted_by(output, name):
    text = " ".join(output(name, "--help").split())
    assert BITS_UNIT in text or not re.search("bits.per.pixel", text)
