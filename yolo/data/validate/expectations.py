"""The gate: Great Expectations runs the rules on the tables and documents what it found.

The only module that touches Great Expectations, whose import takes seconds: it happens in
functions. Nothing is sent anywhere, and the documents hold no times, so that the same data give
the same bytes.
"""

import os
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from yolo.data.validate import data_docs
from yolo.data.validate.rules import Check, OneOf, Outcome, Rule, Table

_ROW = "row"
# Shown beside an unexpected value, where the table has them.
_PLACE = ("file", "object")


def load() -> None:
    """Import Great Expectations with its telemetry off; the first time takes seconds."""
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    import great_expectations  # noqa: F401


def run(
    wanted: Sequence[Rule], tables: Mapping[str, Table], policies: Mapping[str, str]
) -> Outcome:
    """Check each table against its rules, all rows.

    Args:
        wanted: Rules on these tables; a table without any is left out.
        tables: Columns by the name of the table.
        policies: Action by rule: what would fail the stage is marked critical in the documents.
    """
    load()
    import great_expectations as gx
    from great_expectations.data_context.types.base import ProgressBarsConfig

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    source = context.data_sources.add_pandas("tables")
    found: dict[str, set[int]] = {rule.name: set() for rule in wanted}
    results = {}
    for name, table in tables.items():
        own = [rule for rule in wanted if rule.table == name]
        if not own:
            continue
        suite = gx.ExpectationSuite(name)
        for rule in own:
            for check in rule.checks:
                suite.add_expectation(_expectation(rule, check, policies))
        place = [_ROW, *(column for column in _PLACE if column in table)]
        batch = source.add_dataframe_asset(name).add_batch_definition_whole_dataframe("all")
        result = batch.get_batch(batch_parameters={"dataframe": _frame(table)}).validate(
            suite,
            result_format={
                "result_format": "COMPLETE",
                "unexpected_index_column_names": place,
                "return_unexpected_index_query": False,
            },
        )
        results[name] = result
        for one in result.results:
            found[_rule_name(one)].update(_rows(one))
    return Outcome([(rule, sorted(found[rule.name])) for rule in wanted], results)


def write_data_docs(folder: Path, parts: Sequence[tuple[str, Outcome]]) -> None:
    """Render the results as pages that need no network; `index.html` leads to them.

    Args:
        folder: Existing, empty.
        parts: Title (`published`) and outcome.
    """
    lines = []
    for title, outcome in parts:
        for table, result in outcome.results.items():
            page = f"{title}_{table}.html"
            text = _page(result, f"{title}: {table}")
            (folder / page).write_text(text, encoding="utf-8")
            lines.append(
                data_docs.Line(
                    page=page,
                    title=f"{title}: {table}",
                    expectations=result.statistics["evaluated_expectations"],
                    broken=result.statistics["unsuccessful_expectations"],
                )
            )
    (folder / "index.html").write_text(data_docs.index(lines), encoding="utf-8")


def _expectation(rule: Rule, check: Check, policies: Mapping[str, str]) -> Any:
    import great_expectations.expectations

    gxe: Any = great_expectations.expectations

    common: dict[str, Any] = {
        "meta": {"rule": rule.name},
        "description": f"{rule.name}: {rule.meaning}",
        "severity": "critical" if policies[rule.name] == "fail" else "warning",
    }
    if isinstance(check, OneOf):
        return gxe.ExpectColumnValuesToBeInSet(
            column=check.column, value_set=list(check.values), **common
        )
    return gxe.ExpectColumnValuesToBeBetween(
        column=check.column,
        min_value=check.minimum,
        max_value=check.maximum,
        strict_min=check.strict,
        **common,
    )


def _frame(table: Table) -> Any:
    """Data frame with a column `row`; text columns stay text when all their values are absent."""
    import pandas as pd

    columns: dict[str, Any] = {_ROW: range(len(next(iter(table.values()))))}
    for name, values in table.items():
        kinds = {type(value) for value in values}
        dtype = "int64" if kinds == {int} else "object" if str in kinds else "float64"
        columns[name] = pd.Series(list(values), dtype=dtype)
    return pd.DataFrame(columns)


def _rule_name(result: Any) -> str:
    return result.expectation_config.meta["rule"]


def _rows(result: Any) -> list[int]:
    if not result.success and "unexpected_index_list" not in result.result:
        raise RuntimeError(
            f"Great Expectations could not check {result.expectation_config.description} "
            f"{result.exception_info}"
        )
    return [int(place[_ROW]) for place in result.result.get("unexpected_index_list") or ()]


def _escaped(value: Any) -> Any:
    """The same with names of the data, which may hold anything, as HTML shows them."""
    if isinstance(value, Mapping):
        return {key: _escaped(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_escaped(inner) for inner in value]
    return escape(value) if isinstance(value, str) else value


def _page(result: Any, title: str) -> str:
    from great_expectations.render.renderer.page_renderer import ValidationResultsPageRenderer
    from great_expectations.render.view.view import DefaultJinjaSectionView

    # Load times and fingerprints change from run to run.
    result.meta.clear()
    for one in result.results:
        one.result = _escaped(one.result)
    document = ValidationResultsPageRenderer(run_info_at_end=True).render(result)
    view = DefaultJinjaSectionView()
    view.env.filters["generate_html_element_uuid"] = lambda prefix="": prefix
    # The first section repeats the counts beside dead links, the last one tells the run's time.
    sections: Any = document.to_json_dict()["sections"]
    return data_docs.page(
        title,
        bool(result.success),
        [
            view.render({"section": section, "section_loop": {"index": number}})
            for number, section in enumerate(sections[1:-1], 1)
        ],
    )
