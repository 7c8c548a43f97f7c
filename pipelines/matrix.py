"""The text-image similarity matrix of any pictures: read, embed, compare, write.

Dimension key: T texts, N images, D embedding.
"""

from __future__ import annotations

import json
import posixpath
import tempfile
import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from tasks.corpus.folder import SUFFIXES
from tasks.dataset.identity import read_identity
from tasks.dataset.pictures import Picture, Pictures, open_pictures
from tasks.encoders.clip import ClipEncoder, open_clip_model
from tasks.images.fitting import Pixels
from tasks.records import RequestError
from tasks.report.heatmap import Column, Heatmap, Row, draw_heatmap, shade
from tasks.scores.embedding import embed_pictures
from tasks.scores.matrix import NO_TEXT, Floats, Intended, Nearest, Retrieved, SimilarityMatrix
from tasks.scores.retrieval import summarize_intended, summarize_margins, summarize_texts
from tasks.scores.tables import Format, Labels, write_images, write_matrix
from tasks.scores.texts import NamedText, embed, read_texts
from tasks.storage import Folder, shorten_error, storage_errors
from tasks.styles import PlannedStyle

HEATMAP, SUMMARY = "heatmap.png", "summary.json"
HEATMAP_ROWS = 40  # more texts than this make no picture that one can read


@dataclass(frozen=True)
class MatrixRequest:
    """What to compare, and where to write it; `image` is the Parquet column of pictures, where several could be."""

    images: str
    texts: Sequence[str]
    clip: str
    output: str
    form: Format = "csv"
    top: int = 5
    columns: int = 24
    limit: int | None = None
    seed: int = 0
    device: str = "auto"
    image: str | None = None


@dataclass
class Gathered:
    """What was read: names, styles and embeddings of the good pictures, thumbnails of a few, and what was not."""

    pictures: list[Picture] = field(default_factory=list)
    embeddings: list[torch.Tensor] = field(default_factory=list)
    thumbnails: dict[int, Pixels] = field(default_factory=dict)
    skipped: list[dict[str, str]] = field(default_factory=list)


@dataclass(frozen=True)
class Compared:
    """A matrix with what its rows and columns are, and what was found in it."""

    labels: Labels
    matrix: SimilarityMatrix
    nearest: Nearest
    retrieved: Retrieved
    intended: Intended


def compare(request: MatrixRequest) -> dict[str, Any]:
    """Write matrix, images, heat map and summary under the request's output; gives the summary.

    Raises RequestError where pictures, texts, model or output are wrong. A picture that cannot be read is skipped
    and named in the summary.
    """
    listed = open_pictures(request.images, request.image)
    texts = read_texts(request.texts) if request.texts else style_texts(listed)
    output = _open_output(request)
    encoder = open_clip_model(request.clip, choose_device(request.device))
    pictures = listed.sample(request.limit, request.seed)
    gathered = gather(encoder, pictures, request.columns, request.seed)
    compared = _compare(encoder, texts, gathered, request.top)
    summary = _summarize(request, encoder, compared, gathered) | {"listed": len(listed)}
    with tempfile.TemporaryDirectory(prefix="atelier-matrix-") as place:
        folder = Path(place)
        names = write_matrix(folder, compared.matrix, compared.labels, request.form)
        names.append(write_images(folder, compared.labels, compared.nearest, compared.intended, request.form))
        (folder / HEATMAP).write_bytes(draw_heatmap(draft_heatmap(compared, gathered.thumbnails, encoder.name)))
        summary["files"] = [*names, HEATMAP, SUMMARY]
        (folder / SUMMARY).write_text(json.dumps(summary, indent=1, ensure_ascii=False), encoding="utf-8")
        _send(folder, summary["files"], output)
    return summary


def choose_device(name: str) -> str:
    """The device to compute on; `auto` is a GPU where there is one. Raises RequestError at one that is not there."""
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise RequestError(f"There is no device {name!r} here: write cpu, cuda or auto.") from error
    return name


