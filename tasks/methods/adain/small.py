"""The compact stylization network of ours: two encoders, statistics transfer at three depths, a decoder.

N images, C channels, H and W pixels; features at depth d are NCHW at 1/2, 1/4 and 1/8 of the image.
The transfer is AdaIN (Huang and Belongie, ICCV 2017, equation 8); the network around it is ours.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from tasks.encoders.compact import WIDTHS, SmallDecoder, SmallEncoder, read_widths
from tasks.encoders.statistics import channel_statistics


def transfer_statistics(features_NCHW: Tensor, mean_NC: Tensor, deviation_NC: Tensor, alpha: float = 1.0) -> Tensor:
    """Give each channel another mean and deviation; `alpha` in [0, 1] mixes with the features before."""
    own_mean_NC, own_deviation_NC = channel_statistics(features_NCHW)
    gain_NC = alpha * (deviation_NC / own_deviation_NC) + (1 - alpha)
    shift_NC = alpha * (mean_NC - own_mean_NC * (deviation_NC / own_deviation_NC))
    return features_NCHW * gain_NC[:, :, None, None] + shift_NC[:, :, None, None]


class SmallStylizer(nn.Module):
    """The three networks in one state dict: `content_encoder.`, `style_encoder.`, `decoder.`."""

    def __init__(self, widths: Sequence[int] = WIDTHS) -> None:
        super().__init__()
        self.content_encoder = SmallEncoder(widths)
        self.style_encoder = SmallEncoder(widths)
        self.decoder = SmallDecoder(widths)

    def forward(self, contents_NCHW: Tensor, styles_NCHW: Tensor, alpha: float = 1.0) -> Tensor:
        """Row n of the contents in the style of row n of the styles (their sizes may differ); not clamped."""
        return self.render(self.content_encoder(contents_NCHW), self.represent(styles_NCHW), alpha)

    def reconstruct(self, images_NCHW: Tensor) -> Tensor:
        """Images encoded and decoded with no style; not clamped."""
        return self.decoder(self.content_encoder(images_NCHW))

    def represent(self, styles_NCHW: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Mean and deviation at each depth, the finest first: 384 numbers a style picture."""
        return [channel_statistics(features_NCHW) for features_NCHW in self.style_encoder(styles_NCHW)]

    def render(self, contents: Sequence[Tensor], styles: Sequence[tuple[Tensor, Tensor]], alpha: float = 1.0) -> Tensor:
        """Encoded contents in represented styles, row by row (or one style for all); images, not clamped."""
        pairs = zip(contents, styles, strict=True)
        return self.decoder([transfer_statistics(features, *style, alpha) for features, style in pairs])


def build_small(tensors: dict[str, Tensor]) -> SmallStylizer:
    """The network of a state dict, float32, in evaluation mode; its widths are read from the tensors."""
    network = SmallStylizer(read_widths(tensors))
    network.load_state_dict({name: tensor.float() for name, tensor in tensors.items()})
    return network.eval()
