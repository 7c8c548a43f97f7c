"""Preflight: what can be known to be wrong is said in one sentence before an actor starts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from tasks.corpus.settings import CorpusSettings
from tasks.encoders.compact import SmallDecoder
from tasks.expansion import StyleSource, expand_styles
from tasks.images.settings import ImageSettings
from tasks.methods.adain.settings import AdainSettings
from tasks.methods.base import Representation
from tasks.methods.clipstyler.settings import FastSettings
from tasks.methods.text_settings import TextSettings
from tasks.preflight import (
    check_clip,
    check_output,
    check_pictures,
    missing_styles,
    prepare_styles,
    settle_format,
    settle_prompts,
)
from tasks.records import RequestError
from tasks.regions.settings import RegionSettings
from tasks.store import RepresentationStore
from tasks.style_settings import ReferenceSettings, StyleSettings


@pytest.fixture
def art(tmp_path: Path) -> Path:
    folder = tmp_path / "art"
    folder.mkdir()
    for seed, name in enumerate(("wave", "Night.PNG", "deep/glass")):
        path = folder / (name if name.endswith("PNG") else f"{name}.jpg")
        path.parent.mkdir(exist_ok=True)
        pixels = np.random.default_rng(seed).integers(0, 255, (24, 32, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path)
    return folder


def style(**reference: object) -> StyleSettings:
    return StyleSettings(name="one", references=(ReferenceSettings(**reference),))


def test_each_picture_of_a_folder_is_a_style_named_by_its_file(art: Path) -> None:
    styles = expand_styles(str(art))
    assert [one.name for one in styles] == ["Night", "deep/glass", "wave"]
    assert styles[1].references[0].image == str(art / "deep/glass.jpg")


def test_two_pictures_of_one_name_are_refused(art: Path) -> None:
    Image.new("RGB", (8, 8)).save(art / "wave.png")
    with pytest.raises(RequestError, match=r"named 'wave': rename one"):
        expand_styles(str(art))


def test_a_folder_without_pictures_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="has no pictures"):
        expand_styles(str(tmp_path))
    with pytest.raises(RequestError, match="does not exist"):
        expand_styles(str(tmp_path / "nowhere"))


def test_a_text_for_a_method_of_pictures_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(AdainSettings, "accepts_texts", False)
    with pytest.raises(RequestError, match=r"'one' has a text, and the method 'adain' takes pictures only"):
        prepare_styles([style(text="black ink")], AdainSettings())


def test_weights_that_stand_ready_are_whole_and_for_a_text_that_a_style_has(tmp_path: Path) -> None:
    tensors = SmallDecoder().state_dict()
    files = {"whole": tensors, "short": dict(list(tensors.items())[1:])}
    for name, kept in files.items():
        save_file(kept, tmp_path / f"{name}.safetensors")

    def prepare(text: str, file: str) -> None:
        decoders = [{"text": "a pencil sketch", "weights": str(tmp_path / f"{file}.safetensors")}]
        prepare_styles([style(text=text)], FastSettings(mode="fast", weights="embedded:adain-small", decoders=decoders))

    prepare("a pencil sketch", "whole")
    with pytest.raises(RequestError, match=r"'a pencil sketch', which no style has: did you mean 'a pencil scetch'"):
        prepare("a pencil scetch", "whole")
    with pytest.raises(RequestError, match=r"short\.safetensors for 'a pencil sketch' has to be: the tensor .*missing"):
        prepare("a pencil sketch", "short")
    with pytest.raises(RequestError, match=r"no weights file at .*gone"):
        prepare("a pencil sketch", "gone")


def test_regions_are_refused_by_a_method_that_styles_a_picture_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(AdainSettings, "accepts_masks", False)
    references = (ReferenceSettings(image="a.png"), ReferenceSettings(image="b.png"))
    for style_of_two in (
        style(image="a.png", mask={"rows": 2}),
        StyleSettings(name="one", references=references, regions=RegionSettings(rings=2)),
    ):
        with pytest.raises(RequestError, match=r"'one' has regions.*adain.*style_kernel"):
            prepare_styles([style_of_two], AdainSettings())


@pytest.mark.parametrize(
    ("regions", "corpus", "reason"),
    [
        ({"masks": "nowhere"}, "photos", r"folder of masks .*nowhere does not exist"),
        ({"masks": "photos/masks"}, "photos", r"lies in the corpus"),
        ({"masks": "file://photos/../photos/masks/"}, "photos", r"lies in the corpus"),
        ({"masks": "beside"}, "table", r"masks lie beside pictures in a folder"),
        ({"column": "shape"}, "table", r"no column of masks 'shape'; .*: mask, width"),
        ({"column": "width"}, "table", r"the column 'width' holds no pictures"),
        ({"column": "mask"}, "photos", r"no column of masks 'mask'; .*: none"),
    ],
    ids=str,
)
def test_masks_that_the_corpus_cannot_have_are_refused(
    art: Path, tmp_path: Path, regions: dict[str, str], corpus: str, reason: str
) -> None:
    (tmp_path / "photos/masks").mkdir(parents=True)
    Image.new("RGB", (8, 8)).save(tmp_path / "photos/a.jpg")
    (tmp_path / "table").mkdir()
    columns = {"image": [{"bytes": b"", "path": ""}], "mask": [b""], "width": [3]}
    pq.write_table(pa.table(columns), tmp_path / "table/a.parquet")
    if "masks" in regions and regions["masks"] != "beside":
        scheme, _, place = regions["masks"].rpartition("//")
        regions = {"masks": f"{scheme}//{tmp_path}/{place}" if scheme else f"{tmp_path}/{place}"}
    pictures = tuple(ReferenceSettings(image=str(art / name)) for name in ("wave.jpg", "Night.PNG"))
    both = StyleSettings(name="both", references=pictures, regions=RegionSettings(**regions))
    styles = prepare_styles([both], AdainSettings())
    with pytest.raises(RequestError, match=rf"'both': .*{reason}"):
        settle_format(CorpusSettings(uri=str(tmp_path / corpus)), styles)


def test_a_text_needs_a_model_that_can_be_had(tmp_path: Path) -> None:
    method = AdainSettings(texts=TextSettings(clip=f"local-dir:{tmp_path / 'nowhere'}"))
    with pytest.raises(RequestError, match=r"no folder .*nowhere"):
        prepare_styles([style(text="black ink")], method)


def test_a_missing_picture_names_its_style(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"'one': the picture .* cannot be read"):
        prepare_styles([style(image=str(tmp_path / "none.jpg"))], AdainSettings())


def test_an_undecodable_picture_is_refused_only_while_its_representation_is_missing(art: Path, tmp_path: Path) -> None:
    (art / "wave.jpg").write_bytes(b"no picture")
    store = RepresentationStore(str(tmp_path / "store"))
    planned = prepare_styles([style(image=str(art / "wave.jpg"))], AdainSettings())
    with pytest.raises(RequestError, match="is no usable picture"):
        check_pictures(planned, store)
    store.put("adain", planned[0].representation, Representation({"mean0": torch.zeros(1)}))
    check_pictures(planned, store)


def test_an_undecodable_mask_of_a_reference_is_refused_always(art: Path) -> None:
    """Whatever is represented: a mask is in no representation."""
    (art / "shape.png").write_bytes(b"no picture")
    wave, masks = str(art / "wave.jpg"), (str(art / "Night.PNG"), str(art / "shape.png"))
    styles = [StyleSettings(name=m, references=(ReferenceSettings(image=wave, mask=m),)) for m in masks]
    with pytest.raises(RequestError, match=r"Style '.*shape.png': .*shape.png is no usable picture"):
        prepare_styles(styles, AdainSettings())
    prepare_styles(styles[:1], AdainSettings())


def test_styles_that_share_a_representation_are_represented_once(art: Path, tmp_path: Path) -> None:
    picture = ReferenceSettings(image=str(art / "wave.jpg"))
    faint = StyleSettings(name="faint", references=(picture,), method=AdainSettings(strength=0.5))
    planned = prepare_styles([StyleSettings(name="full", references=(picture,)), faint], AdainSettings())
    assert planned[0].digest != planned[1].digest
    assert len(missing_styles(planned, RepresentationStore(str(tmp_path / "store")))) == 1


def test_the_output_must_be_writable_and_of_this_identity(tmp_path: Path) -> None:
    check_output(str(tmp_path / "out"), ImageSettings(), 0)
    (tmp_path / "file").write_text("")
    with pytest.raises(RequestError, match="Nothing can be written"):
        check_output(str(tmp_path / "file" / "out"), ImageSettings(), 0)


def test_the_format_is_settled_once(art: Path, tmp_path: Path) -> None:
    assert settle_format(CorpusSettings(uri=str(art))).format == "folder"
    with pytest.raises(RequestError):
        settle_format(CorpusSettings(uri=str(tmp_path / "nothing")))


def settle(corpus: Path, styles: StyleSource = "art", images: int | str = 64, **settings: object) -> CorpusSettings:
    found = settle_format(CorpusSettings.model_validate({"uri": str(corpus), **settings}))
    return settle_prompts(found, styles, AdainSettings(), ImageSettings(size=images))


@pytest.fixture
def words(tmp_path: Path) -> Path:
    (tmp_path / "words.txt").write_text("a boat\n")
    return tmp_path / "words.txt"


def test_prompts_get_the_size_that_the_job_gives_them(words: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(AdainSettings, "accepts_prompts", True)
    assert settle(words).size == (64, 64)
    assert settle(words, size=[96, 32]).size == (96, 32)
    assert settle(words, images="keep", size=32).size == (32, 32)
    with pytest.raises(RequestError, match=r"have no size to keep: set the corpus's `size`"):
        settle(words, images="keep")


def test_prompts_are_refused_by_a_method_that_needs_pictures(words: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = style(text="ink").model_copy(update={"method": FastSettings(mode="fast")})
    monkeypatch.setattr(FastSettings, "accepts_prompts", True)
    assert settle(words, [one]).size == (64, 64)
    for styles in ("art", [style(text="ink")], [one, style(text="ink")]):
        with pytest.raises(RequestError, match=r"words.txt is prompts, and the method 'adain' needs a picture"):
            settle(words, styles)


def test_prompts_have_no_regions(words: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(AdainSettings, "accepts_prompts", True)
    with pytest.raises(RequestError, match=r"'one' has regions, and the corpus .*words.txt is prompts"):
        settle(words, [style(image="a.png", mask={"rows": 2})])


def test_what_only_prompts_have_is_refused_of_pictures(art: Path) -> None:
    assert settle(art).size is None
    for settings in ({"size": 64}, {"prompt": "caption"}):
        with pytest.raises(RequestError, match="is pictures, and only prompts have"):
            settle(art, **settings)


def test_a_clip_that_cannot_be_had_is_refused() -> None:
    check_clip("none")
    with pytest.raises(RequestError, match="no embedded:clip-giant"):
        check_clip("embedded:clip-giant")
