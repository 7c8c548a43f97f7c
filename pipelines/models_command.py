"""`atelier models` and `atelier models import`: the weights there are, and one's own made readable."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from pipelines.command import Json, print_data

models_app = typer.Typer()

Source = Annotated[
    Path,
    typer.Argument(
        help="A StyleGAN3 training snapshot, a pickle; or embeddings.pt of InST's authors, a zip of torch's.",
        show_default=False,
    ),
]
Output = Annotated[
    Path | None, typer.Option(help="The file to write; default: beside the other, with suffix .safetensors.")
]
Check = Annotated[
    bool,
    typer.Option("--check", help="Write nothing: list the globals that the file names, and which are not allowed."),
]


@models_app.callback(invoke_without_command=True)
def models(context: typer.Context, as_json: Json = False) -> None:
    """List the weights there are: embedded ones, and official checkpoints with their source and licence."""
    if context.invoked_subcommand is not None:
        return
    from dataclasses import asdict

    from tasks.weights.catalog import CHECKPOINTS, embedded_card, embedded_names

    cards = {f"embedded:{name}": embedded_card(name) for name in embedded_names()}
    official = {name: asdict(checkpoint) for name, checkpoint in CHECKPOINTS.items()}
    lines = [f"{name}\t{c['bytes'] / 1e6:.1f} MB, {c['licence']}, {c['network']}" for name, c in cards.items()]
    lines += [
        f"{name}\t{c['file']}, {c['size'] / 1e6:.1f} MB, {c['licence']}, {c['source']}" for name, c in official.items()
    ]
    print_data({"embedded": cards, "official": official}, as_json, "\n".join(lines))


@models_app.command("import")
def import_model(file: Source, output: Output = None, check: Check = False, as_json: Json = False) -> None:
    """Write a StyleGAN3 snapshot's generator, or the attention of InST's embeddings.pt, as safetensors with a card.

    Which of them a file is, is found out by looking. Nothing in it is run.
    """
    if check:
        _check(file, as_json)
        return
    from tasks.weights.importing import import_weights

    imported = import_weights(file, output)
    method, setting = _use(imported.kind, str(imported.weights))
    data = {"weights": str(imported.weights), "card": str(imported.card), **setting, **imported.facts}
    lines = (
        f"{imported.weights}\t{imported.facts['tensors']} tensors, {imported.facts['bytes'] / 1e6:.1f} MB",
        f"{imported.card}\t{imported.facts['licence']}",
        f"For a job of {method}:",
        *(f"{key}: {_as_flow(values, imported.weights)}" for key, values in setting.items()),
    )
    print_data(data, as_json, "\n".join(lines))


def _use(kind: str, weights: str) -> tuple[str, dict[str, dict[str, str]]]:
    """The method that reads imported weights, and what its job says of them."""
    if kind == "generator":
        return "mmist", {"generator": {"name": "stylegan3", "weights": weights}}
    model = "local-dir:FOLDER"  # which only the user knows
    return "inst", {"method": {"name": "inst", "variant": "official", "attention": weights, "weights": model}}


def _as_flow(values: dict[str, str], path: Path) -> str:
    """YAML on one line; the path among the values is quoted, as it may have any characters."""
    quoted = json.dumps(str(path), ensure_ascii=False)
    return "{" + ", ".join(f"{key}: {quoted if value == str(path) else value}" for key, value in values.items()) + "}"


def _check(file: Path, as_json: bool) -> None:
    """Print the globals of a file; exit code 2 where an import would refuse them, or anything else in it."""
    from tasks.weights import embeddings, snapshots

    is_archive = embeddings.is_archive(file)
    found = embeddings.name_globals(file) if is_archive else snapshots.name_globals(file)
    lines = [f"{name}\t{'allowed' if allowed else 'NOT ALLOWED'}" for name, allowed in found.items()]
    print_data({"file": str(file), "globals": found}, as_json, "\n".join(lines))
    if not all(found.values()):
        raise typer.Exit(2)
    read = embeddings.read_attention if is_archive else snapshots.read_generator
    read(file)
