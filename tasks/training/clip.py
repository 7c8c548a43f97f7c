"""The recipe of the small CLIPs that we ship: two towers, and captions told apart from one another by what they claim.

Dimension key: N pictures of a batch, T captions (one a picture), S side of the input, L tokens, D embedding.

Radford et al., Learning Transferable Visual Models From Natural Language Supervision, ICML 2021. Where theirs has one
true caption a picture, here a caption is true of every picture of which all that it claims holds, so the target is
spread over those ("a watercolour painting" is true of each watercolour of the batch). Every picture comes in several
renderings, and every rendering over several pictures: the wrong captions are near the right ones.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import open_clip
import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from tasks.encoders.clip_models import CONFIG, WEIGHTS
from tasks.losses.templates import TEMPLATES
from tasks.records import RequestError
from tasks.training.captions import write_captions
from tasks.training.data import step_generator
from tasks.training.export import save_half
from tasks.training.renders import Pixels, Renders, take_views
from tasks.training.tints import draw_tinted
from tasks.training.views import ViewSettings, crop_view, show
from tasks.weights.loading import layout_of, load_tensors
from tasks.weights.references import digest, resolve

MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)  # OpenAI's CLIP
SIDE = 128  # of the models' inputs
PREPROCESS = {"mean": MEAN, "std": STD, "interpolation": "bicubic", "resize_mode": "squash"}
TEXT = {"context_length": 32, "vocab_size": 49_408, "width": 64, "heads": 4}

Network = Literal["clip-small", "clip-judge-small"]
# Two architectures, so that one can judge what was optimised through the other: a ResNet with attention pooling, and
# a vision transformer.
TOWERS: dict[Network, dict[str, Any]] = {
    "clip-small": {
        "embed_dim": 160,
        "vision_cfg": {"image_size": SIDE, "layers": [2, 2, 2, 2], "width": 24, "head_width": 64},
        "text_cfg": {**TEXT, "layers": 3},
    },
    "clip-judge-small": {
        "embed_dim": 128,
        "vision_cfg": {"image_size": SIDE, "layers": 6, "width": 192, "patch_size": 16, "head_width": 48},
        "text_cfg": {**TEXT, "layers": 4},
    },
}


@dataclass(frozen=True)
class ClipSettings:
    """The recipe's numbers."""

    network: Network = "clip-small"
    rows: Annotated[int, Field(ge=1)] = 36  # of the renders, in a batch: pictures, or sheets of textures
    views: Annotated[int, Field(ge=1)] = 7  # of each row
    shown: ViewSettings = field(default_factory=ViewSettings)
    tinted: Annotated[int, Field(ge=0)] = 20  # photographs more, all in one colour and so of no style
    share_framed: float = 0.25  # of the captions about style alone, in one of CLIP's prompt templates
    start: str | None = None  # weights that the network goes on from: embedded:clip-small, or a path
    first_temperature: float = 0.07  # without a start, which has its own
    largest_scale: float = 100.0  # of the logits; both as in CLIP
    seed: int = 0


