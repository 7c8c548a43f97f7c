"""`atelier matrix`: its options."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import typer

from pipelines.command import Json, make_absolute, print_data

Images = Annotated[
    str,
    typer.Option(help="A dataset, a folder of pictures (all below it), one picture, or Parquet; path or URI."),
]
Texts = Annotated[
    list[str] | None,
    typer.Option(
        help="Words, or a file: .txt with a text a line, .yaml or .json with `name: text`; may be given more than "
        "once. A dataset's styles bring their own texts.",
    ),
]


def matrix(
    images: Images,
    output: Annotated[str, typer.Option(help="Folder to write to; path or URI.")],
    texts: Texts = None,
    clip: Annotated[
        str, typer.Option(help="open_clip NAME/TAG, local-dir:FOLDER or embedded:NAME.")
    ] = "embedded:clip-small",
    form: Annotated[
        Literal["csv", "parquet"],
        typer.Option("--format", help="csv: rows texts, columns images. parquet: a row a text and image."),
    ] = "csv",
    top: Annotated[int, typer.Option(min=1, help="How many to retrieve, both ways.")] = 5,
    columns: Annotated[int, typer.Option(min=1, max=200, help="Images in the heat map.")] = 24,
    limit: Annotated[int | None, typer.Option(min=1, help="Compare at most so many images, drawn by the seed.")] = None,
    seed: Annotated[int, typer.Option(help="Draws the images of --limit and of the heat map.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1.")] = "auto",
    image_column: Annotated[
        str | None, typer.Option(help="Parquet column of the pictures, where several could be it.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Compare pictures with texts by CLIP: the matrix, a heat map, and a summary of retrieval both ways."""
    from pipelines.matrix import MatrixRequest, compare
    from tasks.scores.retrieval import describe

    request = MatrixRequest(
        images=make_absolute(images),
        texts=texts or (),
        clip=clip,
        output=make_absolute(output),
        form=form,
        top=top,
        columns=columns,
        limit=limit,
        seed=seed,
        device=device,
        image=image_column,
    )
    summary: dict[str, Any] = compare(request)
    print_data(summary, as_json, describe(summary))
