"""The exit code of `isavae study run`."""

from types import SimpleNamespace

import pytest

from isavae.cli import studies

pytestmark = pytest.mark.system


@pytest.mark.parametrize(("failed", "code"), [((), 0), (("a-run",), 1)])
def test_a_study_with_failed_runs_exits_non_zero(tmp_path, monkeypatch, capsys, failed, code):
    progress = SimpleNamespace(done=1, total=2, failed=failed, stopped=False)
    monkeypatch.setattr(studies, "run_study", lambda *args, **kwargs: progress)
    assert studies.run("smoke", str(tmp_path / "out"), workers=1) == code
    said = capsys.readouterr().out
    assert (f"why: isavae study status {tmp_path}/out" in said) == bool(failed)
    assert f"next: isavae study results {tmp_path}/out" in said
