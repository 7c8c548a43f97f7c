"""Composite styles on the command line: forecast without a cluster, and refused in a sentence before there is one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.pipelines.conftest import Atelier, write_job
from tests.tasks.actors.making import write_photographs, write_style_pictures

# Importing either of them raises.
WITHOUT_RAY_AND_PREFECT = (
    "import sys; sys.modules['ray'] = sys.modules['prefect'] = None; from pipelines.cli import main; main()"
)


def write(folder: Path, regions: dict[str, Any]) -> Path:
    write_photographs(folder / "photos", 3)
    art = write_style_pictures(folder / "art")
    (folder / "photos/p00.mask.png").write_bytes((art / "bars.png").read_bytes())
    references = [{"image": f"art/{name}.png"} for name in ("bars", "blots")]
    return write_job(folder, styles=[{"name": "both", "references": references, "regions": regions}])


@pytest.mark.parametrize("regions", [{"masks": "beside"}, {"foreground": True}, {"grid": [2, 3]}], ids=str)
def test_a_composite_style_is_forecast(atelier: Atelier, tmp_path: Path, regions: dict[str, Any]) -> None:
    outcome = atelier("plan", write(tmp_path, regions))
    assert outcome.code == 0, outcome.stderr
    assert "3 records of 3 contents" in outcome.stdout
    assert not (tmp_path / "out").exists()
    assert "none has one" not in outcome.stderr


def test_masks_that_seem_to_lie_elsewhere_are_told_by_a_forecast(atelier: Atelier, tmp_path: Path) -> None:
    (tmp_path / "masks").mkdir()
    outcome = atelier("plan", write(tmp_path, {"masks": "masks"}))
    assert outcome.code == 0
    assert "3 records of 3 contents" in outcome.stdout
    assert f"Style 'both', masks: {tmp_path}/masks: of 3 contents that were looked at none has one" in outcome.stderr


@pytest.mark.parametrize(
    ("regions", "reason"),
    [
        ({"column": "mask"}, "Style 'both': the corpus has no column of masks 'mask'"),
        ({"masks": "nowhere"}, "nowhere does not exist: check the path"),
        ({"rings": 1}, "2 references have only 1 regions"),
        ({"hexagons": 4}, "styles.0.regions.hexagons: there is no such key"),
    ],
    ids=str,
)
def test_a_wrong_layout_is_refused(atelier: Atelier, tmp_path: Path, regions: dict[str, Any], reason: str) -> None:
    outcome = atelier("run", write(tmp_path, regions), code=WITHOUT_RAY_AND_PREFECT)
    assert outcome.code == 2, outcome.stderr
    assert reason in outcome.stderr