def style_texts(pictures: Pictures) -> list[NamedText]:
    """The texts of a dataset's styles, with their weights. Raises RequestError where there are none."""
    found = [_style_text(style) for style in pictures.styles.values()]
    texts = [text for text in found if text]
    if not texts:
        why = "The dataset's styles have no texts" if pictures.is_dataset else "There is nothing to compare with"
        raise RequestError(f"{why}: give --texts, words or a file (a YAML mapping `style: text` for a dataset).")
    return texts


def _style_text(style: PlannedStyle) -> NamedText | None:
    references = [reference for reference in style.references if reference.text]
    prompts = tuple(str(reference.text) for reference in references)
    return NamedText(style.name, prompts, tuple(r.weight for r in references)) if prompts else None


def gather(encoder: ClipEncoder, pictures: Pictures, columns: int, seed: int) -> Gathered:
    """Embed every picture; keep thumbnails of some, drawn by the seed, for the heat map.

    Raises RequestError where none could be read.
    """
    gathered = Gathered()
    # At random, for every sixth picture of six styles by turns would show one style; from the first readable one on.
    due = [0, *sorted(Random(seed).sample(range(len(pictures)), min(columns, len(pictures))))[1:]]
    stream = embed_pictures(encoder, ((picture, picture.load) for picture in pictures))
    for position, seen in enumerate(tqdm(stream, total=len(pictures), unit="image", disable=None)):
        if seen.embedding_D is None or seen.thumbnail_SSC is None:
            reason = seen.error.reason if seen.error else "unreadable"
            gathered.skipped.append({"image": seen.key.name, "reason": reason, "message": str(seen.error)})
            continue
        # Where the picture that was due could not be read, the next one stands in for it.
        if due and position >= due[0]:
            gathered.thumbnails[len(gathered.pictures)] = seen.thumbnail_SSC
            due.pop(0)
        gathered.pictures.append(seen.key)
        gathered.embeddings.append(seen.embedding_D)
    if not gathered.pictures:
        first = gathered.skipped[0] if gathered.skipped else {"image": "", "message": "there are none"}
        raise RequestError(
            f"None of the {len(pictures)} pictures of {pictures.uri} can be read ({first['image']}: "
            f"{first['message']}): name others."
        )
    return gathered


def _compare(encoder: ClipEncoder, texts: Sequence[NamedText], gathered: Gathered, top: int) -> Compared:
    matrix = SimilarityMatrix(embed(encoder, texts), torch.stack(gathered.embeddings), encoder.logit_scale)
    rows = {text.name: row for row, text in enumerate(texts)}
    styles = [picture.style for picture in gathered.pictures]
    wanted_N = np.array([rows.get(style, NO_TEXT) if style else NO_TEXT for style in styles], dtype=np.int64)
    return Compared(
        Labels(texts, unique_names([picture.name for picture in gathered.pictures]), styles),
        matrix,
        matrix.nearest_texts(top),
        matrix.nearest_images(top),
        matrix.intended(wanted_N),
    )


def unique_names(names: Sequence[str]) -> list[str]:
    """Names of columns: a dataset may hold two versions of one content in one style."""
    seen: Counter[str] = Counter()
    unique = []
    for name in names:
        seen[name] += 1
        unique.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return unique


def _summarize(request: MatrixRequest, encoder: ClipEncoder, compared: Compared, gathered: Gathered) -> dict[str, Any]:
    found = compared.labels, compared.nearest, compared.retrieved
    return {
        "source": request.images,
        "output": request.output,
        "clip": encoder.name,
        "temperature": 1 / encoder.logit_scale,
        "images": len(gathered.pictures),
        "limit": request.limit,
        "seed": request.seed,
        "skipped": gathered.skipped,
        "leads": summarize_margins(compared.nearest),
        "intended": summarize_intended(*found, compared.intended),
        "texts": summarize_texts(*found),
    }


