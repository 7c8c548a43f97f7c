"""A style's digest covers what changes its pixels and nothing else."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from tasks.methods.adain.settings import AdainSettings
from tasks.methods.text_settings import TextSettings
from tasks.records import RequestError
from tasks.style_settings import StyleSettings
from tasks.styles import PlannedStyle, check_unchanged, pair_seed, plan_style
from tests.tasks.encoders.small_clip import save_small_clip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two pictures and two weights files, as bytes that nobody decodes here, and a CLIP."""
    save_small_clip(tmp_path / "clip")
    for name in ("wave.png", "ink.png"):
        (tmp_path / name).write_bytes(name.encode())
    for number in (1, 2):
        save_file({"x": torch.full((2,), float(number))}, tmp_path / f"weights-{number}.safetensors")
    return tmp_path


def freeze(
    folder: Path, *references: dict[str, Any], name: str = "wave", weights: int = 1, **method: Any
) -> PlannedStyle:
    given = list(references) or [{"image": "wave.png"}]
    for one in given:
        if "image" in one and "://" not in one["image"]:
            one["image"] = str(folder / one["image"])
    texts = method.pop("texts", {})
    settings = AdainSettings(
        weights=str(folder / f"weights-{weights}.safetensors"),
        texts=TextSettings(**{"clip": f"local-dir:{folder / 'clip'}", **texts}),
        **method,
    )
    return plan_style(StyleSettings.model_validate({"name": name, "references": given}), settings)


def test_a_digest_ignores_names_and_places(folder: Path) -> None:
    style = freeze(folder)
    (folder / "moved").mkdir()
    for name in ("wave.png", "weights-1.safetensors"):
        (folder / "moved" / name).write_bytes((folder / name).read_bytes())
    shutil.copytree(folder / "clip", folder / "moved/clip")
    ink = {"text": "ink"}
    assert freeze(folder / "moved", ink).digest == freeze(folder, ink).digest
    (folder / "moved/other.png").write_bytes(b"wave.png")
    assert freeze(folder / "moved", name="surf").digest == style.digest
    moved = freeze(folder / "moved", {"image": "other.png"})
    assert (moved.digest, moved.representation, moved.wave) == (style.digest, style.representation, style.wave)


@pytest.mark.parametrize(
    "change",
    [
        {"strength": 0.5},
        {"preserve_color": True},
        {"style_size": 256},
        {"weights": 2},
        {"references": [{"image": "ink.png"}]},
        {"references": [{"text": "wave.png"}]},
        {"references": [{"image": "wave.png"}, {"image": "ink.png"}]},
    ],
    ids=str,
)
def test_a_digest_changes_with_whatever_changes_pixels(folder: Path, change: dict[str, Any]) -> None:
    references = change.pop("references", [])
    assert freeze(folder, *references, **change).digest != freeze(folder).digest


def test_a_digest_changes_with_the_bytes_of_a_picture(folder: Path) -> None:
    before = freeze(folder)
    (folder / "wave.png").write_bytes(b"another picture")
    after = freeze(folder)
    assert after.digest != before.digest
    assert after.representation != before.representation


def test_weights_count_as_shares(folder: Path) -> None:
    def mix(*weights: float) -> PlannedStyle:
        names = ("wave.png", "ink.png")
        return freeze(folder, *({"image": n, "weight": w} for n, w in zip(names, weights, strict=True)))

    assert mix(0.1, 0.2).digest == mix(1, 2).digest == mix(10, 20).digest
    assert mix(2, 1).digest != mix(1, 2).digest
    assert sum(reference.weight for reference in mix(1, 2).references) == pytest.approx(1, abs=1e-11)
    assert mix(1, 1e-30).references[1].weight > 0


def test_a_representation_ignores_the_strength_and_a_wave_too(folder: Path) -> None:
    weak, strong = freeze(folder, strength=0.2), freeze(folder, strength=1.0)
    assert weak.representation == strong.representation
    assert weak.wave == strong.wave
    assert freeze(folder, style_size=256).representation != strong.representation
    assert freeze(folder, weights=2).wave != strong.wave


def test_the_digest_of_one_weights_file_is_its_own(folder: Path) -> None:
    data = (folder / "weights-1.safetensors").read_bytes()
    assert freeze(folder).weights_digest == hashlib.sha256(data).hexdigest()


