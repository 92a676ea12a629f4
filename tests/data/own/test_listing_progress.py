"""Listing a folder says how far it is."""

from isavae.data.own import image_listing


def test_listing_a_folder_shows_its_progress(tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr(
        image_listing.ProgressLine, "__call__", lambda self, text: said.append(text)
    )
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x.png").touch()
    image_listing.walk(tmp_path)
    assert said[-1] == f"listing {tmp_path.name}: 1 files, 1 images"
