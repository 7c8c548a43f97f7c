"""Styles from a labelled table are rendered as any others, and without the table once it was read."""

from __future__ import annotations

import shutil
from pathlib import Path

from tasks.labelled.settings import TableSettings
from tasks.methods.adain.settings import AdainSettings
from tasks.preflight import prepare_styles
from tasks.style_settings import StyleSettings
from tasks.styles import read_reference
from tests.tasks.actors.making import furthest, load, make_order, pixels, records, stylize, write_photographs
from tests.tasks.labelled.making import GARBLED, write_wikiart


def test_pictures_of_a_table_style_as_the_same_pictures_in_files_do(tmp_path: Path) -> None:
    photos = write_photographs(tmp_path / "photos", 2)
    table = write_wikiart(tmp_path / "wikiart", described="infos")
    settings = TableSettings(table=str(table), by="artist", classes=("claude-monet", GARBLED), pictures=3)
    loaded = load(tmp_path / "table", clip="embedded:clip-small")
    styles = prepare_styles(settings, AdainSettings(), keep=loaded.store.folder)
    pictures = [read_reference(str(style.references[0].image), style.name) for style in styles]
    shutil.rmtree(table)
    stylize(loaded, make_order(photos, styles))
    assert [read_reference(str(style.references[0].image), style.name) for style in styles] == pictures
    rows = records(tmp_path / "table")
    assert {(row["content_id"], row["style"]) for row in rows} == {
        (content, style) for content in ("p00.jpg", "p01.jpg") for style in ("claude-monet", GARBLED)
    }
    assert all(isinstance(row["clip_image"], float) for row in rows)

    named = []
    for style in styles:
        references = []
        for number, reference in enumerate(style.references):
            path = tmp_path / f"{len(named)}-{number}.jpg"
            path.write_bytes(read_reference(str(reference.image), style.name))
            references.append({"image": str(path)})
        named.append(StyleSettings.model_validate({"name": style.name, "references": references}))
    files = prepare_styles(named, AdainSettings())
    assert [style.digest for style in files] == [style.digest for style in styles]
    stylize(load(tmp_path / "files"), make_order(photos, files))
    assert furthest(pixels(tmp_path / "table"), pixels(tmp_path / "files")) == 0
