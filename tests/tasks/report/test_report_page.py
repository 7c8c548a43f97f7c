"""The page: it escapes, embeds, counts and leaves out as it should."""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Callable
from dataclasses import replace

import pytest
from PIL import Image

from tasks.report.model import (
    Arrivals,
    GalleryCell,
    GalleryRow,
    IntendedMatrix,
    ReportData,
    StyleReference,
    StyleSummary,
)
from tasks.report.page import render_report
from tasks.report.thumbnails import thumbnail
from tests.tasks.report.reading import Reader

SECTIONS = {
    *("summary", "verification", "gallery", "paths", "styles", "scores", "arrival", "extremes"),
    *("failures", "time", "batches", "runs", "settings"),
}


def empty() -> ReportData:
    return ReportData("Nothing yet", "out/x", "2026-11-21T09:40:12Z")


def test_hostile_text_creates_no_element_and_no_attribute(
    report: ReportData, harmless_report: ReportData, hostile: str
) -> None:
    def shape(page: str) -> list[tuple[str, tuple[str, ...]]]:
        return [(tag, tuple(attributes)) for tag, attributes in Reader(page).elements]

    page = render_report(report)
    assert shape(page) == shape(render_report(harmless_report))
    assert hostile in Reader(page).text


def test_a_page_runs_nothing_and_fetches_nothing(report: ReportData) -> None:
    page = Reader(render_report(report))
    assert not {"script", "link", "iframe", "object", "embed", "form", "base"} & {tag for tag, _ in page.elements}
    for _, attributes in page.elements:
        assert not any(name.startswith("on") or name == "style" for name in attributes)
        assert (attributes.get("href") or "#").startswith("#")
        assert (attributes.get("src") or "data:image/").startswith("data:image/")
    assert "url(" not in page.css
    assert "@import" not in page.css


def test_the_policy_allows_this_style_sheet_and_embedded_pictures_only(report: ReportData) -> None:
    page = Reader(render_report(report))
    policy = next(meta["content"] for meta in page.of("meta") if "http-equiv" in meta)
    digest = base64.b64encode(hashlib.sha256(page.css.encode()).digest()).decode()
    assert policy is not None
    assert policy.split("; ")[:3] == ["default-src 'none'", "img-src data:", f"style-src 'sha256-{digest}'"]


def test_every_element_is_closed_and_every_link_has_its_target(report: ReportData) -> None:
    page = Reader(render_report(report))
    anchors = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert page.open == []
    assert len(anchors) == len(set(anchors))
    assert {f"#{anchor}" for anchor in anchors} >= {link["href"] for link in page.of("a")}


def test_a_full_report_has_every_section(report: ReportData) -> None:
    assert Reader(render_report(report)).sections == SECTIONS


@pytest.mark.parametrize(
    ("field", "section"),
    [
        ("gallery", "gallery"),
        ("paths", "paths"),
        ("styles", "styles"),
        ("failures", "failures"),
        ("timing", "time"),
        ("sizes", "batches"),
        ("runs", "runs"),
        ("verification", "verification"),
    ],
)
def test_what_is_empty_is_left_out(report: ReportData, field: str, section: str) -> None:
    page = Reader(render_report(replace(report, **{field: ()})))
    gone = {"styles", "scores"} if section == "styles" else {section}
    assert page.sections == SECTIONS - gone
    assert not {f"#{name}" for name in gone} & {link["href"] for link in page.of("a")}


def test_without_what_it_shows_a_section_of_scores_is_left_out(report: ReportData) -> None:
    bare = replace(report, arrivals=Arrivals(), extremes=None)
    assert Reader(render_report(bare)).sections == SECTIONS - {"arrival", "extremes"}
    noted = Reader(render_report(replace(bare, arrivals=Arrivals(notes=["No matrix by the judge: it is gone."]))))
    assert noted.sections == SECTIONS - {"extremes"}
    assert "No matrix by the judge: it is gone." in noted.text


def test_without_scores_there_is_no_score_section(report: ReportData) -> None:
    bare = [replace(style, scores={}) for style in report.styles]
    assert Reader(render_report(replace(report, styles=bare))).sections == SECTIONS - {"scores"}


def test_an_empty_dataset_renders() -> None:
    page = Reader(render_report(empty()))
    assert page.sections == {"summary"}
    assert "This dataset has no records yet." in page.text


def test_a_dataset_is_called_verified_only_when_it_was(report: ReportData) -> None:
    assert "verified" in Reader(render_report(replace(report, verification=()))).text.split()
    assert "verified" not in Reader(render_report(replace(report, verification=None))).text.split()
    assert "1 problem found" in Reader(render_report(report)).text


def test_embedded_pictures_decode_to_what_was_given(report: ReportData, picture: bytes) -> None:
    sources = [image["src"] for image in Reader(render_report(report)).of("img")]
    assert len(sources) == 10
    for source in sources:
        assert source is not None
        kind, _, payload = source.partition(";base64,")
        assert kind == "data:image/jpeg"
        assert base64.b64decode(payload) == picture
        assert Image.open(io.BytesIO(base64.b64decode(payload))).size == (32, 21)


def test_every_picture_says_what_it_shows(report: ReportData) -> None:
    assert all(image["alt"] for image in Reader(render_report(report)).of("img"))


