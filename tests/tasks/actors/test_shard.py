"""A shard without Ray: every pair is one record or one failure, however its batches fall."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from tasks.actors import contents
from tasks.actors.orders import ShardOrder
from tasks.actors.shard import rehearse_shard, stylize_shard
from tasks.dataset.footer import ShardFooter
from tasks.dataset.forgotten import Forgotten, digest_name, mark_forgotten
from tasks.storage import Folder
from tasks.styles import PlannedStyle, pair_seed
from tests.tasks.actors.making import (
    damaged_files,
    encoded,
    failures,
    furthest,
    load,
    make_order,
    photograph,
    pixels,
    plan_styles,
    records,
    stylize,
    write_photographs,
)
from tests.tasks.encoders.small_clip import save_small_clip


def test_every_pair_is_one_record_or_one_failure_with_its_reason(tmp_path: Path, art: Path) -> None:
    corpus, styles = write_photographs(tmp_path / "photos", 4), plan_styles(art)
    for name, (data, _) in damaged_files().items():
        (corpus / name).write_bytes(data)
    footer = stylize(load(tmp_path / "out"), make_order(corpus, styles))
    assert (footer.records, footer.failed) == (4 * 2, 5 * 2)
    reasons = {(row["content_id"], row["style"]): row["error_class"] for row in failures(tmp_path / "out")}
    wanted = {(name, style.name): reason for name, (_, reason) in damaged_files().items() for style in styles}
    assert reasons == wanted
    assert {row["error_stage"] for row in failures(tmp_path / "out")} == {"decode"}
    made = [(row["content_id"], row["style"]) for row in records(tmp_path / "out")]
    assert made == [(f"p{i:02d}.jpg", style.name) for style in styles for i in range(4)]


def test_a_content_that_is_gone_fails_where_it_was_read(tmp_path: Path, styles: tuple[PlannedStyle, ...]) -> None:
    corpus = write_photographs(tmp_path / "photos", 2)
    order = make_order(corpus, styles[:1])
    (corpus / "p01.jpg").unlink()
    stylize(load(tmp_path / "out"), order)
    (failure,) = failures(tmp_path / "out")
    assert (failure["content_id"], failure["error_class"], failure["error_stage"]) == ("p01.jpg", "missing", "read")


def test_a_record_says_what_it_is(tmp_path: Path, photos: Path, styles: tuple[PlannedStyle, ...]) -> None:
    footer = stylize(load(tmp_path / "out"), make_order(photos, styles))
    row = next(r for r in records(tmp_path / "out") if r["content_id"] == "p01.jpg" and r["style"] == "blots")
    style = styles[1]
    assert (row["width"], row["height"], row["source_width"], row["source_height"]) == (43, 64, 64, 96)
    assert (row["style_digest"], row["representation"]) == (style.digest, style.representation)
    assert (row["method"], row["method_version"], row["strength"]) == ("adain", style.method.version, 1.0)
    assert row["weights_digest"] == style.weights_digest
    assert row["seed"] == pair_seed(0, "p01.jpg", style.digest)
    assert row["image"]["path"].startswith("p01--blots--")  # type: ignore[index]
    assert 0 < float(str(row["seconds"])) <= footer.seconds["busy"] + footer.seconds["decode"]
    assert row["clip_content"] is None


def test_batches_never_change_pixels(tmp_path: Path, styles: tuple[PlannedStyle, ...]) -> None:
    corpus = write_photographs(tmp_path / "photos", 9)
    order = make_order(corpus, styles)
    fills = [
        stylize(load(tmp_path / name, batch_pixels=size), order)
        for name, size in (("tiny", 1), ("large", 2**24), ("again", 2**24))
    ]
    tiny, large, again = (pixels(tmp_path / name) for name in ("tiny", "large", "again"))
    assert furthest(tiny, large) <= 1
    assert furthest(large, again) == 0
    assert [sum(size.batches for size in footer.batches) for footer in fills] == [9, 3, 3]


def test_an_upright_copy_of_a_turned_picture_gives_the_same(tmp_path: Path, styles: tuple[PlannedStyle, ...]) -> None:
    corpus = tmp_path / "photos"
    corpus.mkdir()
    upright = photograph(60, 40, seed=3)
    turned = Image.Exif()
    turned[0x0112] = 6
    (corpus / "turned.png").write_bytes(encoded(upright.transpose(Image.Transpose.ROTATE_90), "png", exif=turned))
    (corpus / "upright.png").write_bytes(encoded(upright, "png"))
    stylize(load(tmp_path / "out"), make_order(corpus, styles[:1]))
    made = pixels(tmp_path / "out")
    assert made["turned.png", "bars"].shape == (40, 60, 3)
    assert np.abs(made["turned.png", "bars"] - made["upright.png", "bars"]).max() == 0


def test_odd_sizes_come_out_as_they_went_in(tmp_path: Path, styles: tuple[PlannedStyle, ...]) -> None:
    corpus = tmp_path / "photos"
    corpus.mkdir()
    sizes = {"dot.png": (1, 1), "line.png": (300, 2), "tall.png": (7, 64), "square.png": (33, 33)}
    for name, size in sizes.items():
        (corpus / name).write_bytes(encoded(photograph(*size, seed=1), "png"))
    order = make_order(corpus, styles[:1], images=make_order(corpus, styles).images.model_copy(update={"size": "keep"}))
    stylize(load(tmp_path / "out"), order)
    assert {name: made.shape[1::-1] for (name, _), made in pixels(tmp_path / "out").items()} == sizes


def test_columns_of_a_table_are_carried(tmp_path: Path, styles: tuple[PlannedStyle, ...]) -> None:
    rows = [
        {"image": {"bytes": encoded(photograph(48, 32, seed=i)), "path": None}, "label": i % 2, "seed": i * 100}
        for i in range(5)
    ]
    rows[3]["image"] = {"bytes": b"no picture at all", "path": None}
    (tmp_path / "corpus").mkdir()
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "corpus" / "rows.parquet", row_group_size=2)
    footer = stylize(load(tmp_path / "out"), make_order(tmp_path / "corpus", styles[:1]))
    assert (footer.records, footer.failed) == (4, 1)
    made = {row["content_id"]: row for row in records(tmp_path / "out")}
    assert [row["label"] for row in made.values()] == [0, 1, 0, 0]
    assert made["rows.parquet#2"]["corpus_seed"] == 200
    (failure,) = failures(tmp_path / "out")
    assert (failure["label"], failure["error_class"]) == (1, "not_an_image")


def test_styles_of_different_strength_share_a_shard(tmp_path: Path, photos: Path, art: Path) -> None:
    full, none = plan_styles(art)[0], plan_styles(art, strength=0.0)[1]
    assert full.wave == none.wave
    stylize(load(tmp_path / "both"), make_order(photos, (full, none)))
    stylize(load(tmp_path / "one"), make_order(photos, (none,)))
    both, one = pixels(tmp_path / "both"), pixels(tmp_path / "one")
    assert furthest({pair: both[pair] for pair in one}, one) <= 1
    assert {row["style"]: row["strength"] for row in records(tmp_path / "both")} == {"bars": 1.0, "blots": 0.0}


def test_the_footer_adds_up(tmp_path: Path, photos: Path, styles: tuple[PlannedStyle, ...]) -> None:
    footer = stylize(load(tmp_path / "out", actors=3), make_order(photos, styles))
    assert (footer.plan, footer.shard, footer.attempt, footer.actors, footer.device) == (1, 0, 0, 3, "cpu")
    assert sum(size.images for size in footer.batches) == 6
    assert {(size.height, size.width) for size in footer.batches} == {(48, 64), (64, 48), (64, 64)}
    assert all(0 < size.fill <= 1 for size in footer.batches)
    assert footer.source_bytes == sum(path.stat().st_size for path in photos.iterdir())
    seconds = footer.seconds
    own = sum(seconds.get(s, 0.0) for s in ("load", "wait", "encode", "render", "wait_codec", "publish"))
    assert 0 < own <= seconds["busy"] + 0.01
    assert seconds["decode"] > 0 < seconds["compress"]
    standing = pq.read_metadata(tmp_path / "out" / "data" / "00001-00000.parquet").metadata[b"atelier"]
    assert ShardFooter.model_validate_json(standing).records == 12


def test_a_second_attempt_finds_the_first_ones_commit(
    tmp_path: Path, photos: Path, styles: tuple[PlannedStyle, ...]
) -> None:
    order = make_order(photos, styles)
    first = stylize(load(tmp_path / "out"), order)
    before = (tmp_path / "out" / "data" / "00001-00000.parquet").read_bytes()
    second = stylize(load(tmp_path / "out"), order.again())
    assert (tmp_path / "out" / "data" / "00001-00000.parquet").read_bytes() == before
    assert (second.token, second.attempt) == (first.token, 0)


def test_excluded_contents_fail_and_are_not_touched(
    tmp_path: Path, photos: Path, styles: tuple[PlannedStyle, ...]
) -> None:
    order = make_order(photos, styles).again({"p02.jpg": "process_died"})
    footer = stylize(load(tmp_path / "out"), order)
    assert (footer.records, footer.failed, footer.attempt) == (10, 2, 1)
    assert {(r["content_id"], r["error_class"], r["error_stage"]) for r in failures(tmp_path / "out")} == {
        ("p02.jpg", "process_died", "process")
    }


def test_contents_that_took_a_process_down_together_run_one_at_a_time(
    tmp_path: Path, photos: Path, styles: tuple[PlannedStyle, ...]
) -> None:
    order = make_order(photos, styles)
    together, alone = stylize(load(tmp_path / "a"), order), stylize(load(tmp_path / "b"), order.again(alone=True))
    assert sum(size.batches for size in together.batches) == 3
    assert sum(size.batches for size in alone.batches) == 6
    assert furthest(pixels(tmp_path / "a"), pixels(tmp_path / "b")) <= 1


def test_a_rehearsal_touches_one_content_and_writes_nothing(
    tmp_path: Path, photos: Path, styles: tuple[PlannedStyle, ...]
) -> None:
    order = make_order(photos, styles).only("p03.jpg")
    told: list[list[str]] = []
    rehearse_shard(load(tmp_path / "out"), order, lambda in_hand, _: told.append(in_hand))
    assert {content for in_hand in told for content in in_hand} == {"p03.jpg"}
    assert not (tmp_path / "out" / "data").exists()


def test_contents_are_announced_before_they_are_touched(
    tmp_path: Path, styles: tuple[PlannedStyle, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus = write_photographs(tmp_path / "photos", 40)
    order = make_order(corpus, styles[:1])
    announced: set[str] = set()
    last: list[tuple[list[str], int]] = []
    touched_early: list[str] = []
    decode = contents._decode

    def watched(item: contents._ReadEntry, order: ShardOrder) -> contents.ShardContent:
        if item.entry.content_id not in announced:
            touched_early.append(item.entry.content_id)
        return decode(item, order)

    def note(in_hand: list[str], rows: int) -> None:
        announced.update(in_hand)
        last.append((in_hand, rows))

    monkeypatch.setattr(contents, "_decode", watched)
    stylize_shard(load(tmp_path / "out", batch_pixels=1), order, note)
    assert (touched_early, len(announced)) == ([], 40)
    assert last[-1] == ([], 40)
    assert max(len(in_hand) for in_hand, _ in last) < 40


def test_records_are_scored_where_a_model_is_named(
    tmp_path: Path, photos: Path, styles: tuple[PlannedStyle, ...]
) -> None:
    clip = f"local-dir:{save_small_clip(tmp_path / 'clip')}"
    loaded = load(tmp_path / "out", clip=clip)
    stylize(loaded, make_order(photos, styles))
    rows = records(tmp_path / "out")
    assert {row["clip_model"] for row in rows} == {loaded.clip_model}
    for name in ("clip_image", "clip_content", "clip_direction"):
        assert all(-1 <= float(str(row[name])) <= 1 for row in rows)
    assert {row["clip_text"] for row in rows} == {None}
    assert len({row["clip_image"] for row in rows}) == len(rows)


def test_what_was_taken_down_is_neither_read_nor_rendered(
    tmp_path: Path, photos: Path, styles: tuple[PlannedStyle, ...]
) -> None:
    order = make_order(photos, styles)
    folder = Folder(str(tmp_path / "out"))
    mark_forgotten(folder, Forgotten(frozenset({digest_name("p01.jpg")}), frozenset({digest_name(styles[1].digest)})))
    loaded = load(tmp_path / "out")
    announced: list[str] = []
    footer = stylize_shard(loaded, order, lambda ids, _: announced.extend(ids))
    left = len(order.contents()) - 1
    assert (footer.records, footer.failed, footer.forgotten) == (left, 0, order.pairs - left)
    assert "p01.jpg" not in announced
    assert {(row["content_id"], row["style"]) for row in records(tmp_path / "out")} == {
        (content_id, styles[0].name) for content_id in order.contents() if content_id != "p01.jpg"
    }
    assert loaded.store.keys("adain") == {styles[0].representation}


def test_a_shard_of_which_all_was_taken_down_is_committed_empty(
    tmp_path: Path, photos: Path, styles: tuple[PlannedStyle, ...]
) -> None:
    order = make_order(photos, styles)
    mark_forgotten(
        Folder(str(tmp_path / "out")), Forgotten(styles=frozenset(digest_name(style.digest) for style in styles))
    )
    footer = stylize_shard(load(tmp_path / "out"), order, lambda *_: None)
    assert (footer.records, footer.failed, footer.forgotten) == (0, 0, order.pairs)
    assert not (tmp_path / "out" / "representations").exists()
