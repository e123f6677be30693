"""The files that others read: deployments, job templates, the task file for GPU marketplaces."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from prefect.cli.deploy._triggers import DeploymentTriggerAdapter
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.utilities.schema_tools.validation import ValidationError, validate
from prefect.utilities.templating import apply_values, find_placeholders
from ruamel.yaml import YAML

from stages.flow.flow import reproduce
from stages.flow.job_template import default_template, job_template, overlay
from yolo.errors import UserError

ROOT = Path(__file__).resolve().parents[3]
TEMPLATES = ("kubernetes", "ecs")


def read(path: str) -> Any:
    return YAML(typ="safe", pure=True).load(ROOT / path)


@pytest.fixture(scope="module")
def deployments() -> dict[str, Any]:
    return {one["name"]: one for one in read("prefect.yaml")["deployments"]}


def test_each_deployment_gives_the_flow_parameters_that_it_has(deployments: dict[str, Any]) -> None:
    assert set(deployments) == {"nightly", "on-demand", "gpu-kubernetes", "gpu-ecs"}
    for one in deployments.values():
        reproduce.validate_parameters(one["parameters"])
        assert one["parameters"]["record"] == "branch"


def test_new_data_starts_the_nightly_run(deployments: dict[str, Any]) -> None:
    (trigger,) = deployments["nightly"]["triggers"]
    found = DeploymentTriggerAdapter.validate_python(trigger)
    assert (found.posture.value, found.expect) == ("Reactive", {"yolov1.data.changed"})
    assert all(one["parameters"]["update"] for one in deployments.values())


def test_the_nightly_run_is_alone(deployments: dict[str, Any]) -> None:
    assert deployments["nightly"]["concurrency_limit"]["limit"] == 1
    assert deployments["nightly"]["schedules"] == [{"cron": "0 2 * * *", "timezone": "UTC"}]


@pytest.mark.parametrize("kind", TEMPLATES)
def test_every_placeholder_of_a_job_template_is_declared(kind: str) -> None:
    template = job_template(kind)
    used = {one.name for one in find_placeholders(template["job_configuration"])}
    assert used <= set(template["variables"]["properties"])


@pytest.mark.parametrize("kind", TEMPLATES)
def test_deployments_set_only_variables_that_their_template_has(
    kind: str, deployments: dict[str, Any]
) -> None:
    template = job_template(kind)
    given = deployments[f"gpu-{kind}"]["work_pool"]["job_variables"]
    assert set(given) <= set(template["variables"]["properties"])


@pytest.mark.parametrize("kind", TEMPLATES)
def test_a_file_holds_only_what_differs_from_prefects_default(kind: str) -> None:
    ours = json.loads((ROOT / "cloud" / f"{kind}.json").read_text())
    base = default_template(kind)
    assert overlay(base, ours) == job_template(kind) != base

    def repeated(base: Any, ours: Any, path: str = "") -> list[str]:
        if isinstance(base, dict) and isinstance(ours, dict):
            pairs = {key: (base.get(key), value) for key, value in ours.items()}
        elif isinstance(base, list) and isinstance(ours, list):
            pairs = dict(enumerate(zip(base, ours, strict=False)))
        else:
            return [path] if base == ours else []
        return [one for key, pair in pairs.items() for one in repeated(*pair, f"{path}/{key}")]

    assert repeated(base, ours) == []


@pytest.mark.parametrize("kind", TEMPLATES)
def test_a_job_rendered_with_a_deployments_variables_fits_prefects_schema(
    kind: str, deployments: dict[str, Any]
) -> None:
    template = job_template(kind)
    schema = template["variables"]
    given = deployments[f"gpu-{kind}"]["work_pool"]["job_variables"]
    defaults = {
        name: one["default"] for name, one in schema["properties"].items() if "default" in one
    }
    assert validate(defaults | given, schema, raise_on_error=True) is not False
    job = apply_values(template["job_configuration"], defaults | given)
    # without it a living run would be declared dead
    assert job["env"]["PREFECT_FLOWS_HEARTBEAT_FREQUENCY"] == "30"
    # what is ours has a value; what is left open Prefect itself fills
    ours = set(schema["properties"]) - set(default_template(kind)["variables"]["properties"])
    left = {one.name for one in find_placeholders(job)}
    assert ours and not left & ours
    wrong = dict(defaults) | {"gpus": ["many"]}
    with pytest.raises(ValidationError, match="many"):
        validate(wrong, schema, raise_on_error=True)


@pytest.mark.parametrize("kind", TEMPLATES)
def test_a_server_takes_the_template(kind: str, prefect_api: str) -> None:
    with temporary_settings({PREFECT_API_URL: prefect_api}), get_client(sync_client=True) as client:
        pool = WorkPoolCreate(name=f"try-{kind}", type=kind, base_job_template=job_template(kind))
        client.create_work_pool(pool, overwrite=True)
        assert client.read_work_pool(pool.name).base_job_template == job_template(kind)


def test_an_unknown_type_is_named_beside_those_that_prefect_has() -> None:
    with pytest.raises(UserError, match=r"no work pool type 'tensordock', only .*kubernetes"):
        default_template("tensordock")


def test_a_pod_has_gpu_shared_memory_grace_and_secrets_by_reference() -> None:
    template = job_template("kubernetes")
    defaults = template["variables"]["properties"]
    pod = template["job_configuration"]["job_manifest"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["resources"]["limits"]["nvidia.com/gpu"] == "{{ gpus }}"
    assert container["envFrom"] == [{"secretRef": {"name": "{{ secret }}"}}]
    (mount,), (volume,) = container["volumeMounts"], pod["volumes"]
    assert mount == {"name": volume["name"], "mountPath": "/dev/shm"}
    assert volume["emptyDir"]["medium"] == "Memory"
    assert pod["securityContext"]["runAsNonRoot"] is True
    # longer than a training gets to save its state
    assert defaults["termination_grace_seconds"]["default"] > 30


def test_an_ecs_task_has_gpu_shared_memory_grace_and_secrets_by_reference() -> None:
    template = job_template("ecs")
    (container,) = template["job_configuration"]["task_definition"]["containerDefinitions"]
    assert container["resourceRequirements"] == [{"type": "GPU", "value": "{{ gpus }}"}]
    assert container["linuxParameters"]["sharedMemorySize"] == "{{ shared_memory_mib }}"
    assert container["secrets"] == "{{ secrets }}"
    # what ECS allows at most
    assert template["variables"]["properties"]["termination_grace_seconds"]["default"] == 120


def test_the_image_is_made_from_the_lock_and_runs_as_nobody_special() -> None:
    lines = (ROOT / "Dockerfile").read_text()
    assert "--require-hashes /tmp/requirements.lock" in lines
    user = re.findall(r"^USER (.+)$", lines, re.MULTILINE)
    assert user[-1] == "yolo"
    assert (ROOT / ".dockerignore").read_text().split() == ["*", "!requirements.lock"]


def test_the_marketplace_task_runs_the_script_with_variables_that_it_declares() -> None:
    """Keys as SkyPilot 0.14.1 knows them; its own schema was asked by hand (docs/cloud.md)."""
    task = read("cloud/sky.yaml")
    assert set(task) == {"name", "resources", "envs", "secrets", "workdir", "setup", "run"}
    places = [place["infra"] for place in task["resources"]["any_of"]]
    assert places == ["vast", "lambda", "runpod"]
    used = set(re.findall(r"\$(YOLO_\w+)", task["run"]))
    assert used and used <= set(task["envs"])
    # secrets come from whoever launches it
    assert set(task["secrets"].values()) == {None}
    assert (ROOT / re.search(r"cloud/\S+\.sh", task["run"])[0]).is_file()


def test_the_script_for_a_bare_machine_says_what_it_needs() -> None:
    done = subprocess.run(["bash", "cloud/bare.sh"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1
    assert "usage: bare.sh REPOSITORY REVISION" in done.stderr