class ClipRecipe:
    """Batches of renders with captions, and the two softmaxes over them."""

    def __init__(self, renders: Renders, settings: ClipSettings) -> None:
        self.renders, self.settings = renders, settings
        self.network = first_network(settings.network, settings.seed)
        if settings.start:
            go_on_from(self.network, settings.start)
        else:
            self.network.logit_scale.data.fill_(math.log(1 / settings.first_temperature))  # type: ignore[operator]
        self.tokenize = open_tokenizer(settings.network)

    def describe(self) -> dict[str, Any]:
        """The settings, and counts of what there is to learn."""
        vocabulary = self.renders.vocabulary
        counts = {"renders": len(self.renders.truths), "styles": len(vocabulary.styles)}
        start = {"start_sha256": digest(self.settings.start)} if self.settings.start else {}
        return {**asdict(self.settings), **start, **counts, "objects": len(vocabulary.objects)}

    def draw(self, step: int) -> dict[str, Tensor]:
        """`images` N3SS (uint8), `tokens` TL, `true` TN (whether a caption is true of a picture)."""
        settings = self.settings
        rng = step_generator(settings.seed, step, 0)
        rows = rng.permutation(len(self.renders))[: settings.rows]
        views, truths = take_views(self.renders, rows, settings.views, rng)
        photographs = [self.photograph(row) for row in rows for _ in range(settings.views)]
        tinted, more = draw_tinted(self.renders, settings.tinted, rng)
        views, truths = views + tinted, truths.join(more)
        photographs += [None] * len(tinted)
        captions = write_captions(truths, self.renders.vocabulary, TEMPLATES, settings.share_framed, rng)
        crops = [show(*pair, settings.shown, SIDE, rng) for pair in zip(views, photographs, strict=True)]
        return {
            "images": torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2),  # a quarter of the bytes of floats
            "tokens": self.tokenize(captions.texts),
            "true": torch.from_numpy(captions.true_of(truths)),
        }

    def photograph(self, row: int) -> Pixels | None:
        """What a row's renders were drawn from: its first view, where that is a photograph."""
        first = self.renders.truths.style_N[row * self.renders.views_RVSS3.shape[1]] == 0
        return self.renders.views_RVSS3[row, 0] if first else None

    def loss(
        self,
        network: nn.Module,
        batch: dict[str, Tensor],
        step: int,  # noqa: ARG002 (the loss does not change over the run)
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Cross entropies of captions to pictures and back; `found`: share of the pictures' right first guesses."""
        images_ND = F.normalize(network.encode_image(normalise(batch["images"])).float(), dim=-1)  # type: ignore[operator]
        texts_TD = F.normalize(network.encode_text(batch["tokens"]).float(), dim=-1)  # type: ignore[operator]
        scale = network.logit_scale.exp().clamp(max=self.settings.largest_scale)  # type: ignore[operator]
        logits_TN = scale * texts_TD @ images_ND.T
        true_TN = batch["true"]
        texts, images = spread_cross_entropy(logits_TN, true_TN), spread_cross_entropy(logits_TN.T, true_TN.T)
        found = true_TN.T.gather(1, logits_TN.T.argmax(1, keepdim=True)).float().mean()
        return (texts + images) / 2, {"texts": texts, "images": images, "found": found, "scale": scale}

    def sheet(self, network: nn.Module) -> Tensor:
        """Some renders in a row, and below each its cosines to the styles' first phrases, dark to light; 3HW."""
        rng = step_generator(self.settings.seed, 0, 1)
        count = 12
        views, truths = take_views(self.renders, rng.permutation(len(self.renders))[:count], 1, rng)
        order = np.argsort(truths.style_N)
        crops = torch.from_numpy(np.stack([crop_view(views[row], 1.0, rng, SIDE) for row in order]))
        phrases = [self.renders.vocabulary.styles[truths.style_N[row]][0] for row in order]
        device = next(network.parameters()).device
        with torch.no_grad():
            images_N3SS = normalise(crops.permute(0, 3, 1, 2).to(device))
            images_ND = F.normalize(network.encode_image(images_N3SS), dim=-1)  # type: ignore[operator]
            texts_ND = F.normalize(network.encode_text(self.tokenize(phrases).to(device)), dim=-1)  # type: ignore[operator]
        cosines = (texts_ND @ images_ND.T).float().cpu().clamp(0, 1).repeat_interleave(24, 0)
        cells = F.interpolate(cosines[None, None], (24 * count, SIDE * count))[0].expand(3, -1, -1)
        pictures_SWC = torch.cat(list(crops), 1)
        return torch.cat([pictures_SWC.permute(2, 0, 1).float() / 255, cells], 1)


def spread_cross_entropy(logits_AB: Tensor, true_AB: Tensor) -> Tensor:
    """Mean over rows of the cross entropy to a target spread evenly over what is true (something always is)."""
    target_AB = true_AB / true_AB.sum(1, keepdim=True).clamp(min=1)
    return -(target_AB * F.log_softmax(logits_AB, 1)).sum(1).mean()


def normalise(images_N3SS: Tensor) -> Tensor:
    """uint8 to the scale of the towers."""
    mean, std = (torch.tensor(values, device=images_N3SS.device)[:, None, None] for values in (MEAN, STD))
    return (images_N3SS.float() / 255 - mean) / std


def build_towers(name: Network) -> nn.Module:
    """An untrained model of open_clip."""
    config = TOWERS[name]
    vision = open_clip.model.CLIPVisionCfg(**config["vision_cfg"])
    text = open_clip.model.CLIPTextCfg(**config["text_cfg"])
    model: nn.Module = open_clip.model.CLIP(config["embed_dim"], vision, text)
    return model


def open_tokenizer(name: Network) -> Callable[[list[str]], Tensor]:
    """CLIP's byte-pair tokenizer at the context length of the model."""
    return open_clip.tokenizer.SimpleTokenizer(context_length=TOWERS[name]["text_cfg"]["context_length"])


def first_network(name: Network, seed: int) -> nn.Module:
    """The network of TOWERS that a run with this seed starts from."""
    torch.manual_seed(seed)
    return build_towers(name)


def go_on_from(network: nn.Module, start: str) -> None:
    """Give a network the weights of a model of the same towers. RequestError where they are of others."""
    tensors = load_tensors(resolve(start))
    if layout_of(tensors) != layout_of(network.state_dict()):
        raise RequestError(f"recipe.start: {start} is of another network: name weights of the same one.")
    network.load_state_dict(tensors)


def save_clip(name: Network, seed: int, tensors: dict[str, Tensor], folder: Path) -> Path:
    """Write a run's trained model as open_clip reads it, half precision.

    Tokens that no caption had are as they were at first, or still all alike where the run went on from another: they
    get the mean of the others, a word without meaning.
    """
    table = tensors["token_embedding.weight"].clone()
    first = first_network(name, seed).get_parameter("token_embedding.weight")
    _, kind, count = table.unique(dim=0, return_inverse=True, return_counts=True)
    unseen = (table == first).all(1) | (count[kind] > 1)
    table[unseen] = table[~unseen].mean(0)
    save_half({**tensors, "token_embedding.weight": table}, folder / WEIGHTS)
    config = {"model_cfg": TOWERS[name], "preprocess_cfg": PREPROCESS}
    (folder / CONFIG).write_text(json.dumps(config, indent=1) + "\n")
    return folder / WEIGHTS
