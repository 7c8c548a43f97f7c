"""From CLIP's view of a painting to the embedding of a word: what InST trains.

Dimension key: B paintings, L tokens of a query, T tokens of a painting, D and E widths, W width of a word.

Zhang et al., Inversion-Based Style Transfer with Diffusion Models (arXiv 2211.13203), section 3.2; `Attentions` and
`CrossAttention` of zyxElsa/InST @ 71a8f01. Neither has residuals, nor norms, nor anything fed forward.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

HEADS, HEAD_WIDTH = 8, 64


class SeededDropout(nn.Module):
    """Dropout that draws from a generator of its own, so that a painting learns the same beside any others.

    Without a generator, or in evaluation, it does nothing.
    """

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share
        self.generator: torch.Generator | None = None

    def forward(self, values: Tensor) -> Tensor:
        """The values, some of them 0 and the others larger."""
        if not self.training or self.generator is None or self.share == 0:
            return values
        kept = torch.rand(values.shape, generator=self.generator) >= self.share
        return values * kept.to(values) / (1 - self.share)


class CrossAttention(nn.Module):
    """Multi-head attention of a query to tokens; named as in the authors' files."""

    def __init__(self, query_width: int, token_width: int, dropout: float) -> None:
        super().__init__()
        inner = HEADS * HEAD_WIDTH
        self.to_q = nn.Linear(query_width, inner, bias=False)
        self.to_k = nn.Linear(token_width, inner, bias=False)
        self.to_v = nn.Linear(token_width, inner, bias=False)
        self.to_out = nn.Sequential(nn.Linear(inner, query_width), SeededDropout(dropout))

    def forward(self, query_BLD: Tensor, tokens_BTE: Tensor) -> Tensor:
        """What each query finds, BLD."""
        parts = (self.to_q(query_BLD), self.to_k(tokens_BTE), self.to_v(tokens_BTE))
        query, key, value = (part.unflatten(-1, (HEADS, HEAD_WIDTH)).transpose(1, 2) for part in parts)
        found = F.scaled_dot_product_attention(query, key, value)
        out: Tensor = self.to_out(found.transpose(1, 2).flatten(2))
        return out


class OfficialAttention(nn.Module):
    """`variant: official`: the authors' module, whose keys and values are the one pooled embedding itself.

    A softmax over one key is 1, so that only `attn2.to_v`, `attn2.to_out` and `net` ever learn.
    """

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.attn1 = CrossAttention(width, width, dropout)
        self.attn2 = CrossAttention(width, width, dropout)
        self.net = nn.Sequential(SeededDropout(dropout), nn.Linear(width, width))

    def forward(self, pooled_BD: Tensor, _tokens_BTE: Tensor) -> Tensor:
        """Words_BW from pooled embeddings of unit length."""
        query_B1D = pooled_BD[:, None]
        words_B1W: Tensor = self.net(self.attend(query_B1D))
        return words_B1W[:, 0]

    def attend(self, tokens_BLD: Tensor) -> Tensor:
        """Both layers over any number of tokens, BLD."""
        attended: Tensor = self.attn2(self.attn1(tokens_BLD, tokens_BLD), tokens_BLD)
        return attended


class PatchAttention(nn.Module):
    """`variant: patch`: the pooled embedding asks, CLIP's patches answer, layer after layer (equation 4).

    What the authors' module could not do with one token. Both widths of CLIP's are brought to a word's first.
    """

    def __init__(self, pooled_width: int, token_width: int, width: int, layers: int, dropout: float) -> None:
        super().__init__()
        self.from_pooled = nn.Identity() if pooled_width == width else nn.Linear(pooled_width, width)
        self.from_tokens = nn.Linear(token_width, width)
        self.layers = nn.ModuleList(CrossAttention(width, width, dropout) for _ in range(layers))
        self.net = nn.Sequential(SeededDropout(dropout), nn.Linear(width, width))

    def forward(self, pooled_BD: Tensor, tokens_BTE: Tensor) -> Tensor:
        """Words_BW."""
        query_B1W, tokens_BTW = self.from_pooled(pooled_BD)[:, None], self.from_tokens(tokens_BTE)
        for layer in self.layers:
            query_B1W = layer(query_B1W, tokens_BTW)
        words_B1W: Tensor = self.net(query_B1W)
        return words_B1W[:, 0]


StyleAttention = OfficialAttention | PatchAttention


def set_generator(attention: StyleAttention, generator: torch.Generator | None) -> None:
    """What the module's dropout draws from."""
    for module in attention.modules():
        if isinstance(module, SeededDropout):
            module.generator = generator
