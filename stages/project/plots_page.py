"""Make `dvc plots show` work offline: an HTML template for DVC that contains its scripts.

    python -m stages.project.plots_page

DVC's own page loads Vega from a public server and stays blank offline. Here the scripts come from
the package vl-convert. `make setup` writes the page into the environment and sets it in
`.dvc/config.local`, which belongs to this clone alone.
"""

import os
import subprocess
import sys
from pathlib import Path

from stages.common.entry import run
from yolo.errors import UserError
from yolo.files import replacing

PAGE = Path(sys.prefix) / "plots.html"
_TEXT = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Plots</title>
<link rel="icon" href="data:,">
{refresh_tag}
<style>
body { margin: 16px; font: 15px/1.4 system-ui, sans-serif; }
body { display: flex; flex-wrap: wrap; gap: 24px; align-items: flex-start; }
body > div { min-width: 0; max-width: 100%; overflow-x: auto; }
img { max-width: 100%; height: auto; }
</style>
<script>(() => { {vega} })()</script>
</head>
<body>
{plot_divs}
</body>
</html>
"""


def page() -> str:
    """Return the template for DVC's `plots.html_template`, with DVC's placeholders in it."""
    import vl_convert

    scripts = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;", vl_version="5.21")
    return _TEXT.replace("{vega}", scripts)


def main() -> None:
    """Write the page and set it in DVC's local configuration."""
    with replacing(PAGE) as temporary:
        temporary.write_text(page(), encoding="utf-8")
    relative = os.path.relpath(PAGE, Path(".dvc"))
    command = [sys.executable, "-m", "dvc", "config", "--local", "plots.html_template", relative]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise UserError(f"`{' '.join(command)}` failed: {done.stderr.strip()}")


if __name__ == "__main__":
    run(main)
