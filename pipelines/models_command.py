"""`atelier models` and `atelier models import`: the weights there are, and one's own made readable."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

models_app = typer.Typer()

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Snapshot = Annotated[Path, typer.Argument(help="A StyleGAN3 training snapshot, a pickle.", show_default=False)]
Output = Annotated[
    Path | None, typer.Option(help="The file to write; default: beside the snapshot, with suffix .safetensors.")
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
    _print({"embedded": cards, "official": official}, as_json, "\n".join(lines))


@models_app.command("import")
def import_model(file: Snapshot, output: Output = None, check: Check = False, as_json: Json = False) -> None:
    """Write the generator of a StyleGAN3 snapshot as safetensors, with a card. Nothing in the snapshot is run."""
    if check:
        _check(file, as_json)
        return
    from tasks.weights.importing import import_snapshot

    imported = import_snapshot(file, output)
    generator = {"name": "stylegan3", "weights": str(imported.weights)}
    data = {"weights": str(imported.weights), "card": str(imported.card), "generator": generator, **imported.facts}
    lines = (
        f"{imported.weights}\t{imported.facts['tensors']} tensors, {imported.facts['bytes'] / 1e6:.1f} MB",
        f"{imported.card}\t{imported.facts['licence']}",
        "For a job of mmist:",
        f"generator: {{name: stylegan3, weights: {json.dumps(str(imported.weights), ensure_ascii=False)}}}",
    )
    _print(data, as_json, "\n".join(lines))


def _check(file: Path, as_json: bool) -> None:
    """Print the globals of a file; exit code 2 where an import would refuse them, or anything else in it."""
    from tasks.weights.snapshots import name_globals, read_generator

    found = name_globals(file)
    lines = [f"{name}\t{'allowed' if allowed else 'NOT ALLOWED'}" for name, allowed in found.items()]
    _print({"file": str(file), "globals": found}, as_json, "\n".join(lines))
    if not all(found.values()):
        raise typer.Exit(2)
    read_generator(file)


def _print(data: Any, as_json: bool, text: str) -> None:
    typer.echo(json.dumps(data, indent=1, default=str) if as_json else text)
