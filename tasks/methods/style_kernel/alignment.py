"""Style alignment encoding: style features brought to where the content looks alike, by gated attention.

Dimension key: N contents, C channels, H and W of a feature map, Q = H x W queries, K tokens, D channels of a key.
Xu, Long and Nie, CVPR 2023 (arXiv 2304.00414), figure 2; the sizes are ours (NOTES.md).
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from tasks.encoders.attention import MEMORY, attend, to_maps, to_tokens
from tasks.encoders.first_weights import compare_alike
from tasks.encoders.gating import ContentGate, gate_thresholds


class StyleAlignment(nn.Module):
    """Query from the content's normalised features, key from the style's, value from the style's own features, scaled.

    Query and key start as one orthonormal projection: positions that look alike attend to each other before any
    training. The value starts as the identity.
    """

    def __init__(self, key_channels: int, channels: int, depth: int) -> None:
        super().__init__()
        self.scale = depth**-0.5
        self.query = nn.Conv2d(key_channels, depth, 1)
        self.key = nn.Conv2d(key_channels, depth, 1)
        self.value = nn.Conv2d(channels, channels, 1)
        self.gate = ContentGate(key_channels)
        compare_alike(self.query, self.key, self.value)

    def look(self, content_keys_NCHW: Tensor) -> tuple[Tensor, Tensor]:
        """Queries_NDHW and the gate's alpha and beta, N2HW, of a content's positions."""
        return self.query(content_keys_NCHW), self.gate.levels(content_keys_NCHW)

    def tokens(self, style_keys_NCHW: Tensor, style_NCHW: Tensor) -> tuple[Tensor, Tensor]:
        """Keys_NKD and values_NKC of a style's positions; values of deviation 1 over a whole picture's channels.

        What an encoder makes of a style may be of any scale, and kernels that depend on it would vanish with it.
        """
        scaled_NCHW = F.layer_norm(style_NCHW.float(), style_NCHW.shape[1:])
        return to_tokens(self.key(style_keys_NCHW)), to_tokens(self.value(scaled_NCHW))

    def forward(
        self,
        queries_NDHW: Tensor,
        gate_levels_N2HW: Tensor | None,
        keys_NKD: Tensor,
        values_NKC: Tensor,
        memory: int = MEMORY,
    ) -> Tensor:
        """Aligned style features, NCHW of the content's size, float32; without levels nothing is gated.

        Tokens are a style's for each content, or 1KD and 1KC, one style for all of them.
        """
        size = queries_NDHW.shape[2:]
        queries_BQD = fold(to_tokens(queries_NDHW), keys_NKD)
        thresholds_BQ = None
        if gate_levels_N2HW is not None:
            alpha_BQ, beta_BQ = fold(to_tokens(gate_levels_N2HW), keys_NKD).float().unbind(2)
            thresholds_BQ = gate_thresholds(queries_BQD, keys_NKD, self.scale, alpha_BQ, beta_BQ)
        aligned_BQC = attend(
            queries_BQD, keys_NKD, values_NKC, scale=self.scale, thresholds_BQ=thresholds_BQ, memory=memory
        )
        return to_maps(aligned_BQC.reshape(len(queries_NDHW), size.numel(), -1), size)


def fold(tokens_NQC: Tensor, keys_BKD: Tensor) -> Tensor:
    """BQC: as many rows as the keys have, so that contents in one style are one row of many queries."""
    return tokens_NQC.reshape(len(keys_BKD), -1, tokens_NQC.shape[2])
