"""The 79 sentences that CLIPstyler and MMIST set a style's words in, and the embedding of words over all of them.

Dimension key: R texts, T templates, D embedding.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from tasks.encoders.clip import ClipEncoder

# `template.py` of CLIPstyler (4843cec) and of MMIST (e48bb01), the same in both; from CLIP's prompts for ImageNet.
TEMPLATES = (
    "a bad photo of a {}.",
    "a sculpture of a {}.",
    "a photo of the hard to see {}.",
    "a low resolution photo of the {}.",
    "a rendering of a {}.",
    "graffiti of a {}.",
    "a bad photo of the {}.",
    "a cropped photo of the {}.",
    "a tattoo of a {}.",
    "the embroidered {}.",
    "a photo of a hard to see {}.",
    "a bright photo of a {}.",
    "a photo of a clean {}.",
    "a photo of a dirty {}.",
    "a dark photo of the {}.",
    "a drawing of a {}.",
    "a photo of my {}.",
    "the plastic {}.",
    "a photo of the cool {}.",
    "a close-up photo of a {}.",
    "a black and white photo of the {}.",
    "a painting of the {}.",
    "a painting of a {}.",
    "a pixelated photo of the {}.",
    "a sculpture of the {}.",
    "a bright photo of the {}.",
    "a cropped photo of a {}.",
    "a plastic {}.",
    "a photo of the dirty {}.",
    "a jpeg corrupted photo of a {}.",
    "a blurry photo of the {}.",
    "a photo of the {}.",
    "a good photo of the {}.",
    "a rendering of the {}.",
    "a {} in a video game.",
    "a photo of one {}.",
    "a doodle of a {}.",
    "a close-up photo of the {}.",
    "a photo of a {}.",
    "the origami {}.",
    "the {} in a video game.",
    "a sketch of a {}.",
    "a doodle of the {}.",
    "a origami {}.",
    "a low resolution photo of a {}.",
    "the toy {}.",
    "a rendition of the {}.",
    "a photo of the clean {}.",
    "a photo of a large {}.",
    "a rendition of a {}.",
    "a photo of a nice {}.",
    "a photo of a weird {}.",
    "a blurry photo of a {}.",
    "a cartoon {}.",
    "art of a {}.",
    "a sketch of the {}.",
    "a embroidered {}.",
    "a pixelated photo of a {}.",
    "itap of the {}.",
    "a jpeg corrupted photo of the {}.",
    "a good photo of a {}.",
    "a plushie {}.",
    "a photo of the nice {}.",
    "a photo of the small {}.",
    "a photo of the weird {}.",
    "the cartoon {}.",
    "art of the {}.",
    "a drawing of the {}.",
    "a photo of the large {}.",
    "a black and white photo of a {}.",
    "the plushie {}.",
    "a dark photo of a {}.",
    "itap of a {}.",
    "graffiti of the {}.",
    "a toy {}.",
    "itap of my {}.",
    "a photo of a cool {}.",
    "a photo of a small {}.",
    "a tattoo of the {}.",
)


@torch.no_grad()
def embed_in_templates(encoder: ClipEncoder, texts: Sequence[str], templates: Sequence[str] = TEMPLATES) -> Tensor:
    """Embeddings_RD of texts, float32 of unit length, each the average over the templates.

    A text goes through the model with its own templates only, so it embeds the same whatever else is asked for.
    What exceeds the model's context length is cut off.
    """
    if not texts:
        return torch.empty(0, encoder.size, device=encoder.device)
    return torch.cat([average_templates(_encode(encoder, text, templates)[None]) for text in texts])


def average_templates(embeddings_RTD: Tensor) -> Tensor:
    """Unit embeddings_RD of embeddings as the model gives them: averaged first, and only then brought to length 1."""
    return F.normalize(embeddings_RTD.mean(1), dim=-1)


def _encode(encoder: ClipEncoder, text: str, templates: Sequence[str]) -> Tensor:
    """Embeddings_TD of one text, of whatever length: `ClipEncoder.embed_texts` would bring each to length 1."""
    tokens = encoder.tokenize([template.format(text) for template in templates]).to(encoder.device)
    embeddings_TD: Tensor = encoder.model.encode_text(tokens).float()  # type: ignore[operator]
    return embeddings_TD