def test_only_a_style_with_a_text_depends_on_what_reads_texts(folder: Path) -> None:
    def keys(*references: dict[str, Any], **texts: Any) -> tuple[str, str]:
        style = freeze(folder, *references, texts=texts)
        return style.digest, style.representation

    picture, mix = {"image": "wave.png"}, ({"image": "wave.png"}, {"text": "ink"})
    assert keys(dict(picture), steps=7) == keys(dict(picture))
    for change in ({"steps": 7}, {"seed": 1}):
        before, after = (keys(*(dict(one) for one in mix), **texts) for texts in ({}, change))
        assert before[0] != after[0]
        assert before[1] != after[1]


def test_a_text_read_by_another_model_is_another_style(folder: Path) -> None:
    style = freeze(folder, {"text": "ink"})
    config = folder / "clip/open_clip_config.json"
    config.write_text(config.read_text().replace("squash", "shortest"))
    assert freeze(folder, {"text": "ink"}).digest != style.digest
    with pytest.raises(RequestError, match="the CLIP that reads its texts, which has changed since"):
        check_unchanged([style])


def test_a_planned_style_survives_its_plan(folder: Path) -> None:
    style = freeze(folder, {"image": "wave.png", "weight": 2}, {"text": "ink", "weight": 1})
    again = PlannedStyle.model_validate_json(style.model_dump_json())
    assert again == style
    assert again.wave == style.wave


def test_a_style_that_is_what_it_was_goes_on(folder: Path) -> None:
    style = freeze(folder, {"image": "wave.png", "weight": 2}, {"text": "ink", "weight": 1})
    check_unchanged([style])
    (folder / "wave.png").unlink()
    check_unchanged([style])


def test_a_style_that_has_changed_since_its_plan_is_refused(folder: Path) -> None:
    style = freeze(folder)
    with pytest.raises(RequestError, match="code of adain"):
        check_unchanged([style.model_copy(update={"version": "0"})])
    (folder / "wave.png").write_bytes(b"another picture")
    with pytest.raises(RequestError, match=r"'wave' was planned with the picture .*wave\.png"):
        check_unchanged([style])
    save_file({"x": torch.zeros(3)}, folder / "weights-1.safetensors")
    with pytest.raises(RequestError, match="a weights file"):
        check_unchanged([style])


@pytest.mark.parametrize("image", ["missing.png", "s3://no-such-bucket-here/wave.png"])
def test_a_picture_that_cannot_be_read_is_named(folder: Path, s3_endpoint: str, image: str) -> None:
    with pytest.raises(RequestError, match=rf"Style 'wave': the picture .*{image} cannot be read"):
        freeze(folder, {"image": image})


@pytest.mark.parametrize(
    "reference",
    [
        {},
        {"image": "a.png", "text": "a"},
        {"text": ""},
        {"text": "a", "weight": 0},
        {"text": "a", "weight": float("inf")},
    ],
    ids=str,
)
def test_a_reference_is_one_thing_with_a_weight(reference: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="reference"):
        StyleSettings.model_validate({"name": "x", "references": [reference]})


def test_a_pair_seed_is_a_function_of_the_pair() -> None:
    seeds = {
        (job, content, style): pair_seed(job, content, style)
        for job in (0, 1)
        for content in ("a.jpg", "b.jpg", "ü/ñ.jpg", "a.jpg#1")
        for style in ("0" * 32, "f" * 32)
    }
    assert len(set(seeds.values())) == len(seeds)
    assert all(0 <= seed < 2**63 for seed in seeds.values())
    assert max(seeds.values()) > 2**60
    # Frozen: another value here is another noise for every dataset that is gone on with.
    assert pair_seed(0, "a.jpg", "0" * 32) == FIRST_SEED


FIRST_SEED = int.from_bytes(hashlib.sha256(b'[0, "a.jpg", "' + b"0" * 32 + b'"]').digest()[:8], "big") // 2


def test_a_mask_is_part_of_a_style_wherever_it_lies(folder: Path) -> None:
    for name in ("left.png", "right.png"):
        (folder / name).write_bytes(name.encode())
    plain = freeze(folder)
    left, right = (
        freeze(folder, {"image": "wave.png", "mask": str(folder / f"{side}.png")}) for side in ("left", "right")
    )
    assert len({plain.digest, left.digest, right.digest}) == 3
    # Where references count is no matter of what is computed from them, once they are kept apart.
    assert left.representation == right.representation != plain.representation
    shutil.copy(folder / "left.png", folder / "copy.png")
    assert freeze(folder, {"image": "wave.png", "mask": str(folder / "copy.png")}).digest == left.digest
    check_unchanged([left])
    (folder / "left.png").write_bytes(b"another shape")
    with pytest.raises(RequestError, match=r"left\.png, which has changed"):
        check_unchanged([left])
    (folder / "left.png").unlink()  # it is in no representation: nothing can be made without it
    with pytest.raises(RequestError, match=r"left\.png cannot be read"):
        check_unchanged([left])


