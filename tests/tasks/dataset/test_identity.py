"""What a dataset is may not change under it; everything else may."""

from __future__ import annotations

from pathlib import Path

import pytest

from tasks.dataset.identity import (
    DatasetIdentity,
    check_identity,
    check_style_names,
    freeze_identity,
    raise_version,
    read_identity,
)
from tasks.images.settings import ImageSettings
from tasks.plan import Wanted
from tasks.records import RequestError
from tasks.regions.settings import RegionSettings
from tasks.storage import Folder
from tests.tasks.dataset.making import plan, planned_style, styles, wanted, write_photos

IDENTITY = DatasetIdentity(images=ImageSettings(size=256), seed=7)


@pytest.mark.parametrize(
    ("key", "other"),
    [("seed", IDENTITY.model_copy(update={"seed": 8})), ("images", DatasetIdentity(images=ImageSettings(), seed=7))],
)
def test_another_seed_or_size_is_refused_with_the_key_and_what_to_do(
    folder: Folder, key: str, other: DatasetIdentity
) -> None:
    freeze_identity(folder, IDENTITY)
    freeze_identity(folder, IDENTITY)
    check_identity(folder, IDENTITY)
    for refuse in (check_identity, freeze_identity):
        with pytest.raises(RequestError, match=f"set `{key}` back, or name another `output`"):
            refuse(folder, other)
    assert read_identity(folder) == IDENTITY


def test_a_place_without_a_dataset_takes_any(folder: Folder) -> None:
    check_identity(folder, IDENTITY)
    assert read_identity(folder) is None


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b'{"schema_version": 3, "images": {}, "seed": 0}', "version 3, and this atelier knows 2 at most: use a newer"),
        (b'{"schema_version": 1, "images": {}}', "name another output"),
        (b"[1]", "name another output"),
    ],
)
def test_a_dataset_of_another_kind_is_refused(folder: Folder, data: bytes, message: str) -> None:
    folder.publish("dataset.json", data)
    with pytest.raises(RequestError, match=message):
        check_identity(folder, IDENTITY)


def test_a_raised_dataset_stays_what_it_was_for_every_job(folder: Folder) -> None:
    freeze_identity(folder, IDENTITY)
    raise_version(folder)
    raise_version(folder)
    assert read_identity(folder) == IDENTITY.model_copy(update={"schema_version": 2})
    freeze_identity(folder, IDENTITY)
    check_identity(folder, IDENTITY)


def test_store_scores_and_shard_size_may_change(dataset: Folder, photos: Path) -> None:
    write_photos(photos, range(7, 9))
    before = wanted(photos, styles("wave", "ink"))
    after = Wanted(before.corpus, before.images, before.seed, before.styles, "another store", "embedded:clip-small")
    made = plan(dataset, after, images=1)
    assert made is not None
    assert (made.shards, made.store, made.clip) == (2, "another store", "embedded:clip-small")


def test_images_and_seed_of_a_later_job_are_checked_before_it_plans(dataset: Folder, photos: Path) -> None:
    write_photos(photos, [8])
    before = wanted(photos, styles("wave", "ink"))
    after = Wanted(before.corpus, before.images, 1, before.styles, "store", "none")
    with pytest.raises(RequestError, match="`seed: 0`, the job says 1"):
        plan(dataset, after)


def test_a_name_stands_for_one_style_for_ever(dataset: Folder, photos: Path) -> None:
    with pytest.raises(RequestError, match="'wave' is in the dataset with other"):
        plan(dataset, wanted(photos, [planned_style("wave", "another wave")]))


def test_a_style_has_one_name_for_ever(dataset: Folder, photos: Path) -> None:
    with pytest.raises(RequestError, match="'surf' is in the dataset as 'wave'"):
        plan(dataset, wanted(photos, [planned_style("surf", "wave")]))


def test_masks_that_have_changed_need_a_folder_of_another_name() -> None:
    first, again = (
        planned_style(name, "both").model_copy(update={"regions": RegionSettings(masks="/masks")}) for name in "ab"
    )
    with pytest.raises(RequestError, match="give it that name again, or put masks that have changed into a folder of"):
        check_style_names([first], [again])
    moved = first.model_copy(update={"digest": "of another folder"})
    with pytest.raises(RequestError, match=r"regions \(a folder of masks goes by its path from the corpus\): rename"):
        check_style_names([first], [moved])


def test_two_equal_styles_and_two_equal_names_are_refused() -> None:
    with pytest.raises(RequestError, match="'wave' and 'surf' are the same"):
        check_style_names([], [planned_style("wave"), planned_style("surf", "wave")])
    with pytest.raises(RequestError, match="Two styles are named 'wave'"):
        check_style_names([], [planned_style("wave"), planned_style("wave", "another")])
