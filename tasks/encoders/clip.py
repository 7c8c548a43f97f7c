"""CLIP models of open_clip, frozen: pictures and texts to embeddings of unit length.

Dimension key: N images or texts, C channels (RGB), H height, W width; h, w sides of the model's input; D embedding.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from pathlib import Path

import open_clip
import torch
from safetensors import SafetensorError
from torch import Tensor, nn
from torch.nn import functional as F

from tasks.encoders.clip_models import ClipModel, find_model
from tasks.encoders.clip_pixels import Preprocessing
from tasks.encoders.placement import place
from tasks.images.fitting import Pixels
from tasks.records import RequestError

BATCH = 64  # pictures a forward pass: past this a GPU gains nothing, and memory stays bounded
# What building a model from another's configuration and filling it with another's tensors raises.
BUILD_ERRORS = (RuntimeError, OSError, ValueError, LookupError, TypeError, AttributeError, ImportError, AssertionError)
READ_ERRORS = (SafetensorError, pickle.UnpicklingError, EOFError)


class ClipEncoder:
    """A frozen CLIP model with its own preparation of pictures and its own tokenizer; float32, evaluation mode."""

    def __init__(
        self, name: str, model: nn.Module, tokenize: Callable[[list[str]], Tensor], size: int, device: str
    ) -> None:
        self.name, self.size, self.device = name, size, device
        self.model = place(model.eval().requires_grad_(False), torch.device(device))
        self.tokenize = tokenize
        self.preprocessing = Preprocessing.read(model.visual.preprocess_cfg)  # type: ignore[union-attr, arg-type]

    @property
    def logit_scale(self) -> float:
        """What cosines are multiplied by before a softmax: one over the model's own temperature (100 in OpenAI's)."""
        return float(self.model.logit_scale.detach().exp())  # type: ignore[operator]

    @torch.no_grad()
    def embed_images(self, images: Tensor | Sequence[Tensor | Pixels]) -> Tensor:
        """Embeddings_ND, float32 of unit length, of pictures of any sizes.

        A picture is an array (uint8 HWC) or a tensor (CHW, uint8 or float32 in [0, 1]; rounded to 8 bits); a
        tensor NCHW is N of them. It is brought to the model's size as Pillow does.
        """
        parts = [
            self.embed_inputs(self.preprocessing.prepare(images[start : start + BATCH], self.device))
            for start in range(0, len(images), BATCH)
        ]
        return self._join(parts)

    def embed_inputs(self, inputs_N3hw: Tensor) -> Tensor:
        """Embeddings_ND of prepared inputs; gradients pass to them."""
        return F.normalize(self.model.encode_image(inputs_N3hw).float(), dim=-1)  # type: ignore[operator]

    @torch.no_grad()
    def embed_texts(self, texts: Sequence[str]) -> Tensor:
        """Embeddings_ND, float32 of unit length; what exceeds the model's context length is cut off."""
        parts = []
        for start in range(0, len(texts), BATCH):
            tokens = self.tokenize(list(texts[start : start + BATCH])).to(self.device)
            parts.append(F.normalize(self.model.encode_text(tokens).float(), dim=-1))  # type: ignore[operator]
        return self._join(parts)

    def _join(self, parts: list[Tensor]) -> Tensor:
        return torch.cat(parts) if parts else torch.empty(0, self.size, device=self.device)


def open_clip_model(reference: str, device: str = "cpu") -> ClipEncoder:
    """The model that a reference names (see `clip_models`), ready on a device.

    Raises RequestError where it cannot be found or its files do not fit one another.
    """
    found = find_model(reference)
    try:
        _refuse_pickle(found.weights)
        model = _build(found)
        tokenize = open_clip.get_tokenizer(found.model)
    except (*BUILD_ERRORS, *READ_ERRORS) as error:
        reason = str(error).strip().split("\n")[0][:200]
        raise RequestError(f"{reference} cannot be opened as a CLIP model: {reason}") from error
    return ClipEncoder(found.name, model, tokenize, found.config["embed_dim"], device)


def digest(reference: str) -> str:
    """SHA-256 of a model's weights file and settings; what a key takes that depends on the model."""
    return find_model(reference).digest()


def _build(found: ClipModel) -> nn.Module:
    """The weights come from the file that was found, so the tag's preparation has to be handed over with it."""
    local = found.model.startswith("local-dir:")
    model: nn.Module = open_clip.create_model(
        found.model,
        pretrained=None if local else str(found.weights),
        force_preprocess_cfg=found.preprocess,
        pretrained_text=False,
        require_pretrained=True,
        weights_only=True,
    )
    return model


def _refuse_pickle(weights: Path) -> None:
    """Let torch's weights-only reader refuse a file first: on a TypeError open_clip reads again without it."""
    if weights.suffix not in {".safetensors", ".npz"}:
        torch.load(weights, map_location="cpu", weights_only=True)
