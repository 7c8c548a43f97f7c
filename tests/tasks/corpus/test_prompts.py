"""Corpora of prompts: four kinds of files, read in bounded memory, each prompt a content with a version of its own."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.corpus import open_corpus
from tasks.corpus.base import Entry
from tasks.corpus.prompt_rows import LINE_BYTES, Row
from tasks.corpus.prompts import MAX_CHARACTERS, WINDOW_ROWS, PromptCorpus, RowWindow
from tasks.corpus.settings import CorpusSettings
from tasks.records import RequestError
from tests.tasks.corpus.conftest import read_all

Rows = Sequence[dict[str, Any]]


def write_text(path: Path, rows: Rows) -> None:
    path.write_text("\n".join(row["prompt"] for row in rows) + "\n")


def write_csv(path: Path, rows: Rows) -> None:
    lines = [",".join(rows[0]), *(",".join(f'"{value}"' for value in row.values()) for row in rows)]
    path.write_text("\r\n".join(lines))


def write_json(path: Path, rows: Rows) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def write_parquet(path: Path, rows: Rows) -> None:
    pq.write_table(pa.Table.from_pylist(list(rows)), path, row_group_size=100)


FORMATS: dict[str, Callable[[Path, Rows], None]] = {
    "txt": write_text,
    "csv": write_csv,
    "jsonl": write_json,
    "parquet": write_parquet,
}


def open_prompts(uri: Path | str, **settings: Any) -> PromptCorpus:
    corpus = open_corpus(CorpusSettings(uri=str(uri), format="prompts", **settings))
    assert isinstance(corpus, PromptCorpus)
    return corpus


def reasons(entries: Sequence[Entry]) -> list[str | None]:
    return [entry.error and entry.error.reason for entry in entries]


@pytest.mark.parametrize("ending", FORMATS)
def test_every_row_is_a_content_with_an_id_and_its_prompt(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"words.{ending}"
    FORMATS[ending](path, [{"prompt": words} for words in ("a red boat", "  a \t hill ", "a red boat")])
    entries = read_all(str(path), format="prompts")
    assert [entry.content_id for entry in entries] == [f"words.{ending}#{n}" for n in range(3)]
    assert [entry.prompt for entry in entries] == ["a red boat", "a hill", "a red boat"]
    assert [entry.columns for entry in entries] == [{"prompt": entry.prompt} for entry in entries]
    assert (entries[2].content_uri, entries[2].data, entries[2].error) == (f"{path}#2", None, None)
    assert entries[0].content_version == entries[2].content_version != entries[1].content_version


@pytest.mark.parametrize("ending", FORMATS)
def test_any_order_of_reading_gives_the_same(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"words.{ending}"
    FORMATS[ending](path, [{"prompt": f"number {n}"} for n in range(2 * WINDOW_ROWS + 40)])
    corpus = open_prompts(path)
    pieces = corpus.pieces({})
    assert [piece.first_row for piece in pieces] == list(range(2 * WINDOW_ROWS + 40))
    for number in (550, 3, WINDOW_ROWS, WINDOW_ROWS - 1, 2 * WINDOW_ROWS, 0, 551):
        (entry,) = corpus.read(pieces[number])
        assert (entry.content_id, entry.prompt) == (f"words.{ending}#{number}", f"number {number}")


def test_threads_read_one_file_together(tmp_path: Path) -> None:
    write_text(tmp_path / "a.txt", [{"prompt": f"number {n}"} for n in range(1000)])
    corpus = open_prompts(tmp_path / "a.txt")
    with ThreadPoolExecutor(8) as pool:
        entries = list(pool.map(lambda piece: next(corpus.read(piece)), corpus.pieces({})))
    assert [entry.prompt for entry in entries] == [f"number {n}" for n in range(1000)]


def test_a_shard_takes_one_pass_over_its_file() -> None:
    class Counted:
        carried = pa.schema([])
        passes = 0

        def rows(self, start: int) -> Iterator[Row]:
            self.passes += 1
            return (Row(f"{number}") for number in range(start, 1000))

        def texts(self) -> Iterator[str]:
            return (row.text for row in self.rows(0))

    file = Counted()
    window = RowWindow(file)
    got = [window.get(number) for number in range(300, 1000)]
    assert [row and row.text for row in got] == [f"{number}" for number in range(300, 1000)]
    assert file.passes == 1
    assert window.get(1000) is None


def test_lines_added_at_the_end_change_nothing_before(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("one\n\n  \ntwo")
    before = open_prompts(path).pieces({})
    path.write_text("one\r\n\r\ntwo\r\nthree\r\n")
    after = open_prompts(path).pieces({})
    assert after[:2] == before
    assert [piece.content_ids() for piece in after] == [["a.txt#0"], ["a.txt#1"], ["a.txt#2"]]
    assert {piece.file for piece in after} == {"a.txt"}


def test_a_version_is_of_the_words_and_of_the_size(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("one\n")
    versions = {open_prompts(path, size=size).pieces({})[0].version for size in (None, 64, (64, 64), (64, 32))}
    assert len(versions) == 3
    assert sum(version.endswith("-64x32") for version in versions) == 1
    path.write_text("One\n")
    assert open_prompts(path).pieces({})[0].version not in versions


def test_a_prompt_that_changed_after_the_plan_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("one\ntwo\nthree\n")
    pieces = open_prompts(path, size=64).pieces({})
    path.write_text("one\nTWO\n")
    corpus = open_prompts(path, size=64)
    assert reasons([next(corpus.read(piece)) for piece in pieces]) == [None, "changed", "missing"]
    assert reasons(list(open_prompts(path, size=32).read(pieces[0]))) == ["changed"]
    path.unlink()
    assert reasons(list(corpus.read(pieces[0]))) == [None], "it is still in the window"
    (tmp_path / "b.txt").write_text("one")
    gone = open_prompts(tmp_path / "b.txt")
    (tmp_path / "b.txt").unlink()
    assert reasons(list(gone.read(pieces[0]))) == ["missing"]


def test_words_that_no_method_should_read_fail_alone(tmp_path: Path) -> None:
    lines = [b"good", b"bell \x07", b"caf\xe9", b"x" * MAX_CHARACTERS, b"x" * (MAX_CHARACTERS + 1), "gut ✓".encode()]
    (tmp_path / "a.txt").write_bytes(b"\n".join(lines))
    entries = read_all(str(tmp_path / "a.txt"))
    assert reasons(entries) == [None, "control_characters", "not_text", None, "too_large", None]
    assert [entry.prompt for entry in entries if entry.error] == [None] * 3
    assert all("prompt" not in entry.columns for entry in entries if entry.error)


def test_the_other_columns_of_csv_are_text(tmp_path: Path) -> None:
    text = '\ufeffprompt,label,split\na boat,3,train\n\n"a hill, ""green""\nand high",,\ncaf\xe9,x\n , 7,test\n'
    (tmp_path / "a.csv").write_text(text)
    corpus = open_prompts(tmp_path / "a.csv")
    assert corpus.carried == pa.schema([("label", pa.string()), ("split", pa.string()), ("prompt", pa.string())])
    entries = read_all(str(tmp_path / "a.csv"))
    assert entries[0].columns == {"prompt": "a boat", "label": "3", "split": "train"}
    assert entries[1].columns == {"prompt": 'a hill, "green" and high', "label": "", "split": ""}
    assert reasons(entries) == [None, None, "malformed", "empty_prompt"]
    assert entries[3].columns == {"label": " 7", "split": "test"}


def test_a_prompt_with_an_unquoted_comma_is_not_cut_in_two(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("prompt\na boat, at night\n")
    (entry,) = read_all(str(tmp_path / "a.csv"))
    assert str(entry.error) == "the row has 2 values under 1 names: quote what has a comma"


def test_json_keeps_types_where_its_first_rows_agree(tmp_path: Path) -> None:
    rows: Rows = [
        {"prompt": "one", "n": 1, "ok": True, "x": 0.5, "tags": ["a"], "mixed": 1, "later": None},
        {"n": 2, "ok": None, "x": 2, "tags": None, "mixed": "two", "prompt": "two"},
        {"prompt": "three", "n": "3"},
        {"prompt": 4},
        {"prompt": "five", "n": 2**70},
        {"prompt": None, "later": {"deep": "é"}},
    ]
    write_json(tmp_path / "a.jsonl", rows[:2])
    corpus = open_prompts(tmp_path / "a.jsonl")
    types = {"n": pa.int64(), "ok": pa.bool_(), "x": pa.float64(), "tags": pa.string(), "mixed": pa.string()}
    assert {field.name: field.type for field in corpus.carried} == {
        **types,
        "later": pa.string(),
        "prompt": pa.string(),
    }
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(rows[n % 2]) + "\n" for n in range(100)))
    with (tmp_path / "a.jsonl").open("a") as file:
        file.write("".join(json.dumps(row) + "\n" for row in rows[2:]) + 'no json\n["a list"]\n{"prompt": "\\ud800"}\n')
    entries = read_all(str(tmp_path / "a.jsonl"))
    first = {"n": 1, "ok": True, "x": 0.5, "tags": '["a"]', "mixed": "1", "later": None, "prompt": "one"}
    assert (entries[0].columns, entries[1].columns["x"], entries[1].columns["mixed"]) == (first, 2.0, "two")
    assert reasons(entries[100:]) == [
        *("malformed", "malformed", "malformed", "empty_prompt"),
        *("malformed", "malformed", "not_text"),
    ]
    assert 'holds "3", and int64' in str(entries[100].error)
    assert entries[103].columns["later"] == '{"deep": "é"}'
    table = pa.Table.from_pylist([dict(entry.columns) for entry in entries], schema=corpus.carried)
    assert table.num_rows == 107


def test_another_column_may_hold_the_prompts(tmp_path: Path) -> None:
    rows = [{"prompt": "old words", "caption": "a boat", "Corpus_Prompt": 1}]
    for ending in ("csv", "jsonl", "parquet"):
        FORMATS[ending](tmp_path / f"a.{ending}", rows)
        (entry,) = read_all(str(tmp_path / f"a.{ending}"), format="prompts", prompt="caption")
        assert entry.prompt == entry.columns["prompt"] == "a boat"
        assert entry.columns["corpus_prompt"] == "old words"
        assert str(entry.columns["corpus_Corpus_Prompt"]) == "1"
        with pytest.raises(RequestError, match=r"no column 'title': set `prompt` to one of its columns \(prompt, cap"):
            open_prompts(tmp_path / f"a.{ending}", prompt="title")


def test_parquet_keeps_its_columns_and_their_types(tmp_path: Path) -> None:
    words = pa.array(["a boat", None, "a hill"]).dictionary_encode()
    pq.write_table(pa.table({"prompt": words, "boxes": [[1.5], [], None]}), tmp_path / "a.parquet")
    entries = read_all(str(tmp_path / "a.parquet"), format="prompts")
    assert [entry.columns for entry in entries] == [
        {"prompt": "a boat", "boxes": [1.5]},
        {"boxes": []},
        {"prompt": "a hill", "boxes": None},
    ]
    assert reasons(entries) == [None, "empty_prompt", None]
    with pytest.raises(RequestError, match="'boxes' holds no text"):
        open_prompts(tmp_path / "a.parquet", prompt="boxes")


def test_auto_takes_files_of_words_for_prompts_and_parquet_for_pictures(tmp_path: Path) -> None:
    for ending in ("txt", "csv", "jsonl"):
        FORMATS[ending](tmp_path / f"a.{ending}", [{"prompt": "a boat"}])
        assert open_corpus(CorpusSettings(uri=str(tmp_path / f"a.{ending}"))).format == "prompts"
    write_parquet(tmp_path / "a.parquet", [{"prompt": "a boat"}])
    with pytest.raises(RequestError, match="no binary column of pictures"):
        open_corpus(CorpusSettings(uri=str(tmp_path / "a.parquet")))


@pytest.mark.parametrize(
    ("name", "data", "sentence"),
    [
        ("a.txt", b"", "has no prompts"),
        ("a.txt", b"\n \n", "has no prompts"),
        ("a.csv", b"", "has no column 'prompt'"),
        ("a.csv", b"prompt,label\n", "has no prompts"),
        ("a.csv", b"a boat\na hill\n", r"no column 'prompt': set `prompt` to one of its columns \(a boat\)"),
        ("a.csv", b"prompt,prompt\na,b\n", "two columns are named 'prompt'"),
        ("a.csv", b'prompt\n"' + b"x\n" * 100_000, "it is no CSV"),
        ("a.jsonl", b"words\n", "has no column 'prompt'"),
        ("a.txt", "a boat".encode("utf-16"), "not in UTF-8"),
        ("a.txt", b"x" * (2**20 + LINE_BYTES), "a line of more than"),
        ("a.parquet", b"words", "no Parquet file"),
        ("a.md", b"words", r"no file of prompts: .*\.txt, \.csv, \.jsonl, \.parquet"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_file_that_cannot_serve_is_refused_in_a_sentence(
    tmp_path: Path, name: str, data: bytes, sentence: str
) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(RequestError, match=sentence):
        open_prompts(tmp_path / name).pieces({})


def test_a_folder_and_a_column_of_text_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="no file of prompts"):
        open_prompts(tmp_path)
    (tmp_path / "a.txt").write_text("a boat")
    with pytest.raises(RequestError, match="leave `prompt` out"):
        open_prompts(tmp_path / "a.txt", prompt="caption")


@pytest.mark.parametrize("ending", FORMATS)
def test_prompts_on_another_filesystem_read_the_same(
    tmp_path: Path, memory: fsspec.AbstractFileSystem, ending: str
) -> None:
    FORMATS[ending](tmp_path / f"a.{ending}", [{"prompt": "a boat"}, {"prompt": "a hill"}])
    memory.pipe_file(f"/words/a.{ending}", (tmp_path / f"a.{ending}").read_bytes())
    entries = read_all(f"memory://words/a.{ending}", format="prompts")
    assert [entry.prompt for entry in entries] == ["a boat", "a hill"]
    assert entries[1].content_uri == f"memory://words/a.{ending}#1"


def test_a_size_is_one_number_or_two(tmp_path: Path) -> None:
    sizes = [CorpusSettings.model_validate({"uri": "a", "size": size}).size for size in (64, [96, 64], None)]
    assert sizes == [(64, 64), (96, 64), None]
    for wrong in (8, [64], [64, 64, 64], "64x64", 10_000):
        with pytest.raises(ValueError, match="size"):
            CorpusSettings.model_validate({"uri": "a", "size": wrong})
    assert hash(CorpusSettings(uri="a", size=(64, 64)))
