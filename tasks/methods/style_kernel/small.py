"""The compact StyleKernel network of ours: kernels at 1/4 and 1/8 of the image, statistics alone at 1/2.

N images, C channels, H and W pixels; features at depth d are NCHW at 1/2, 1/4 and 1/8 of the image.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from tasks.encoders.attention import MEMORY, shallow_keys
from tasks.encoders.compact import WIDTHS, SmallDecoder, SmallEncoder, read_widths
from tasks.encoders.statistics import channel_statistics, normalise_channels
from tasks.methods.style_kernel.alignment import StyleAlignment
from tasks.methods.style_kernel.kernels import KernelGenerator, Kernels, apply_kernels

KERNEL_DEPTHS = (1, 2)  # of the encoder's three, those whose features are convolved: 1/4 and 1/8
GROUP = 8  # channels that share a kernel
TAPS, LAYERS, HIDDEN, KEY_DEPTH = 5, 2, 96, 64


@dataclass(frozen=True)
class StyleFeatures:
    """What a style is to the network: tokens of its 1/8 features, and its statistics at every depth."""

    keys: Tensor  # NKD
    values: Tensor  # NKC
    statistics: list[tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Switches:
    """Parts that an ablation turns off."""

    gated: bool = True
    shuffled: bool = True
    taps: int = TAPS


class SmallStyleKernel(nn.Module):
    """State dict: `content_encoder.`, `style_encoder.`, `decoder.` as adain's compact network, `alignment.`, `heads.`

    With kernels that are the identity, as at first, it is AdaIN: convolved are a content's normalised features, which
    then get the deviations and means of the style.
    """

    def __init__(self, widths: Sequence[int] = WIDTHS) -> None:
        super().__init__()
        depths = list(widths[1:])
        self.content_encoder = SmallEncoder(widths)
        self.style_encoder = SmallEncoder(widths)
        self.decoder = SmallDecoder(widths)
        self.alignment = StyleAlignment(sum(depths), depths[-1], KEY_DEPTH)
        self.heads = nn.ModuleList(
            KernelGenerator(depths[-1], depths[depth], depths[depth] // GROUP, TAPS, LAYERS, HIDDEN)
            for depth in KERNEL_DEPTHS
        )

    def forward(self, contents_NCHW: Tensor, styles_NCHW: Tensor, switches: Switches = Switches()) -> Tensor:
        """Row n of the contents in the style of row n of the styles (their sizes may differ); not clamped."""
        contents = self.content_encoder(contents_NCHW)
        style = self.represent(styles_NCHW)
        kernels = self.make_kernels(self.align(contents, style, switches.gated))
        return self.decoder(self.stylize(contents, kernels, style.statistics, switches))

    def reconstruct(self, images_NCHW: Tensor) -> Tensor:
        """Images encoded and decoded with no style; not clamped."""
        return self.decoder(self.content_encoder(images_NCHW))

    def represent(self, styles_NCHW: Tensor) -> StyleFeatures:
        """Both encoders see the style: what is compared comes from the content's own."""
        features = self.style_encoder(styles_NCHW)
        keys_NCHW = shallow_keys(self.content_encoder(styles_NCHW), len(features) - 1)
        tokens = self.alignment.tokens(keys_NCHW, features[-1])
        return StyleFeatures(*tokens, [channel_statistics(level) for level in features])

    def align(self, contents: Sequence[Tensor], style: StyleFeatures, gated: bool, memory: int = MEMORY) -> Tensor:
        """The style's features at 1/8 of the content, where each belongs, NCHW."""
        keys_NCHW = shallow_keys(contents, len(contents) - 1)
        return self.alignment(keys_NCHW, style.keys, style.values, gated, memory)

    def make_kernels(self, aligned_NCHW: Tensor) -> list[list[Kernels]]:
        """The layers of each depth of KERNEL_DEPTHS, at the positions of 1/8 of the content."""
        return [head(aligned_NCHW) for head in self.heads]

    def stylize(
        self,
        contents: Sequence[Tensor],
        kernels: Sequence[Sequence[Kernels]],
        statistics: Sequence[tuple[Tensor, Tensor]],
        switches: Switches,
    ) -> list[Tensor]:
        """Normalised features, convolved, with the style's deviation and mean: what the decoder takes."""
        features = []
        for depth, (content_NCHW, (mean_NC, deviation_NC)) in enumerate(zip(contents, statistics, strict=True)):
            convolved_NCHW = normalise_channels(content_NCHW)
            if depth in KERNEL_DEPTHS:
                layers = [
                    layer.resize(content_NCHW.shape[2:]).keep_taps(switches.taps)
                    for layer in kernels[KERNEL_DEPTHS.index(depth)]
                ]
                convolved_NCHW = apply_kernels(convolved_NCHW, layers, switches.shuffled)
            features.append(convolved_NCHW * deviation_NC[:, :, None, None] + mean_NC[:, :, None, None])
        return features


def build_small(tensors: dict[str, Tensor]) -> SmallStyleKernel:
    """The network of a state dict, float32, in evaluation mode; its widths are read from the tensors."""
    network = SmallStyleKernel(read_widths(tensors))
    network.load_state_dict({name: tensor.float() for name, tensor in tensors.items()})
    return network.eval()
