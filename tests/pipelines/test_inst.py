"""A job by inst: paintings learned once, blended, with words beside them, and an IP-Adapter in the same dataset."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests.pipelines.conftest import Atelier, write_job
from tests.tasks.actors.making import write_photographs, write_style_pictures
from tests.tasks.encoders.diffusion.small_diffusion import save_small_diffusion
from tests.tasks.encoders.small_clip import save_small_clip
from tests.tasks.methods.inst.small_adapter import save_small_adapter

pytestmark = [pytest.mark.ray, pytest.mark.prefect]


@pytest.fixture
def method(tmp_path: Path) -> dict[str, Any]:
    save_small_diffusion(tmp_path / "model")
    clip = f"local-dir:{save_small_clip(tmp_path / 'clip')}"
    return {
        "name": "inst",
        "weights": "local-dir:model",
        "clip": clip,
        "updates": 2,
        "size": 64,
        "steps": 2,
        "strength": 0.5,
    }


def test_every_kind_of_style_in_one_dataset(atelier: Atelier, tmp_path: Path, method: dict[str, Any]) -> None:
    write_photographs(tmp_path / "photos", 2)
    bars, blots = (str(path) for path in sorted(write_style_pictures(tmp_path / "art").iterdir()))
    weights = save_small_adapter(tmp_path / "adapter", tmp_path / "model").model_dump()
    adapter = {
        "name": "inst",
        "variant": "ip_adapter",
        "weights": method["weights"],
        "adapter": weights,
        "strength": 0.5,
    }
    styles: list[dict[str, Any]] = [
        {"name": "bars", "references": [{"image": bars}]},
        {"name": "blend", "references": [{"image": bars, "weight": 0.6}, {"image": blots, "weight": 0.4}]},
        {"name": "cat", "references": [{"image": bars}], "method": {**method, "prompt": "a cat by [C]"}},
        {"name": "beside", "references": [{"image": bars}, {"text": "a sea by [C]"}]},
        {"name": "split", "references": [{"image": bars}, {"image": blots}], "regions": {"stripes": 2}},
        {"path": ["bars", "beside"], "steps": 1},
        {"name": "seen", "references": [{"image": bars}], "method": adapter},
    ]
    job = write_job(tmp_path, method=method, styles=styles, scores={"clip": method["clip"], "judge": "none"})
    made = atelier("run", job, "--json")
    assert made.code == 0, made.stderr
    assert (made.data["made"], made.data["failed"]) == (14, 0)
    assert atelier("verify", tmp_path / "out").code == 0
    rows = [row for path in (tmp_path / "out" / "data").glob("*") for row in pq.read_table(path).to_pylist()]
    assert {(row["method"], row["strength"]) for row in rows} == {("inst", 0.5)}
    assert all(row["clip_content"] is not None for row in rows)
    # Two paintings and one text, whatever they are mixed with, and by whatever prompt.
    assert len(list((tmp_path / "out" / "representations" / "inst-words").glob("*.safetensors"))) == 3
    assert atelier("run", job, "--json").data["made"] == 0


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"weights": None}, "get a model of the Stable Diffusion 1 family"),
        ({"weights": "local-dir:nowhere"}, "There is no folder"),
        ({"weights": "hf:CompVis/stable-diffusion-v1-4"}, "a revision makes a run repeatable"),
        ({"variant": "ip_adapter", "clip": None, "updates": None, "size": None}, "ip-adapter_sd15.safetensors"),
        ({"safety": "checker"}, "no safety_checker: write safety: none"),
        ({"attention": "attention.safetensors"}, "write variant: official"),
        ({"variant": "official", "attention": "attention.safetensors"}, "no weights file"),
        ({"guidance": 1e9}, "guidance"),
    ],
    ids=["no model", "no folder", "no revision", "no adapter", "no checker", "another variant", "no file", "too large"],
)
def test_a_wrong_job_ends_in_a_sentence(
    atelier: Atelier, tmp_path: Path, method: dict[str, Any], change: dict[str, Any], sentence: str
) -> None:
    write_photographs(tmp_path / "photos", 1)
    write_style_pictures(tmp_path / "art")
    changed = {name: value for name, value in {**method, **change}.items() if value is not None}
    made = atelier("plan", write_job(tmp_path, method=changed))
    assert made.code == 2, json.dumps(made.stdout)
    assert sentence in made.stderr
