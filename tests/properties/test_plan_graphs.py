"""The plan of random pipelines and edits: what it announces is what DVC then runs."""

import shutil
import tempfile
from contextlib import chdir
from pathlib import Path

from dvc.repo import Repo
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from stages.repro.plan import read_plan


@st.composite
def graphs(draw: st.DrawFn) -> dict[str, list[str]]:
    """Stages and those above each, all earlier ones."""
    count = draw(st.integers(1, 5))
    return {
        f"s{number}": sorted(draw(st.sets(st.sampled_from([f"s{i}" for i in range(number)]))))
        if number
        else []
        for number in range(count)
    }


def write(graph: dict[str, list[str]]) -> None:
    """Each stage joins its source and the outs of the stages above it."""
    stages = {}
    for name, above in graph.items():
        Path(f"{name}.source").write_text("0\n")
        deps = [f"{name}.source", *(f"{other}.out" for other in above)]
        stages[name] = {
            "cmd": f"cat {' '.join(deps)} > {name}.out",
            "deps": deps,
            "params": [name],
            "outs": [f"{name}.out"],
        }
    YAML().dump({"stages": stages}, Path("dvc.yaml"))
    YAML().dump(dict.fromkeys(graph, 0), Path("params.yaml"))
    Path(".dvc").mkdir()
    Path(".dvc/config").write_text("[core]\n    no_scm = true\n    analytics = false\n")


def ran() -> set[str]:
    with Repo() as repo:
        return {stage.addressing for stage in repo.reproduce()}


@settings(max_examples=4)
@given(graphs(), st.data())
def test_what_runs_is_what_the_plan_announces(graph: dict[str, list[str]], data) -> None:
    names = st.sets(st.sampled_from(sorted(graph)))
    sources, parameters, lost = data.draw(names), data.draw(names), data.draw(names)
    folder = tempfile.mkdtemp()
    try:
        with chdir(folder):
            write(graph)
            assert {stage.name for stage in read_plan().stages if stage.stale} == set(graph)
            assert ran() == set(graph)
            assert not any(stage.stale for stage in read_plan().stages)
            for name in sources:
                Path(f"{name}.source").write_text("1\n")
            YAML().dump({name: int(name in parameters) for name in graph}, Path("params.yaml"))
            for name in lost:
                Path(f"{name}.out").unlink()
            plan = read_plan()
            stale = {stage.name for stage in plan.stages if stage.stale}
            below = plan.below_stale()
            done = ran()
            left = {stage.name for stage in read_plan().stages if stage.stale}
    finally:
        shutil.rmtree(folder)
    assert stale == sources | parameters | lost
    # A source that changes, changes all outs below it; a parameter changes no byte here.
    affected = set(sources)
    for name, above in graph.items():
        if affected & set(above):
            affected.add(name)
    assert stale | affected <= done <= stale | below
    assert left == set()
