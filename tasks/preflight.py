"""Preflight: everything that can be known to be wrong before an actor starts, each as one sentence."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING

from tasks.corpus import open_corpus
from tasks.corpus.base import Corpus
from tasks.corpus.folder import FolderCorpus
from tasks.corpus.labels import check_labels
from tasks.corpus.masks import check_masks
from tasks.corpus.prompts import PromptCorpus
from tasks.corpus.settings import CorpusSettings
from tasks.dataset.identity import DatasetIdentity, check_identity
from tasks.encoders.clip_models import find_model
from tasks.expansion import StyleSource, expand_styles, has_table, list_styles
from tasks.images.decoding import decode, decode_levels
from tasks.images.settings import ImageSettings
from tasks.labelled.rows import ROWS
from tasks.labelled.settings import TableSettings
from tasks.labelled.wording import Say
from tasks.methods.settings import MethodSettings
from tasks.paths import PathSettings
from tasks.plan import planned_pictures, read_chain
from tasks.records import ImageError, RequestError
from tasks.storage import Folder
from tasks.style_settings import StyleSettings
from tasks.styles import PlannedStyle, is_composite, plan_style, read_reference

if TYPE_CHECKING:
    from tasks.store import RepresentationStore  # loads torch


def prepare_styles(
    styles: StyleSource,
    default: MethodSettings,
    output: str | None = None,
    keep: Folder | None = None,
    say: Say = lambda _: None,
    corpus: str | None = None,
) -> tuple[PlannedStyle, ...]:
    """Styles with their digests: weights resolve, pictures read, and each method can use what it is given.

    Pictures of tables are not read again where plans of the dataset at `output` chose them from the same files, and
    are copied into `keep`. Folders of masks are told apart by their places beside the `corpus`.
    """
    _check_methods([one for one in list_styles(styles) if not isinstance(one, PathSettings)], default)
    if output is not None and has_table(styles):
        ROWS.remember(planned_pictures(read_chain(Folder(output))))
    planned = tuple(plan_style(style, default, corpus) for style in expand_styles(styles, say, keep))
    _check_masks(planned)
    return planned


def check_pictures(styles: Sequence[PlannedStyle], store: RepresentationStore) -> None:
    """Decode the pictures of styles that are still to be represented. Raises RequestError naming the style."""
    for style in missing_styles(styles, store):
        for reference in style.references:
            if reference.image is not None:
                _check_picture(style.name, reference.image)


def missing_styles(styles: Sequence[PlannedStyle], store: RepresentationStore) -> list[PlannedStyle]:
    """Styles without a representation, one for each key."""
    held = {name: store.keys(name) for name in {style.method.name for style in styles}}
    plain = [style for style in styles if style.draw is None]  # a draw's are in its bank
    missing = {s.representation: s for s in plain if s.representation not in held[s.method.name]}
    return list(missing.values())


def check_output(uri: str, images: ImageSettings, seed: int) -> Folder:
    """The output's folder: it keeps a create-only promise, and its dataset, if any, is this one."""
    folder = Folder(uri)
    folder.probe()
    check_identity(folder, DatasetIdentity(images=images, seed=seed))
    return folder


def check_clip(reference: str) -> None:
    """The model that scores is one that can be had. Raises RequestError."""
    if reference != "none":
        find_model(reference)


def settle_format(corpus: CorpusSettings, styles: StyleSource | Sequence[PlannedStyle] = ()) -> CorpusSettings:
    """The corpus with its format found out, so that no actor has to look, and with the masks that styles read.

    Raises RequestError on an empty corpus, and on one that has no such masks.
    """
    opened = open_corpus(corpus)
    for style in () if isinstance(styles, str | TableSettings) else styles:
        if isinstance(style, TableSettings | PathSettings):
            continue
        if style.regions is not None and style.regions.reads_masks:
            check_masks(style.name, style.regions, opened)
    if corpus.labels is not None:
        _check_labels(corpus, opened)
    return corpus.model_copy(update={"format": opened.format})


def _check_labels(corpus: CorpusSettings, opened: Corpus) -> None:
    labels = corpus.labels
    assert labels is not None
    if labels.label == "folder" and opened.format != FolderCorpus.format:
        raise RequestError(
            f"The corpus {corpus.uri} is {opened.format}, whose labels are columns: leave `label: folder` out."
        )
    check_labels(labels, opened.carried, corpus.uri)


