"""`variant: ip_adapter`: an IP-Adapter reads the paintings, through diffusers' own loader; nothing is learned.

Dimension key: P outputs (pairs), T tokens, W their width, D of a painting's embedding.

Ye et al., IP-Adapter (arXiv 2308.06721); of style alone: Wang et al., InstantStyle (arXiv 2404.02733), whose
infer_style_sd15.py takes the block up_blocks.1.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from diffusers import DDIMScheduler, StableDiffusionPipeline
from diffusers.models.embeddings import ImageProjection
from torch import Tensor
from transformers import CLIPImageProcessor, CLIPVisionModelWithProjection

from tasks.encoders.diffusion.backbone import OPEN_ERRORS, Diffusion
from tasks.images.padding import to_pixels
from tasks.methods.base import Representation, Style
from tasks.methods.inst.painter import Painter, join_apart
from tasks.methods.inst.sampling import Conditions
from tasks.methods.inst.settings import AdapterSettings
from tasks.methods.inst.spoken import speak, split_references, tell
from tasks.methods.inst.tones import keep_tones, measure_tones, mix_tones
from tasks.records import RequestError
from tasks.storage import shorten_error
from tasks.weights.loading import load_tensors
from tasks.weights.references import resolve

PARTS = ("image_proj", "ip_adapter")  # of an adapter's file
SIZE = 512  # of the square that a painting's tones are taken of


class AdapterMethod(Painter):
    """Conditions are a prompt's, and beside it the paintings' embeddings by weight."""

    def __init__(self, settings: AdapterSettings, diffusion: Diffusion) -> None:
        # A U-Net of its own: other settings share the model, and have no adapter in it.
        super().__init__(settings, replace(diffusion, unet=copy.deepcopy(diffusion.unet)))
        self.adapter = settings
        self._load()

    def represent(self, styles: Sequence[Style]) -> list[Representation]:
        """`image` (D), the paintings' embeddings by weight, shorter where texts have a part; tones, and the texts."""
        return [self._represent(style) for style in styles]

    def conditions(self, reps: Sequence[Representation], prompts: Sequence[str | None]) -> Conditions:
        """The prompts', and the embeddings of none and of each style, [2P, 1, D]."""
        wanted_PTW = torch.stack([self._tell(rep, prompt) for rep, prompt in zip(reps, prompts, strict=True)])
        images_P1D = torch.stack([rep.tensors["image"] for rep in reps])[:, None].to(wanted_PTW)
        images = torch.cat([torch.zeros_like(images_P1D), images_P1D])
        return Conditions(wanted_PTW, self._unwanted_1TW.expand_as(wanted_PTW), images)

    @cached_property
    def _tower(self) -> tuple[CLIPVisionModelWithProjection, CLIPImageProcessor]:
        """Opened where there is a painting to read."""
        folder = Path(self.adapter.adapter.image_encoder).expanduser()
        try:
            tower = CLIPVisionModelWithProjection.from_pretrained(
                folder, local_files_only=True, use_safetensors=True, dtype=self.diffusion.dtype
            )
        except OPEN_ERRORS as error:
            raise RequestError(f"{folder} is no image tower of an IP-Adapter: {shorten_error(error)}") from error
        side: Any = tower.config.image_size
        prepare = CLIPImageProcessor(size={"shortest_edge": side}, crop_size={"height": side, "width": side})
        return tower.eval().requires_grad_(False).to(self.diffusion.device), prepare

    def _load(self) -> None:
        """Put the adapter into the U-Net, at its scale, in the blocks that were asked for."""
        tensors = load_tensors(resolve(self.adapter.adapter.weights))
        state: dict[str, dict[str, Tensor]] = {part: {} for part in PARTS}
        for name, tensor in tensors.items():
            part, _, rest = name.partition(".")
            if part not in PARTS:
                raise RequestError(f"{self.adapter.adapter.weights} is no IP-Adapter: it has a tensor {name}.")
            state[part][rest] = tensor.to(self.diffusion.dtype)
        pipe = self._pipeline()
        try:
            pipe.load_ip_adapter(state, subfolder="", weight_name="", image_encoder_folder=None)
        except OPEN_ERRORS as error:
            reason = shorten_error(error)
            raise RequestError(f"The IP-Adapter does not fit {self.adapter.weights}: {reason}") from error
        unet: Any = self.diffusion.unet
        unet.encoder_hid_proj.to(self.diffusion.device, self.diffusion.dtype)
        if not isinstance(unet.encoder_hid_proj.image_projection_layers[0], ImageProjection):
            raise RequestError(
                f"{self.adapter.adapter.weights} reads patches or faces: take the plain adapter, ip-adapter_sd15."
            )
        pipe.set_ip_adapter_scale(self._scales())

    def _scales(self) -> float | dict[str, dict[str, float]]:
        """Of every block, or of the first on the way up that attends: diffusers leaves the others at 0."""
        if self.adapter.blocks == "all":
            return self.adapter.scale
        attends = [bool(getattr(block, "attentions", None)) for block in self.diffusion.unet.up_blocks]
        return {"up": {f"block_{attends.index(True)}": self.adapter.scale}}

    def _pipeline(self) -> Any:
        """Diffusers' own, around our networks: what its loaders are methods of."""
        model = self.diffusion
        return StableDiffusionPipeline(
            vae=model.vae,
            text_encoder=model.text_encoder,
            tokenizer=model.tokenizer,
            unet=model.unet,
            scheduler=DDIMScheduler.from_config(model.scheduler),
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        )

    def _represent(self, style: Style) -> Representation:
        if style.composite:
            mixed = self._represent(replace(style, composite=False))
            return join_apart(mixed, [self._represent(one) for one in style.parts()])
        paintings, texts = split_references(style)
        metadata = {"texts": json.dumps(texts)}
        if not paintings:
            return Representation({"image": torch.zeros(self._size), "weight": torch.zeros(1)}, metadata)
        pictures = [one.image_CHW for one in style.references if one.image_CHW is not None]
        weights_R = torch.tensor(list(paintings.values()))
        images_RD = torch.stack([self._see(picture_3HW) for picture_3HW in pictures])
        tones = [measure_tones(picture_3HW, self.diffusion, SIZE) for picture_3HW in pictures]
        tensors = {"image": weights_R @ images_RD, "weight": weights_R.sum()[None]}
        return Representation(tensors, metadata | keep_tones(mix_tones(tones, weights_R / weights_R.sum())))

    @property
    def _size(self) -> int:
        """D, of the embeddings that the adapter takes."""
        return int(self.diffusion.unet.encoder_hid_proj.image_projection_layers[0].image_embeds.in_features)

    @torch.no_grad()
    def _see(self, picture_3HW: Tensor) -> Tensor:
        """The tower's embedding of a painting, D, as it comes, not of unit length."""
        tower, prepare = self._tower
        pixels = prepare(list(to_pixels(picture_3HW[None])), return_tensors="pt").pixel_values
        embedded_1D: Tensor = tower(pixels.to(self.diffusion.device, self.diffusion.dtype)).image_embeds
        return embedded_1D[0].float().cpu()

    def _tell(self, rep: Representation, prompt: str | None) -> Tensor:
        """Condition_TW: a content's prompt as it is, for the painting is seen and not said."""
        texts = json.loads(rep.metadata["texts"])
        own = self.adapter.prompt if prompt is None else prompt
        return tell(self.diffusion, speak(float(rep.tensors["weight"]), texts, own, None), None)