def draft_heatmap(compared: Compared, thumbnails: dict[int, Pixels], clip: str) -> Heatmap:
    """The heat map of the images that have thumbnails, those of one style side by side."""
    images = sorted(thumbnails, key=lambda image: (compared.intended.texts_N[image] % (1 << 32), image))
    rows = choose_rows(compared, images)
    places = {row: place for place, row in enumerate(rows)}
    values_TN = compared.matrix.cosines(rows, images)
    texts = [compared.labels.texts[row] for row in rows]
    columns = [
        Column(
            name=short_name(compared.labels.images[image]),
            thumbnail_SSC=thumbnails[image],
            style=compared.labels.styles[image] or "",
            nearest=places.get(int(compared.nearest.texts_NK[image, 0])) if len(rows) > 1 else None,
            intended=places.get(int(compared.intended.texts_N[image])),
        )
        for image in images
    ]
    return Heatmap(
        title=f"Text-image similarity, {clip}",
        rows=[Row(text.name, text.text if text.text != text.name else "") for text in texts],
        columns=columns,
        values_TN=values_TN,
        shades_TN=_shades(compared, rows, values_TN),
        caption=_caption(compared, len(rows), columns),
    )


def _shades(compared: Compared, rows: Sequence[int], values_TN: Floats) -> Floats:
    """Along each row, over all images; of one image alone, along its column."""
    if compared.matrix.shape[1] == 1:
        return shade(values_TN, values_TN.mean(0), values_TN.std(0))
    mean_T1, deviation_T1 = compared.matrix.statistics_2T[:, list(rows)].float().numpy()[:, :, None]
    return shade(values_TN, mean_T1, deviation_T1)


def short_name(name: str) -> str:
    """What stands under a thumbnail: a file's name without its folders and ending."""
    stem, ending = posixpath.splitext(posixpath.basename(name))
    return stem if ending.lower() in SUFFIXES else stem + ending


def choose_rows(compared: Compared, images: Sequence[int]) -> list[int]:
    """The texts to show, in their order: all, or where they are many the intended and the nearest of the images."""
    texts, _ = compared.matrix.shape
    if texts <= HEATMAP_ROWS:
        return list(range(texts))
    intended = [int(compared.intended.texts_N[image]) for image in images]
    nearest = compared.nearest.texts_NK[list(images)].T.ravel().tolist()
    order = dict.fromkeys([*(row for row in intended if row != NO_TEXT), *nearest, *range(texts)])
    return sorted(list(order)[:HEATMAP_ROWS])


def _caption(compared: Compared, rows: int, columns: Sequence[Column]) -> str:
    texts, images = compared.matrix.shape
    usual = "for its text over all images (row by row)" if images > 1 else "among the texts"
    parts = ["Values are cosines." if images == 1 else "Values are cosines; compare them along a row."]
    parts.append(f"Colours: how far a value lies from what is usual {usual}.")
    if texts > 1:
        parts.append("Dot: the image's nearest text.")
    if any(column.intended is not None for column in columns):
        parts.append("Frame: the text of the style that the image was stylized with.")
    if len(columns) < images:
        parts.append(f"{len(columns)} of {images:,} images, drawn at random.")
    if rows < texts:
        parts.append(f"{rows} of {texts:,} texts: the intended and the nearest ones.")
    return " ".join(parts)


def _open_output(request: MatrixRequest) -> Folder:
    """The folder to write to, tried before any picture is read. Raises RequestError."""
    output, source = Folder(request.output), Folder(request.images)
    inside = (
        f"{output.path}/".startswith(f"{source.path}/") and output.filesystem.protocol == source.filesystem.protocol
    )
    # Of a dataset only `data/` is read.
    if inside and read_identity(source) is None:
        raise RequestError(f"The output {request.output} lies among the pictures: name a folder outside of them.")
    probe = f".atelier-probe-{uuid.uuid4().hex}"
    try:
        output.publish(probe, b"", create=False)
        output.delete(probe)
    except storage_errors(output.filesystem) as error:
        raise RequestError(f"Nothing can be written under {request.output}: {shorten_error(error)}.") from error
    return output


def _send(folder: Path, names: Sequence[str], output: Folder) -> None:
    """Put finished files in their place, the summary last: where it is, the others are."""
    try:
        output.delete(SUMMARY)
        for name in names:
            output.filesystem.put_file(str(folder / name), output.within(name))
    except storage_errors(output.filesystem) as error:
        raise RequestError(f"{output.uri} cannot be written to ({shorten_error(error)}): check its space.") from error
