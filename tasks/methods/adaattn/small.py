"""The compact AdaAttN network of ours: attention at 1/2, 1/4 and 1/8 of the image.

N images, C channels, H and W pixels; features at depth d are NCHW at 1/2, 1/4 and 1/8 of the image.
The transfer is AdaAttN's (Liu et al., ICCV 2021, equations 5 to 9); the network around it is ours.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from tasks.encoders.compact import WIDTHS, build_trunk, read_widths
from tasks.encoders.first_weights import compare_alike
from tasks.methods.adaattn.attention import Attending, TokenAttention
from tasks.methods.adaattn.network import AdaAttnNetwork, Features
from tasks.methods.adaattn.settings import DEFAULTS

LEVELS = (0, 1, 2)
KEY_DEPTHS = (32, 64, 64)


class SmallAdaAttN(AdaAttnNetwork):
    """State dict: `content_encoder.`, `style_encoder.`, `decoder.` as adain's compact network, `attention.`

    Scores are divided by the root of their depth, which the authors' are not: they need no training to be gentle.
    """

    levels = LEVELS
    most_tokens = DEFAULTS["small"].max_tokens  # more take longer than they teach
    how = Attending(DEFAULTS["small"].epsilon)

    def __init__(self, widths: Sequence[int] = WIDTHS) -> None:
        super().__init__()
        depths = list(widths[1:])
        self.content_encoder, self.style_encoder, self.decoder = build_trunk(widths)
        self.attention = nn.ModuleList(
            TokenAttention(sum(depths[: level + 1]), depths[level], KEY_DEPTHS[level], KEY_DEPTHS[level] ** -0.5)
            for level in LEVELS
        )
        for level in LEVELS:
            attention = self.attention_at(level)
            compare_alike(attention.query, attention.key, attention.value)

    def attention_at(self, level: int) -> TokenAttention:
        attention = self.attention[level]
        assert isinstance(attention, TokenAttention)
        return attention

    def content_features(self, images_NCHW: Tensor) -> Features:
        features: list[Tensor] = self.content_encoder(images_NCHW)
        return features

    def style_features(self, images_NCHW: Tensor) -> tuple[Features, Features]:
        """What is compared comes from the content's own encoder."""
        return self.style_encoder(images_NCHW), self.content_encoder(images_NCHW)

    def unstyled(self, features: Features) -> Features:
        """As they are: the decoder learns to reconstruct."""
        return features

    def decode(self, transferred: Features) -> Tensor:
        images_NCHW: Tensor = self.decoder(transferred)
        return images_NCHW


def build_small(tensors: dict[str, Tensor]) -> SmallAdaAttN:
    """The network of a state dict, float32, in evaluation mode; its widths are read from the tensors."""
    network = SmallAdaAttN(read_widths(tensors))
    network.load_state_dict({name: tensor.float() for name, tensor in tensors.items()})
    return network.eval()
