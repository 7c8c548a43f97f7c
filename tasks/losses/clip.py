"""CLIP losses of CLIPstyler and MMIST: an output should differ from its content as the style differs from a photo.

Dimension key: N images, K crops of each (1 for the whole image), R references (texts or pictures), Q patches of a
reference (1 for a text), C channels, H height, W width, D embedding.

The losses take embeddings and directions, so that one pass through the model serves them all, and give one value
for each image and reference. A style of several references, or a batch of several styles, is a matrix of weights:
`(weights_NR * losses_NR).sum()`.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from tasks.encoders.clip import ClipEncoder
from tasks.losses.crops import Crops, cut_patches
from tasks.losses.templates import embed_in_templates

SOURCE_TEXT = "a Photo"  # what a text's direction starts from: train_CLIPstyler.py and gen_style_reps.py
# Embeddings are exact to about 1e-6 in float32, to 1e-2 in bfloat16. A shorter difference is not stretched to length 1,
# so that an output that still is its content has a finite gradient; the authors divide by zero there.
SHORTEST = 1e-4


def embed_pixels(encoder: ClipEncoder, images_NCHW: Tensor) -> Tensor:
    """Embeddings_ND, of unit length, of images in [0, 1] of any size; gradients pass to the images.

    Resized bicubically, without antialiasing and without keeping the aspect (`clip_normalize` of both authors),
    unlike `ClipEncoder.embed_images`, which does as Pillow does and passes no gradient.
    """
    size = _input_size(encoder)
    if images_NCHW.shape[-2:] != size:
        images_NCHW = F.interpolate(images_NCHW.float(), size, mode="bicubic", align_corners=False)
    return encoder.embed_inputs(encoder.preprocessing.normalize(images_NCHW.float()))


def embed_crops(encoder: ClipEncoder, images_NCHW: Tensor, crops: Crops, antialias: bool = False) -> Tensor:
    """Embeddings_NKD, of unit length, of crops of images in [0, 1]; gradients pass to the images."""
    patches_NKChw = cut_patches(images_NCHW, crops, _input_size(encoder), antialias)
    return embed_pixels(encoder, patches_NKChw.flatten(0, 1)).unflatten(0, patches_NKChw.shape[:2])


def unit_directions(targets: Tensor, sources: Tensor) -> Tensor:
    """From sources to targets (embeddings of unit length, ...D, broadcast), of length 1; see SHORTEST."""
    return F.normalize(targets - sources, dim=-1, eps=SHORTEST)


def text_directions(encoder: ClipEncoder, texts: Sequence[str], source: str = SOURCE_TEXT) -> Tensor:
    """Unit directions_RD from the source text to each text, both averaged over the 79 templates."""
    embeddings = embed_in_templates(encoder, [source, *texts])
    return unit_directions(embeddings[1:], embeddings[0])


def directional_losses(directions_NKD: Tensor, targets_RQD: Tensor, threshold: float = 0.0) -> Tensor:
    """Mean over all pairs of 1 - cosine of K directions of an image and Q of a reference, NR, 0 to 2.

    Directions are of unit length; `targets_RQD` may be NRQD where they depend on the image. It is CLIPstyler's
    directional loss with K = Q = 1, its patch loss with Q = 1 and a threshold of 0.7 (train_CLIPstyler.py), MMIST's
    loss for texts with Q = 1 and for pictures with any K and Q (loss_fn.py), and its score of a first latent with
    K = 1. Terms below the threshold count as 0 and pass no gradient.

    Without a threshold the mean over the pairs is a product of means, exactly, for cosines of unit vectors are
    bilinear: the cost is K + Q in place of K times Q.
    """
    if threshold > 0:
        targets_NRQD = targets_RQD if targets_RQD.dim() == 4 else targets_RQD[None]
        cosines_NRKQ = torch.einsum("nkd,nrqd->nrkq", directions_NKD, targets_NRQD)
        terms_NRKQ = 1 - cosines_NRKQ
        return torch.where(terms_NRKQ < threshold, 0.0, terms_NRKQ).mean((-2, -1))
    return 1 - (directions_NKD.mean(1, keepdim=True) * targets_RQD.mean(-2)).sum(-1)


def mean_target_losses(directions_NKD: Tensor, targets_RQD: Tensor, threshold: float = 0.0) -> Tensor:
    """Each of an image's directions against the mean one of a reference, NR (MMIST's `not_pairwise_isi`)."""
    return directional_losses(directions_NKD, _mean_direction(targets_RQD), threshold)


def bidirectional_losses(directions_NKD: Tensor, targets_RQD: Tensor, threshold: float = 0.0) -> Tensor:
    """Half of that and half of the image's mean direction against each of a reference's (`bidirectional_isi`)."""
    forth_NR = mean_target_losses(directions_NKD, targets_RQD, threshold)
    back_NR = directional_losses(_mean_direction(directions_NKD), targets_RQD, threshold)
    return (forth_NR + back_NR) / 2


def _mean_direction(directions: Tensor) -> Tensor:
    return F.normalize(directions.mean(-2, keepdim=True), dim=-1, eps=SHORTEST)


def _input_size(encoder: ClipEncoder) -> tuple[int, int]:
    return encoder.preprocessing.height, encoder.preprocessing.width
