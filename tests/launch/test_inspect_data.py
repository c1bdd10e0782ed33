def test_generated_videos_and_flags(output, error, tmp_path):
    where = f"--output_dir={tmp_path}"
    lines = output("inspect_data", "--preset=demo", "--channels=1", where).splitlines()
    assert lines[0] == "Data: shapes: generated, any number of videos" and lines[-1] == f"{tmp_path}/contact_sheet.png"
    assert "100% without colour" in lines[1]
    line = error("inspect_data", "--preset=demo", "--camera=image_aux1", where)
    assert "camera=image_aux1 has no effect on dataset=shapes, only on bair; leave it out" in line