def test_a_cell_of_a_grid_is_part_of_a_style(folder: Path) -> None:
    cells = [{"rows": 2, "columns": 2, "row": row, "column": 1} for row in (0, 1)]
    digests = {freeze(folder, {"image": "wave.png", "mask": cell}).digest for cell in cells}
    assert len(digests | {freeze(folder).digest}) == 3
    with pytest.raises(ValueError, match="outside a grid of 2 x 2"):
        StyleSettings.model_validate(
            {"name": "x", "references": [{"image": "a.png", "mask": {"rows": 2, "columns": 2, "row": 2}}]}
        )


def lay_out(folder: Path, corpus: str = "/one/photos", **regions: Any) -> PlannedStyle:
    references = [{"image": str(folder / name)} for name in ("wave.png", "ink.png")]
    style = StyleSettings.model_validate({"name": "both", "references": references, "regions": regions})
    return plan_style(style, AdainSettings(weights=str(folder / "weights-1.safetensors")), corpus)


def test_a_layout_is_part_of_a_style_and_not_of_its_representation(folder: Path) -> None:
    layouts: list[dict[str, Any]] = [
        {"grid": [2, 2]},
        {"grid": [1, 2]},
        {"grid": [2, 2], "feather": 0.2},
        {"stripes": 2},
        {"stripes": 2, "direction": "diagonal"},
        {"rings": 2},
        {"sectors": 2},
        {"foreground": True},
        {"masks": "beside"},
        {"masks": "/one/skies"},
        {"masks": "/one/people"},
        {"masks": "/one/again/skies"},
        {"masks": "s3://one/skies"},
        {"masks": "beside", "labels": [7]},
        {"column": "mask"},
    ]
    styles = [lay_out(folder, **layout) for layout in layouts]
    assert len({style.digest for style in styles}) == len(styles)
    assert len({style.representation for style in styles}) == 1
    assert lay_out(folder, grid=(2, 2), feather=0.05).digest == styles[0].digest
    for style in styles:
        again = PlannedStyle.model_validate_json(style.model_dump_json())
        assert again == style
        assert again.is_composite


def test_a_folder_of_masks_may_move_with_its_corpus_and_not_without(folder: Path) -> None:
    style = lay_out(folder, "/one/photos", masks="/one/skies")
    for moved in ("/other/place", "memory://elsewhere"):
        assert lay_out(folder, f"{moved}/pictures", masks=f"{moved}/skies/").digest == style.digest
    for corpus, masks in (("/one/photos", "/other/skies"), ("/one/deep/photos", "/one/skies"), ("s3://p", "/s")):
        assert lay_out(folder, corpus, masks=masks).digest != style.digest


@pytest.mark.parametrize(
    ("regions", "count", "reason"),
    [
        ({}, 2, "name one of grid"),
        ({"grid": [2, 2], "rings": 2}, 2, "not grid and rings"),
        ({"rings": 2}, 1, "name two or more"),
        ({"foreground": True}, 3, "3 references have only 2 regions"),
        ({"grid": [1, 2]}, 3, "3 references have only 2 regions"),
        ({"rings": 2, "direction": "diagonal"}, 2, "belongs to `stripes`"),
        ({"rings": 2, "labels": [1, 2]}, 2, "belong to `masks`"),
        ({"masks": "beside", "labels": [1]}, 3, "a value for each reference"),
        ({"masks": "beside", "labels": [15, 15]}, 2, "has a value twice"),
        ({"stripes": 65}, 2, "less than or equal to 64"),
    ],
    ids=str,
)
def test_a_layout_that_cannot_be_is_refused(regions: dict[str, Any], count: int, reason: str) -> None:
    references = [{"text": f"style {number}"} for number in range(count)]
    with pytest.raises(ValueError, match=reason):
        StyleSettings.model_validate({"name": "x", "references": references, "regions": regions})


def test_regions_and_masks_of_references_do_not_go_together() -> None:
    references = [{"image": "a.png", "mask": {"rows": 2}}, {"image": "b.png"}]
    with pytest.raises(ValueError, match="not both"):
        StyleSettings.model_validate({"name": "x", "references": references, "regions": {"rings": 2}})
