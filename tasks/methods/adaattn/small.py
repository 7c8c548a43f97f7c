"""The compact AdaAttN network of ours: attention at 1/4 and 1/8 of the image, plain statistics at 1/2.

N images, C channels, H and W pixels; features at depth d are NCHW at 1/2, 1/4 and 1/8 of the image.
The transfer is AdaAttN's (Liu et al., ICCV 2021, equations 5 to 9); the network around it is ours.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from tasks.encoders.attention import attend_statistics, shallow_keys, to_maps, to_tokens
from tasks.encoders.compact import WIDTHS, SmallDecoder, SmallEncoder, read_widths
from tasks.encoders.statistics import channel_statistics, normalise_channels

ATTENTION_DEPTHS = (1, 2)  # of the encoder's three: 1/4 and 1/8
KEY_DEPTH = 64
EPSILON = 1e-6  # below the root of the attended variance: it has a gradient at 0


class TokenAttention(nn.Module):
    """Query and key as 1x1 convolutions of normalised features, values as one of the style's own.

    Query and key start as one orthonormal projection, the value as the identity. Scores are divided by the root of
    their depth, which the authors' are not: they need no training to be gentle.
    """

    def __init__(self, key_channels: int, channels: int) -> None:
        super().__init__()
        self.scale = KEY_DEPTH**-0.5
        self.query = nn.Conv2d(key_channels, KEY_DEPTH, 1)
        self.key = nn.Conv2d(key_channels, KEY_DEPTH, 1)
        self.value = nn.Conv2d(channels, channels, 1)
        nn.init.orthogonal_(self.query.weight)
        self.key.load_state_dict(self.query.state_dict())
        nn.init.dirac_(self.value.weight)
        for name, tensor in self.named_parameters():
            if name in ("query.bias", "key.bias", "value.bias"):
                nn.init.zeros_(tensor)

    def forward(
        self, content_NCHW: Tensor, content_keys_NCHW: Tensor, style_NCHW: Tensor, style_keys_NCHW: Tensor
    ) -> Tensor:
        """The content's normalised features with the means and deviations of what they attend to."""
        mean_NQC, deviation_NQC = attend_statistics(
            to_tokens(self.query(content_keys_NCHW)),
            to_tokens(self.key(style_keys_NCHW)),
            to_tokens(self.value(style_NCHW)),
            scale=self.scale,
            epsilon=EPSILON,
        )
        size = content_NCHW.shape[2:]
        return to_maps(deviation_NQC, size) * normalise_channels(content_NCHW) + to_maps(mean_NQC, size)


class SmallAdaAttN(nn.Module):
    """State dict: `content_encoder.`, `style_encoder.`, `decoder.` as adain's compact network, `attention.`"""

    def __init__(self, widths: Sequence[int] = WIDTHS) -> None:
        super().__init__()
        depths = list(widths[1:])
        self.content_encoder = SmallEncoder(widths)
        self.style_encoder = SmallEncoder(widths)
        self.decoder = SmallDecoder(widths)
        self.attention = nn.ModuleList(
            TokenAttention(sum(depths[: depth + 1]), depths[depth]) for depth in ATTENTION_DEPTHS
        )

    def forward(self, contents_NCHW: Tensor, styles_NCHW: Tensor) -> Tensor:
        """Row n of the contents in the style of row n of the styles (their sizes may differ); not clamped."""
        contents, styles = self.content_encoder(contents_NCHW), self.style_encoder(styles_NCHW)
        compared = self.content_encoder(styles_NCHW)  # what is compared comes from the content's own encoder
        mean_NC, deviation_NC = channel_statistics(styles[0])
        features = [normalise_channels(contents[0]) * deviation_NC[:, :, None, None] + mean_NC[:, :, None, None]]
        for depth, attention in zip(ATTENTION_DEPTHS, self.attention, strict=True):
            keys = shallow_keys(contents, depth), shallow_keys(compared, depth)
            features.append(attention(contents[depth], keys[0], styles[depth], keys[1]))
        return self.decoder(features)

    def reconstruct(self, images_NCHW: Tensor) -> Tensor:
        """Images encoded and decoded with no style; not clamped."""
        return self.decoder(self.content_encoder(images_NCHW))


def build_small(tensors: dict[str, Tensor]) -> SmallAdaAttN:
    """The network of a state dict, float32, in evaluation mode; its widths are read from the tensors."""
    network = SmallAdaAttN(read_widths(tensors))
    network.load_state_dict({name: tensor.float() for name, tensor in tensors.items()})
    return network.eval()
