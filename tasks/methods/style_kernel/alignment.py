"""Style alignment encoding: style features brought to where the content looks alike, by gated attention.

Dimension key: N contents, C channels, H and W of a feature map, Q queries, K tokens, D channels of a key.
Xu, Long and Nie, CVPR 2023 (arXiv 2304.00414), figure 2; the sizes are ours (NOTES.md).
"""

from __future__ import annotations

from torch import Tensor, nn

from tasks.encoders.attention import MEMORY, attend, to_maps, to_tokens
from tasks.encoders.gating import ContentGate


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
        self.key.load_state_dict(self.query.state_dict())
        nn.init.dirac_(self.value.weight)
        for name, tensor in self.named_parameters():
            if name in ("query.bias", "key.bias", "value.bias"):
                nn.init.zeros_(tensor)

    def tokens(self, style_keys_NCHW: Tensor, style_NCHW: Tensor) -> tuple[Tensor, Tensor]:
        """Keys_NKD and values_NKC of a style's positions."""
        return to_tokens(self.key(style_keys_NCHW)), to_tokens(self.value(style_NCHW))

    def forward(
        self, content_keys_NCHW: Tensor, keys_NKD: Tensor, values_NKC: Tensor, gated: bool = True, memory: int = MEMORY
    ) -> Tensor:
        """Aligned style features, NCHW of the content's size, float32."""
        queries_NQD = to_tokens(self.query(content_keys_NCHW))
        thresholds_NQ = self.gate(content_keys_NCHW, queries_NQD, keys_NKD, self.scale) if gated else None
        aligned_NQC = attend(
            queries_NQD, keys_NKD, values_NKC, scale=self.scale, thresholds_BQ=thresholds_NQ, memory=memory
        )
        return to_maps(aligned_NQC, content_keys_NCHW.shape[2:])
