"""`atelier train NETWORK` and `atelier train export`: their options."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

train_app = typer.Typer(help="Train the networks that we ship.", no_args_is_help=True)

Photos = Annotated[
    list[str], typer.Option(help="Photographs: a folder, Parquet, or a URI of either; may be given more than once.")
]
Art = Annotated[list[str], typer.Option(help="Art, given as photographs are.")]
Unseen = Annotated[list[str], typer.Option(help="Unseen pictures of the kind, for the figures on the card.")]
Perceptual = Annotated[
    list[str], typer.Option(help="VGG weights that judge: one file that reaches relu4_1, or an exact and a deep one.")
]
Image = Annotated[
    str | None, typer.Option("--image", metavar="COLUMN", help="Parquet column of the pictures, where several could be")
]
Run = Annotated[Path, typer.Option(help="Folder of the run: checkpoint, losses, sheets.")]
Recipe = Annotated[Path | None, typer.Option(help="YAML with `recipe:` and `loop:` settings.")]
Steps = Annotated[int | None, typer.Option(min=1, help="Steps in all; over the recipe's.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on from the run's checkpoint.")]
About = Annotated[Path | None, typer.Option(help="YAML mapping for the card: licence, data, notes.")]
Workers = Annotated[
    int, typer.Option(min=1, help="Processes that train together with Ray Train, one a device; 1 is this process.")
]

STYLIZERS = {
    "adain": "Train the compact AdaIN network.",
    "adaattn": "Train the compact AdaAttN network, or with `recipe: {encoder: vgg}` the published one's layers.",
    "style_kernel": "Train the compact StyleKernel network, or with `recipe: {encoder: vgg}` the one over VGG.",
}


def train_command(network: str) -> Callable[..., None]:
    """The command that trains a stylizer; all have the same options."""

    def command(
        photos: Photos,
        art: Art,
        perceptual: Perceptual,
        output: Run,
        recipe: Recipe = None,
        steps: Steps = None,
        resume: Resume = False,
        image: Image = None,
        workers: Workers = 1,
    ) -> None:
        from pipelines import train

        training = train.read_training(photos, art, perceptual, recipe, steps, image)
        if workers == 1:
            train.train_stylizer(network, training, output, resume)
        else:
            train.train_stylizer_parallel(network, training, output.absolute(), resume, workers)
        typer.echo(f"{training.loop.steps} steps; the run is in {output}")

    return command


for name, summary in STYLIZERS.items():
    writes = "The run's folder gets checkpoints, losses.jsonl with curves, and sample sheets."
    train_app.command(name, help=f"{summary}\n\n{writes}")(train_command(name))


@train_app.command("export")
def export_stylizer(
    run: Run,
    photos: Unseen,
    art: Unseen,
    perceptual: Perceptual,
    output: Annotated[Path, typer.Option(help="Folder for the weights and their card.")],
    about: About = None,
    image: Image = None,
) -> None:
    """Write a stylizer's weights, half precision, with their card: recipe, losses, figures on unseen pictures."""
    from pipelines import train

    unseen = train.read_training(photos, art, perceptual, image=image)
    for path in train.export_stylizer(run, output, unseen, about):
        typer.echo(path)


@train_app.command("clip")
def train_clip(
    photos: Annotated[list[Path], typer.Option(help="Folder of photographs; n01443537-goldfish.jpg has a label.")],
    art: Annotated[list[Path], typer.Option(help="Folder of art; may be given more than once.")],
    output: Run,
    renders: Annotated[Path | None, typer.Option(help="Folder of the renders, to share them; default: output.")] = None,
    recipe: Annotated[Path | None, typer.Option(help="YAML: `recipe:`, `renders:`, `loop:` settings.")] = None,
    steps: Steps = None,
    resume: Resume = False,
) -> None:
    """Train a small CLIP on renders of photographs with captions; `recipe: {network: ...}` chooses which."""
    from pipelines import train

    state = train.train_clip(train.read_clip_training(photos, art, recipe, steps), output, renders, resume)
    typer.echo(f"{state.step} steps; the run is in {output}")


@train_app.command("export-clip")
def export_clip(
    run: Run,
    photos: Annotated[list[Path], typer.Option(help="Unseen photographs, for the figures on the card.")],
    labelled: Annotated[list[Path], typer.Option(help="Unseen labelled pictures, for the figures on the card.")],
    output: Annotated[Path, typer.Option(help="Folder for the model's folder and its card.")],
    about: About = None,
) -> None:
    """Write a run's CLIP as open_clip reads it, half precision, with its card: figures on unseen pictures."""
    from pipelines.train import export_clip as export

    typer.echo(export(run, output, photos, labelled, about))


@train_app.command("stylegan3")
def train_stylegan3(
    art: Art,
    output: Run,
    recipe: Recipe = None,
    steps: Steps = None,
    seconds: Annotated[float | None, typer.Option(min=1, help="Time to train for; over the recipe's.")] = None,
    resume: Resume = False,
    image: Image = None,
) -> None:
    """Train a small StyleGAN3 on patches of art, whose latents `mmist` inverts texts and pictures in."""
    from pipelines import train

    training = train.read_stylegan3_training(art, recipe, steps, seconds, image)
    state = train.train_stylegan3(training, output, resume)
    typer.echo(f"{state.step} steps; the run is in {output}")


@train_app.command("export-stylegan3")
def export_stylegan3(
    run: Run,
    art: Annotated[list[str], typer.Option(help="The art that it was trained on, for the figures on the card.")],
    unseen: Annotated[list[str], typer.Option(help="Unseen art, for the figures on the card.")],
    output: Annotated[Path, typer.Option(help="Folder for the weights and their card.")],
    about: About = None,
) -> None:
    """Write a run's generator, half precision, with its card: recipe, losses, distances to patches of art."""
    from pipelines.train import export_stylegan3 as export

    typer.echo(export(run, output, art, unseen, about))


@train_app.command("diffusion")
def train_diffusion(
    photos: Photos,
    art: Art,
    perceptual: Perceptual,
    output: Run,
    recipe: Annotated[
        Path | None, typer.Option(help="YAML: `recipe:`, `renders:`, `autoencoder_loop:`, `loop:` settings.")
    ] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Steps of the second stage; over the recipe's.")] = None,
    resume: Resume = False,
    image: Image = None,
) -> None:
    """Train a small latent diffusion model with captions, in two stages: an autoencoder, then a U-Net over its latents.

    It learns from renders of the photographs and art as the small CLIPs do, and reads captions through one of them.
    The run's folder gets a folder a stage: checkpoints, losses.jsonl with curves, and sample sheets.
    """
    from pipelines import train_diffusion as diffusion

    training = diffusion.read_diffusion_training(photos, art, perceptual, recipe, steps, image)
    state = diffusion.train_diffusion(training, output, resume)
    typer.echo(f"{state.step} steps; the run is in {output}")


@train_app.command("export-diffusion")
def export_diffusion(
    run: Run,
    photos: Unseen,
    art: Unseen,
    output: Annotated[Path, typer.Option(help="Folder for the model's folder and its card.")],
    about: About = None,
    image: Image = None,
) -> None:
    """Write a run's model as diffusers reads it, half precision, with its card: figures on unseen pictures."""
    from pipelines.train_diffusion import export_diffusion as export

    typer.echo(export(run, output, photos, art, about, image))
