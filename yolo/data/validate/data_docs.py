"""Frame of the Data Docs: what Great Expectations renders, readable without a network."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

# The names that Great Expectations gives the elements are Bootstrap's and Font Awesome's.
# The policy keeps the page from loading or running anything, whatever a file of the data is called.
_HEAD = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
body {{ font: 15px/1.5 system-ui, sans-serif; max-width: 64rem; margin: 2rem auto; padding: 0 1rem;
  color: #222; background: #fff; }}
table {{ border-collapse: collapse; margin: .5rem 0; }}
th, td {{ text-align: left; vertical-align: top; padding: .25rem .75rem .25rem 0;
  border-bottom: 1px solid #ddd; }}
h5, .alert {{ font-size: 1.1rem; margin: 1.5rem 0 .25rem; }}
.badge {{ background: #eee; border-radius: 3px; padding: 0 .3em; font-family: monospace; }}
.text-danger, .broken {{ color: #b00020; }}
.text-success, .kept {{ color: #1b6e2c; }}
.fa-check-circle::before {{ content: "✓"; }}
.fa-times::before, .fa-exclamation-triangle::before {{ content: "✗"; }}
</style>
</head>
<body>
"""
_TAIL = "</body>\n</html>\n"


@dataclass(frozen=True)
class Line:
    """One page in the index."""

    page: str
    title: str
    expectations: int
    broken: int


def page(title: str, success: bool, sections: Sequence[str]) -> str:
    """A page of rendered sections (HTML) under its title and status."""
    body = "\n".join(sections)
    return (
        _HEAD.format(title=escape(title))
        + f'<p><a href="index.html">all tables</a></p>\n<h1>{escape(title)}</h1>\n'
        + f"<p>{_status(0 if success else 1)}</p>\n"
        + "\n".join(line.strip() for line in body.splitlines() if line.strip())
        + "\n"
        + _TAIL
    )


def index(lines: Sequence[Line]) -> str:
    """The page that leads to the others."""
    rows = "\n".join(
        f'<tr><td><a href="{escape(line.page)}">{escape(line.title)}</a></td>'
        f"<td>{line.expectations}</td><td>{line.broken}</td><td>{_status(line.broken)}</td></tr>"
        for line in lines
    )
    return (
        _HEAD.format(title="Validation")
        + "<h1>Validation</h1>\n"
        + "<p>Published: the data as they came; rows that break an expectation are handled as "
        "<code>validate</code> in params.yaml says and listed in <code>rejected.csv</code>. "
        "Admitted: the clean data.</p>\n"
        + "<table>\n<tr><th>table</th><th>expectations</th><th>broken</th><th></th></tr>\n"
        + f"{rows}\n</table>\n{_TAIL}"
    )


def _status(broken: int) -> str:
    if broken:
        return '<span class="broken">✗ some rows break an expectation</span>'
    return '<span class="kept">✓ all rows keep the expectations</span>'
