"""Over random configurations: JSON and back."""

import dataclasses
import json

from hypothesis import given, settings
from hypothesis import strategies as st

from videoflow_tf.config import PRESETS, VideoFlowConfig, choices_of
from videoflow_tf.errors import UserError

few = settings(max_examples=50, deadline=None, derandomize=True)


def values(field: dataclasses.Field) -> st.SearchStrategy:
    """Of the type of a field, most of them within its bounds."""
    choices = choices_of(field.name)
    if choices is not None:
        return st.sampled_from(choices)
    if isinstance(field.default, bool):
        return st.booleans()
    if isinstance(field.default, tuple):
        return st.lists(st.integers(1, 8), min_size=1, max_size=4)
    if isinstance(field.default, float):
        return st.floats(-1, 1)
    least, most = field.metadata["least"], min(field.metadata["most"], 2**70)
    return st.integers(least, most) | st.integers(least, min(most, least + 8))


changes = st.lists(
    st.sampled_from(dataclasses.fields(VideoFlowConfig)), max_size=3, unique_by=lambda f: f.name
).flatmap(lambda fields: st.fixed_dictionaries({f.name: values(f) for f in fields}))


@few
@given(st.sampled_from(sorted(PRESETS)), changes)
def test_json_and_back(preset, changes):
    """A configuration comes back as it was, or there is none: the values are refused in one line."""
    try:
        config = VideoFlowConfig.preset(preset).replace(**changes)
    except UserError as error:
        assert "\n" not in str(error)
        return
    text = config.to_json()
    assert VideoFlowConfig.from_json(text) == config and hash(VideoFlowConfig.from_json(text)) == hash(config)
    assert VideoFlowConfig.from_json(text).to_json() == text
    changed = {name: value for name, (_, value) in VideoFlowConfig.preset(preset).differences(config).items()}
    assert VideoFlowConfig.preset(preset).replace(**changed) == config


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@few
@given(st.sampled_from([f.name for f in dataclasses.fields(VideoFlowConfig)]), json_values)
def test_any_json_is_a_configuration_or_refused_in_one_line(name, value):
    for text in (json.dumps({name: value}), json.dumps(value)):
        try:
            VideoFlowConfig.from_json(text)
        except UserError as error:
            assert "\n" not in str(error)