@pytest.mark.parametrize(
    "words",
    [
        "12,345",
        "67",
        "123",
        "988 records a second",
        "1 min 40 s",
        "87 %",
        "1.83 GB",
        "412 MB read",
        "0.287",
        "render 91 % 1 min 31 s 1",
        "read 3.8 % 30.5 s 8",
        "512 \N{MULTIPLICATION SIGN} 384 91 % 700 48",
        "8,000 3 3 min 21 s",
        "The intended style comes first for 55 % of 20 outputs; by chance 50 %.",
        "ink & wash \N{MINUS SIGN}0.001 0.000 Intended style first 75 % 25 % Outputs 12 8",
        "and 5 more styles that are not in the matrix",
        "34 records that another model scored are left out.",
        "… and 4 more references.",
        "30 % , with what was painted for it",
        "picture, gone 10 %",
        "CLIP text 0.352",
        "ink & wash worst.jpg CLIP text 0.112",
        "The bottleneck was render: at work 91 % of the run; devices waited 4.0 %.",
    ],
)
def test_the_numbers_shown_are_the_numbers_given(report: ReportData, words: str) -> None:
    assert words in Reader(render_report(report)).text


def test_failures_are_listed_most_frequent_first(report: ReportData) -> None:
    rows = Reader(render_report(report)).text.split("Share of failures")[1]
    assert rows.index("63") < rows.index("empty_file")


def test_a_failed_pair_shows_its_reason_in_the_gallery(picture: bytes) -> None:
    row = GalleryRow("a.jpg", picture, [GalleryCell("wave", None, {"clip_text": None}, "out_of_memory")])
    page = Reader(render_report(replace(empty(), gallery=[row])))
    assert "out_of_memory" in page.text
    assert "CLIP" not in page.text


def test_a_matrix_is_coloured_by_margin_and_framed_on_its_diagonal() -> None:
    margins = [[0.06, -0.01, 0.0], [-0.03, 0.0004, 0.03], [-0.03, 0.01, -0.06]]
    matrix = IntendedMatrix("scorer", "small", ["a", "b", "c"], margins, [1.0, 0.5, 0.0], [2, 2, 2])
    page = Reader(render_report(replace(empty(), arrivals=Arrivals([matrix]))))
    kinds = [str(cell["class"]) for cell in page.of("td") if "heat" in str(cell.get("class"))]
    assert kinds == [
        *("heat above6 own", "heat below1", "heat level"),
        *("heat below3", "heat level own", "heat above3"),
        *("heat below3", "heat above1", "heat below6 own"),
    ]
    assert all(f".{kind.split()[1]} {{" in page.css for kind in kinds if "level" not in kind)
    titles = [cell["title"] for cell in page.of("td") if "title" in cell]
    assert titles[5] == "Asked for b, made in c: +0.030"


def test_margins_that_are_nothing_get_no_strong_colour() -> None:
    matrix = IntendedMatrix("judge", "small", ["a", "b"], [[0.0003, -0.0003], [0.0, 0.0]], [1.0, 1.0], [1, 1])
    page = Reader(render_report(replace(empty(), arrivals=Arrivals([matrix]))))
    kinds = {str(cell["class"]) for cell in page.of("td") if "heat" in str(cell.get("class"))}
    assert kinds == {"heat level", "heat level own"}


def test_a_style_that_is_a_text_shows_its_words_and_what_was_painted(picture: bytes) -> None:
    plain = StyleSummary("plain", "adain", references=[StyleReference(text="black ink")])
    painted = StyleSummary("painted", "adain", references=[StyleReference(text="gold leaf", painted=picture)])
    page = Reader(render_report(replace(empty(), styles=[plain, painted])))
    assert "black ink" in page.text
    assert "painted for the text" in page.text
    assert [image["alt"] for image in page.of("img")] == ["painted for the text gold leaf"]


def test_pictures_of_tables_are_named_by_file_and_row(picture: bytes) -> None:
    rows = [StyleReference(image=picture, place=f"train-00003-of-00072.parquet#row={row}") for row in (7, 8)]
    styles = [StyleSummary("one", "adain", references=rows[:1]), StyleSummary("two", "adain", references=rows)]
    page = Reader(render_report(replace(empty(), styles=styles)))
    assert [page.text.count(row.place) for row in rows] == [2, 1]


def test_the_same_values_give_the_same_page(report: ReportData) -> None:
    assert render_report(report) == render_report(replace(report))


def test_a_bank_of_styles_is_cut_and_says_so(picture: bytes) -> None:
    reference = StyleReference(image=picture)
    styles = [StyleSummary(f"style {index}", "adain 1", references=[reference]) for index in range(1000)]
    page = render_report(replace(empty(), styles=styles))
    assert page.count("data:image/") == 48
    assert "… and 952 more styles." in page
    assert "1,000 styles" in page


def test_a_path_that_is_not_text_still_gives_a_page_that_can_be_written() -> None:
    page = render_report(replace(empty(), root=b"out/\xff".decode("utf-8", "surrogateescape")))
    assert "out/?" in page.encode("utf-8").decode("utf-8")


def test_a_gallery_of_noise_in_eight_styles_stays_within_its_bound(make_png: Callable[[int, int], bytes]) -> None:
    image = thumbnail(make_png(256, 171))
    cells = [GalleryCell(f"style {index}", image) for index in range(8)]
    rows = [GalleryRow(f"{row}.jpg", image, cells) for row in range(12)]
    page = render_report(replace(empty(), gallery=rows))
    # Noise is the worst case of JPEG: about twice the bytes of a stylized photograph.
    assert len(page.encode()) < 4_000_000
