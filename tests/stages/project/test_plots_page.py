"""`dvc plots show` in a browser that reaches no network."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright

from stages.project import plots_page

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "chrome"))), None)
PIPELINE = """\
plots:
  - Loss:
      x: batch
      y:
        curves.csv: [loss, coord]
  - Precision:
      template: by_class
      x: recall
      y:
        curves.csv: loss
  - Errors:
      template: errors
      x: count
      y:
        errors.csv: class
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A DVC project with three plots and this project's own template, the current folder."""
    templates = Path(__file__).resolve().parents[3] / ".dvc/plots"
    shutil.copytree(templates, tmp_path / ".dvc/plots")
    (tmp_path / ".dvc/config").write_text("[core]\n    no_scm = true\n    analytics = false\n")
    (tmp_path / "dvc.yaml").write_text(PIPELINE)
    (tmp_path / "curves.csv").write_text(
        "batch,loss,coord,recall,class\n1,0.9,0.5,0.1,cat\n2,0.4,0.3,0.7,cat\n"
    )
    (tmp_path / "errors.csv").write_text("class,kind,count\ncat,correct,3\ncat,other,1\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(plots_page, "PAGE", tmp_path / "page.html")
    return tmp_path


@pytest.mark.skipif(BROWSER is None, reason="no Chromium; `apt-get install chromium` brings it")
def test_plots_are_drawn_without_a_network(project: Path) -> None:
    plots_page.main()
    subprocess.run([sys.executable, "-m", "dvc", "plots", "show"], check=True, capture_output=True)
    asked: list[str] = []
    errors: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        page = browser.new_page()
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto((project / "dvc_plots/index.html").as_uri())
        page.wait_for_function("document.querySelectorAll('canvas, svg.marks').length == 3")
        browser.close()
    assert not errors
    assert not [url for url in asked if url.startswith("http")]


def test_other_local_settings_of_dvc_stay(project: Path) -> None:
    local = project / ".dvc/config.local"
    local.write_text("[core]\n    remote = mine\n")
    plots_page.main()
    assert "remote = mine" in local.read_text()
    assert "html_template = ../page.html" in local.read_text()
