"""Content-based gating of attention: each position of a content decides how good a match must be to count.

Dimension key: N contents, C channels, H and W of a feature map, Q = H x W queries, K tokens, D channels of a key.
Xu, Long and Nie, Learning Dynamic Style Kernels for Artistic Style Transfer, CVPR 2023 (arXiv 2304.00414). Its formula
is not public: this one is that of dynamic neighbours in DAGL (Mou et al., ICCV 2021), see NOTES.md of style_kernel.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tasks.encoders.attention import to_tokens


class ContentGate(nn.Module):
    """Thresholds alpha * (mean score of a query over all tokens) - beta; alpha and beta are read off the content.

    Starts with alpha 1 and beta 0 wherever one looks: a token counts where it matches better than the mean one.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.levels = nn.Conv2d(channels, 2, 3, padding=1, padding_mode="reflect")
        nn.init.zeros_(self.levels.weight)
        self.levels.bias = nn.Parameter(torch.tensor([1.0, 0.0]))

    def forward(self, content_NCHW: Tensor, queries_NQD: Tensor, keys_NKD: Tensor, scale: float) -> Tensor:
        """Thresholds_NQ for queries that are a content's positions, row by row; scores are scale * query . key."""
        levels_NQ2 = to_tokens(self.levels(content_NCHW)).float()
        return gate_thresholds(queries_NQD, keys_NKD, scale, levels_NQ2[..., 0], levels_NQ2[..., 1])


def gate_thresholds(
    queries_NQD: Tensor, keys_NKD: Tensor, scale: float, alpha: Tensor | float = 1.0, beta: Tensor | float = 0.0
) -> Tensor:
    """alpha * mean_k(scale * q . k) - beta, NQ: a product with the mean key, no Q x K matrix."""
    with torch.autocast(queries_NQD.device.type, enabled=False):
        means_NQ = scale * (queries_NQD.float() @ keys_NKD.float().mean(1)[:, :, None])[..., 0]
    return alpha * means_NQ - beta
