"""Style alignment encoding: style features brought to where the content looks alike, by gated attention.

Dimension key: N contents, C channels, H and W of a feature map, Q = H x W queries, K tokens, D channels of a key.
Xu, Long and Nie, CVPR 2023 (arXiv 2304.00414), figure 2; the sizes are ours (NOTES.md).
"""

from __future__ import annotations

from torch import Tensor, nn

from tasks.encoders.attention import MEMORY, attend, to_maps, to_tokens
from tasks.encoders.gating import ContentGate, gate_thresholds


class StyleAlignment(nn.Module):
    """Query from the content's normalised features, key from the style's, value from the style's own features.

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
        nn.init.orthogonal_(self.query.weight)
        nn.init.dirac_(self.value.weight)
        for layer in (self.query, self.value):
            assert layer.bias is not None
            nn.init.zeros_(layer.bias)
        self.key.load_state_dict(self.query.state_dict())

    def look(self, content_keys_NCHW: Tensor) -> tuple[Tensor, Tensor]:
        """Queries_NDHW and the gate's alpha and beta, N2HW, of a content's positions."""
        return self.query(content_keys_NCHW), self.gate.levels(content_keys_NCHW)

    def tokens(self, style_keys_NCHW: Tensor, style_NCHW: Tensor) -> tuple[Tensor, Tensor]:
        """Keys_NKD and values_NKC of a style's positions."""
        return to_tokens(self.key(style_keys_NCHW)), to_tokens(self.value(style_NCHW))

    def forward(
        self,
        queries_NDHW: Tensor,
        gate_levels_N2HW: Tensor | None,
        keys_NKD: Tensor,
        values_NKC: Tensor,
        memory: int = MEMORY,
    ) -> Tensor:
        """Aligned style features, NCHW of the content's size, float32; without levels nothing is gated."""
        queries_NQD = to_tokens(queries_NDHW)
        thresholds_NQ = None
        if gate_levels_N2HW is not None:
            alpha_NQ, beta_NQ = to_tokens(gate_levels_N2HW).float().unbind(2)
            thresholds_NQ = gate_thresholds(queries_NQD, keys_NKD, self.scale, alpha_NQ, beta_NQ)
        aligned_NQC = attend(
            queries_NQD, keys_NKD, values_NKC, scale=self.scale, thresholds_BQ=thresholds_NQ, memory=memory
        )
        return to_maps(aligned_NQC, queries_NDHW.shape[2:])
