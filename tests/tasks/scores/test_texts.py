"""Texts to compare with: from files, from words, several prompts to one row."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from tasks.encoders.clip import ClipEncoder
from tasks.records import RequestError
from tasks.scores.texts import NamedText, embed, read_texts


def test_texts_are_words_or_lines_or_named(tmp_path: Path) -> None:
    (tmp_path / "lines.txt").write_text("ink drawing\n\n  gold mosaic \n")
    (tmp_path / "named.yaml").write_text("wave: the great wave\nforest: [bamboo, a grove]\n")
    (tmp_path / "named.json").write_text('{"dots": "many dots"}')
    (tmp_path / "list.yml").write_text("- one\n- two\n")
    files = [str(tmp_path / name) for name in ("lines.txt", "named.yaml", "named.json", "list.yml")]
    texts = read_texts(["a sketch, no file", *files])
    assert [(text.name, text.prompts) for text in texts] == [
        ("a sketch, no file", ("a sketch, no file",)),
        ("ink drawing", ("ink drawing",)),
        ("gold mosaic", ("gold mosaic",)),
        ("wave", ("the great wave",)),
        ("forest", ("bamboo", "a grove")),
        ("dots", ("many dots",)),
        ("one", ("one",)),
        ("two", ("two",)),
    ]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.txt", None, "no file of texts"),
        ("a.txt", b"ink\nink\n", "comes twice"),
        ("a.txt", b"\xff\xfe\x00", "UTF-8"),
        ("a.yaml", b"wave: {text: x}\n", "no text"),
        ("a.yaml", b"a: [", "not a YAML file"),
        ("a.json", b"{", "not a JSON file"),
        ("a.yaml", b"42", "holds no texts"),
        ("a.yaml", b"wave: ''\n", "is empty"),
    ],
)
def test_a_wrong_file_of_texts_is_refused_in_a_sentence(
    tmp_path: Path, name: str, content: bytes | None, said: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(RequestError, match=said):
        read_texts([str(tmp_path / name)])


def test_a_row_of_several_prompts_is_their_mean_direction(encoder: ClipEncoder) -> None:
    ink_D, gold_D = encoder.embed_texts(["ink", "gold"])
    rows_2D = embed(encoder, [NamedText("both", ("ink", "gold"), (3.0, 1.0)), NamedText("gold", ("gold",), (0.2,))])
    torch.testing.assert_close(rows_2D, torch.stack([F.normalize(3 * ink_D + gold_D, dim=0), gold_D]))
