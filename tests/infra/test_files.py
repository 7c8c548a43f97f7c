"""The files under infra/, as far as they can be checked without a daemon or a cluster."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes_validate import validate
from packaging.requirements import Requirement

from pipelines.job import load_job

ROOT = Path(__file__).parents[2]
INFRA = ROOT / "infra"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PINS = dict(line.split("==") for line in (INFRA / "requirements.txt").read_text().splitlines() if "==" in line)
KUBERNETES = "1.32"
# Of KubeRay's v1, what we use: a misspelt key would be dropped without a word. Checked against the CRDs of KubeRay.
CLUSTER_KEYS = {"rayVersion", "enableInTreeAutoscaling", "autoscalerOptions", "headGroupSpec", "workerGroupSpecs"}
HEAD_KEYS = {"rayStartParams", "template"}
WORKER_KEYS = {*HEAD_KEYS, "groupName", "replicas", "minReplicas", "maxReplicas"}
JOB_KEYS = {
    *("entrypoint", "entrypointNumCpus", "submissionMode", "backoffLimit"),
    *("shutdownAfterJobFinishes", "ttlSecondsAfterFinished", "rayClusterSpec"),
}
SCHEMA = "vendor.compose-spec"


def run(*words: str) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).with_name(words[0])
    return subprocess.run([program, *words[1:]], capture_output=True, text=True, timeout=120)


def read(name: str) -> Any:
    return yaml.safe_load((INFRA / name).read_text())


def documents(name: str) -> list[Any]:
    return list(yaml.safe_load_all((INFRA / name).read_text()))


def clusters() -> list[Any]:
    (cluster,) = documents("kuberay/raycluster.yaml")
    _, job = documents("kuberay/rayjob.yaml")
    return [cluster["spec"], job["spec"]["rayClusterSpec"]]


def templates() -> Iterator[Any]:
    (cluster, _) = clusters()
    for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        yield group["template"]


def test_the_dockerfile_has_nothing_to_criticize_and_is_pinned() -> None:
    found = run("hadolint", str(INFRA / "Dockerfile"))
    assert found.returncode == 0, found.stdout
    text = (INFRA / "Dockerfile").read_text()
    images = re.findall(r"^FROM (\S+)", text, re.MULTILINE)
    assert len(images) == 2
    assert all(re.fullmatch(r"python:\d+\.\d+\.\d+-slim-\w+", image) for image in images)
    assert re.findall(r"^USER (\S+)", text, re.MULTILINE) == ["1000:1000"]
    for name in re.findall(r"^COPY (?!--from)(.*) \S+$", text, re.MULTILINE):
        assert all((ROOT / part).exists() for part in name.split())


def test_a_criticism_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM python:latest\nRUN apt-get install x\n")
    assert run("hadolint", str(tmp_path / "Dockerfile")).returncode == 1


def test_the_compose_file_has_its_schema(tmp_path: Path) -> None:
    checked = run("check-jsonschema", "--builtin-schema", SCHEMA, str(INFRA / "compose.yaml"))
    assert checked.returncode == 0, checked.stdout
    wrong = read("compose.yaml")
    wrong["services"]["s3"]["comand"] = []
    (tmp_path / "compose.yaml").write_text(yaml.safe_dump(wrong))
    assert run("check-jsonschema", "--builtin-schema", SCHEMA, str(tmp_path / "compose.yaml")).returncode == 1


def test_compose_opens_ports_to_this_machine_alone_and_holds_no_secret() -> None:
    services = read("compose.yaml")["services"]
    ports = [port for service in services.values() for port in service.get("ports", [])]
    assert len(ports) >= 5
    assert all(port.startswith("127.0.0.1:") for port in ports)
    example = (INFRA / "compose" / ".env.example").read_text()
    secrets = re.findall(r"^([A-Z_]+)=(.*)$", example, re.MULTILINE)
    assert [name for name, value in secrets if value] == ["JOBS"]
    used = set(re.findall(r"(?<!\$)\$\{(\w+)", (INFRA / "compose.yaml").read_text()))
    assert used == {name for name, _ in secrets}


def test_compose_mounts_what_is_there() -> None:
    for service in read("compose.yaml")["services"].values():
        for volume in service.get("volumes", []):
            if volume.startswith("./"):
                assert (INFRA / volume.split(":")[0]).exists(), volume


@pytest.mark.prefect
def test_prefect_knows_the_settings_that_compose_gives_it() -> None:
    given = {name: value for name, value in read("compose.yaml")["services"]["prefect"]["environment"].items()}
    code = (
        "from prefect.settings import get_current_settings as s; v = s().server.services.db_vacuum; "
        "print(sorted(v.enabled), v.retention_period.days, s().server.events.retention_period.days, "
        "s().server.ui.api_url, s().server.database.connection_url.get_secret_value())"
    )
    environment = {**os.environ, **given, "POSTGRES_PASSWORD": "x"}
    told = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert told.stdout.split("] ")[0] == "['events', 'flow_runs'"
    assert told.stdout.split("] ")[1].split()[:2] == ["30", "7"]
    assert given["PREFECT_UI_API_URL"] in told.stdout
    assert "postgresql+asyncpg://prefect:" in told.stdout


@pytest.mark.ray
def test_ray_takes_the_autoscaler_file_and_its_workers_are_spot_machines() -> None:
    from ray.autoscaler._private.util import prepare_config, validate_config

    content = read("ray-cluster.yaml")
    validate_config(prepare_config(content))
    with pytest.raises(Exception, match="max_wokers"):
        validate_config(prepare_config({**read("ray-cluster.yaml"), "max_wokers": 1}))
    head = content["available_node_types"][content["head_node_type"]]
    assert head["resources"] == {"CPU": 0}
    workers = [kind for name, kind in content["available_node_types"].items() if name != content["head_node_type"]]
    assert [kind["node_config"]["InstanceMarketOptions"] for kind in workers] == [{"MarketType": "spot"}]


def test_kubernetes_takes_the_pods() -> None:
    for template in templates():
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x", **template["metadata"]}}
        validate({**pod, "spec": template["spec"]}, KUBERNETES, strict=True)
    wrong = json.loads(json.dumps({**pod, "spec": template["spec"]}))
    wrong["spec"]["containers"][0]["imagee"] = "x"
    with pytest.raises(Exception, match="imagee"):
        validate(wrong, KUBERNETES, strict=True)


def test_pods_have_no_rights_and_no_secret_of_their_own() -> None:
    for template in templates():
        spec = template["spec"]
        assert spec["securityContext"]["runAsNonRoot"] is True
        for container in spec["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "capabilities": {"drop": ["ALL"]},
            }
            assert "env" not in container  # secrets come from a Secret
            assert container["resources"]["limits"]["memory"] == container["resources"]["requests"]["memory"]
    workers = list(templates())[1:]
    assert all(spec["spec"]["nodeSelector"] == {"karpenter.sh/capacity-type": "spot"} for spec in workers)


def test_kuberay_gets_no_key_that_it_would_drop() -> None:
    (cluster,) = documents("kuberay/raycluster.yaml")
    config, job = documents("kuberay/rayjob.yaml")
    assert (cluster["apiVersion"], cluster["kind"]) == ("ray.io/v1", "RayCluster")
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    validate(config, KUBERNETES, strict=True)
    assert set(job["spec"]) == JOB_KEYS
    for spec in clusters():
        assert set(spec) == CLUSTER_KEYS
        assert set(spec["headGroupSpec"]) == HEAD_KEYS
        for group in spec["workerGroupSpecs"]:
            assert set(group) == WORKER_KEYS
            assert group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]
        for group in (spec["headGroupSpec"], *spec["workerGroupSpecs"]):
            assert all(isinstance(value, str) for value in group["rayStartParams"].values())


def test_a_job_runs_on_the_cluster_that_stays() -> None:
    stays, goes = clusters()
    assert stays == goes


def test_the_job_of_the_ray_job_is_one(tmp_path: Path) -> None:
    config, job = documents("kuberay/rayjob.yaml")
    (name,) = config["data"]
    (tmp_path / name).write_text(config["data"][name])
    loaded = load_job(tmp_path / name)
    assert f"/etc/atelier/{name}" in job["spec"]["entrypoint"]
    head = job["spec"]["rayClusterSpec"]["headGroupSpec"]["template"]["spec"]
    assert {"mountPath": "/etc/atelier", "name": "job", "readOnly": True} in head["containers"][0]["volumeMounts"]
    assert loaded.resources.actors != "auto"  # a cluster that grows has to be told how far
    assert loaded.resources.wait_minutes > 0


def test_pins_are_what_the_package_asks_for() -> None:
    wanted = [Requirement(text) for text in PROJECT["dependencies"] + PROJECT["optional-dependencies"]["cluster"]]
    for requirement in wanted:
        pinned = PINS[requirement.name.lower().replace("_", "-")]
        assert requirement.specifier.contains(pinned), f"{requirement} is pinned to {pinned}"
    assert len(PINS) > 100
    assert not {"pytest", "moto", "mypy", "ruff"} & PINS.keys()


def test_every_place_names_the_same_versions() -> None:
    version = PROJECT["version"]
    texts = {path: path.read_text() for path in INFRA.rglob("*") if path.suffix in (".yaml", "") and path.is_file()}
    images = [tag for text in texts.values() for tag in re.findall(r"atelier:(\d[\w.]*)", text)]
    assert len(images) >= 5
    assert set(images) == {version}
    assert {spec["rayVersion"] for spec in clusters()} == {PINS["ray"]}
    pictures = re.findall(r"image: ([^\s&]+)", (INFRA / "compose.yaml").read_text())
    assert all(re.search(r":v?\d+\.\d+", picture) for picture in pictures), pictures
