"""Deployments, settings and automations: every name in them is known; and what is not served."""

from __future__ import annotations

import copy
import inspect
import re
from importlib import import_module
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from infra.automate import read_automations
from tests.pipelines.conftest import write_job
from tests.pipelines.orchestra import ROOT, read_settings

DEPLOYMENTS = yaml.safe_load((ROOT / "infra/prefect.yaml").read_text())


def strict_schema() -> dict[str, Any]:
    """Prefect's schema of prefect.yaml, with no key beside those that it knows; Prefect itself lets any pass."""
    from prefect.cli.deploy._models import PrefectYamlModel

    schema = PrefectYamlModel.model_json_schema()
    for model in (schema, *schema["$defs"].values()):
        if "properties" in model:
            model["additionalProperties"] = False
    return schema


def test_every_key_of_the_deployments_is_one_that_prefect_knows() -> None:
    schema = strict_schema()
    jsonschema.validate(DEPLOYMENTS, schema)
    for place in (["deployments", 0], ["deployments", 0, "schedules", 0], ["deployments", 1, "work_pool"], []):
        wrong = copy.deepcopy(DEPLOYMENTS)
        part = wrong
        for key in place:
            part = part[key]
        part["shcedule"] = 1
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(wrong, schema)


@pytest.mark.parametrize("deployment", DEPLOYMENTS["deployments"], ids=lambda one: one["name"])
def test_a_deployment_names_a_flow_its_parameters_and_true_schedules(deployment: dict[str, Any]) -> None:
    from prefect.client.schemas.schedules import CronSchedule

    path, name = deployment["entrypoint"].split(":")
    flow = getattr(import_module(path.removesuffix(".py").replace("/", ".")), name)
    inspect.signature(flow.fn).bind(**deployment["parameters"])
    for schedule in deployment.get("schedules", []):
        CronSchedule(cron=schedule["cron"], timezone=schedule["timezone"])
    assert "concurrency_limit" not in deployment, "a paused run would be ended by it"
    assert deployment["tags"] == ["atelier"]


def test_every_setting_is_known_to_prefect_and_has_a_value_that_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    from prefect.settings import Settings

    for name, value in read_settings().items():
        monkeypatch.setenv(name, value)
    made = Settings()
    known = made.to_environment_variables(include_secrets=False)
    assert set(read_settings()) - set(known) == {"DO_NOT_TRACK"}
    assert made.server.services.db_vacuum.enabled_vacuum_types == {"events", "flow_runs", "orphans"}
    assert made.server.services.db_vacuum.retention_period.days == 30
    assert made.server.events.retention_period.days == 3
    assert made.server.analytics_enabled is False


def test_a_run_is_called_dead_after_several_heartbeats_and_told_of() -> None:
    failed, late, zombie = read_automations("00000000-0000-0000-0000-000000000000")
    beat = int(read_settings()["PREFECT_FLOWS_HEARTBEAT_FREQUENCY"])
    assert zombie.trigger.within.total_seconds() >= 3 * beat  # type: ignore[union-attr]
    assert {"prefect.flow-run.Failed", "prefect.flow-run.Crashed"} <= failed.trigger.expect  # type: ignore[union-attr]
    assert [action.type for action in (*failed.actions, *late.actions)] == ["send-notification"] * 2
    for one in (failed, late, zombie):
        assert one.trigger.match_related["prefect.resource.id"] == ["prefect.tag.atelier"]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ([], "needs a Prefect server"),
        (["--cron", "0 2 * *"], "schedule '0 2 . .' in 'UTC' is wrong"),
        (["--timezone", "Mars/Olympus"], "wrong: write five fields of cron"),
    ],
)
def test_a_wrong_schedule_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], reason: str
) -> None:
    from prefect.settings import PREFECT_API_URL, temporary_settings

    from pipelines.serve import serve_jobs
    from tasks.records import RequestError

    job = write_job(tmp_path)
    options = {"--cron": "0 2 * * *", "--timezone": "UTC"} | dict(zip(words[::2], words[1::2], strict=True))
    api = "http://127.0.0.1:9/api" if words else None
    changes: dict[Any, Any] = {PREFECT_API_URL: api} if api else {}
    with temporary_settings(changes), pytest.raises(RequestError) as error:
        serve_jobs([job], options["--cron"], "0 6 * * 0", options["--timezone"], 1)
    assert re.search(reason, str(error.value))


def test_two_jobs_of_one_name_are_not_served(tmp_path: Path) -> None:
    from prefect.settings import PREFECT_API_URL, temporary_settings

    from pipelines.serve import serve_jobs
    from tasks.records import RequestError

    jobs = [write_job(tmp_path / name) for name in ("a", "b")]
    changes: dict[Any, Any] = {PREFECT_API_URL: "http://127.0.0.1:9/api"}
    with temporary_settings(changes), pytest.raises(RequestError, match="Two jobs are named 'job'"):
        serve_jobs(jobs, "0 2 * * *", "0 6 * * 0", "UTC", 1)