def settle_prompts(
    corpus: CorpusSettings, styles: StyleSource, default: MethodSettings, images: ImageSettings
) -> CorpusSettings:
    """The corpus, if it is one of prompts, with the size of its pictures; its format is found out before.

    Raises RequestError where no size is known, a style cannot be made of prompts, or the corpus is pictures and the
    job says of them what only prompts have.
    """
    if corpus.format != PromptCorpus.format:
        if corpus.prompt is not None or corpus.size is not None:
            raise RequestError(
                f"The corpus {corpus.uri} is pictures, and only prompts have a `prompt` or a `size` there: leave them "
                "out (`images: {size: ...}` is the size of pictures)."
            )
        return corpus
    _check_prompted(corpus.uri, styles, default)
    return corpus.model_copy(update={"size": corpus.size or _square(corpus, images)})


def _check_prompted(corpus: str, styles: StyleSource, default: MethodSettings) -> None:
    given = [one for one in list_styles(styles) if not isinstance(one, PathSettings)]
    for style in given:
        if isinstance(style, StyleSettings) and is_composite(style):
            raise RequestError(
                f"Style {style.name!r} has regions, and the corpus {corpus} is prompts, which have no picture to lay "
                "them on: leave them out."
            )
    for method in {style.method or default for style in given} or {default}:
        if not method.accepts_prompts:
            raise RequestError(
                f"The corpus {corpus} is prompts, and the method {method.name!r} needs a picture to style: name a "
                "method that makes pictures of prompts, such as inst, or a corpus of pictures."
            )


def _square(corpus: CorpusSettings, images: ImageSettings) -> tuple[int, int]:
    if images.size == "keep":
        raise RequestError(
            f"The prompts of {corpus.uri} have no size to keep: set the corpus's `size` to [width, height], or "
            "`images: {size: ...}` to a number."
        )
    return images.size, images.size


def _check_methods(given: Sequence[StyleSettings | TableSettings], default: MethodSettings) -> None:
    """Each method has its weights, and can use what it is given; asked before a picture is read."""
    for method in {style.method or default for style in given} or {default}:
        method.weight_digests()
    for style in given:
        _check_use(style, style.method or default)
    for method in {style.method or default for style in given}:
        _check_ready(method, [style for style in given if (style.method or default) == method])


def _check_ready(method: MethodSettings, styles: Sequence[StyleSettings | TableSettings]) -> None:
    """What stands ready for a text is whole, and some style has that text."""
    references = [reference for style in styles if isinstance(style, StyleSettings) for reference in style.references]
    texts = {reference.text for reference in references if reference.text is not None}
    worded = any(isinstance(style, TableSettings) and style.text is not None for style in styles)  # texts of classes
    for text in () if worded else method.text_weights():
        if text not in texts:
            near = get_close_matches(text, texts, 1, 0.0)
            raise RequestError(
                f"The method {method.name!r} has weights for the text {text!r}, which no style has: "
                + (f"did you mean {near[0]!r}?" if near else "leave them out.")
            )
    method.check_text_weights()


def _check_use(style: StyleSettings | TableSettings, method: MethodSettings) -> None:
    if isinstance(style, TableSettings):
        _check_texts(f"The table {style.table}", style.text is not None, method)
        return
    _check_texts(f"Style {style.name!r}", any(reference.text for reference in style.references), method)
    if is_composite(style) and not method.accepts_masks:
        raise RequestError(
            f"Style {style.name!r} has regions, and the method {method.name!r} styles a picture as a whole: "
            "leave them out, or name a method that has them, such as style_kernel, adaattn or adain."
        )


def _check_texts(what: str, has_text: bool, method: MethodSettings) -> None:
    if has_text and not method.accepts_texts:
        raise RequestError(
            f"{what} has a text, and the method {method.name!r} takes pictures only: give it pictures, or another "
            "method."
        )
    texts = method.text_settings() if has_text else None
    if texts is not None:
        find_model(texts.clip)


def _check_masks(styles: Sequence[PlannedStyle]) -> None:
    """Decode the masks of references. They are in no representation: every run of a style reads them again."""
    for style in styles:
        for reference in style.references:
            if isinstance(reference.mask, str):
                _check_picture(style.name, reference.mask, decode_levels)


def _check_picture(style: str, uri: str, read: Callable[[bytes], object] = decode) -> None:
    known = ROWS.checked(uri)
    if known is not None and known.sha256 is not None:
        return
    try:
        read(read_reference(uri, style))
    except ImageError as error:
        raise RequestError(f"Style {style!r}: {uri} is no usable picture ({error}): replace it.") from error
