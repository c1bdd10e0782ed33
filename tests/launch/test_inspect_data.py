import re

from tests.checks import mounted


def test_a_folder_that_cannot_be_written_is_said_before_the_work(error, tmp_path):
    """Not even a line about the data is printed."""
    (tmp_path / "file").touch()
    line = error("inspect_data", "--preset=demo", f"--output_dir={tmp_path / 'file' / 'x'}")
    assert line == f"error: cannot write to {tmp_path}/file/x: {tmp_path}/file is a file; name a folder\n"
    with mounted(tmp_path / "fixed", "ro"):
        line = error("inspect_data", "--preset=demo", f"--output_dir={tmp_path / 'fixed'}")
    assert line.startswith(f"error: cannot write to {tmp_path}/fixed: {tmp_path}/fixed is read-only for this user")


def test_generated_videos_and_flags(output, error, tmp_path):
    where = f"--output_dir={tmp_path}"
    lines = output("inspect_data", "--preset=demo", "--channels=1", where).splitlines()
    assert lines[0] == "Data: shapes: generated, any number of videos"
    (sheet,) = tmp_path.iterdir()
    assert lines[-1] == str(sheet) and re.fullmatch(r"contact_sheet_[0-9a-f]{16}\.png", sheet.name)
    assert "100% without colour" in lines[1]
    line = error("inspect_data", "--preset=demo", "--camera=image_aux1", where)
    assert "camera=image_aux1 has no effect on dataset=shapes, only on bair; leave it out" in line
