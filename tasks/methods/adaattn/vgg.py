"""The published AdaAttN: attention at relu3_1, relu4_1 and relu5_1 of the normalised VGG-19, and its decoder.

N images, C channels, H and W pixels, multiples of 16; a level is the number of its relu{level}_1, less 1.
The layouts are those of the authors' files (Huage001/AdaAttN, models/networks.py).
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tasks.encoders.vgg import NormalisedVgg, open_published
from tasks.encoders.vgg_decoder import DoublingConvolution
from tasks.methods.adaattn.attention import Attending, TokenAttention
from tasks.methods.adaattn.network import AdaAttnNetwork, Features
from tasks.methods.adaattn.settings import DEFAULTS
from tasks.weights.loading import match_layout

CHANNELS = (64, 128, 256, 512, 512)  # relu1_1 to relu5_1
LEVELS = (2, 3, 4)
PROJECTIONS = {"f": "query", "g": "key", "h": "value"}
# Where a convolution sits in `latest_net_decoder.pth`, with its channels in and out.
FIRST, JOINING, LAST = "decoder_layer_1.1", "decoder_layer_2.1", "decoder_layer_2.24"
DECODER_CHANNELS = {
    FIRST: (512, 256), JOINING: (512, 256),
    "decoder_layer_2.4": (256, 256), "decoder_layer_2.7": (256, 256), "decoder_layer_2.10": (256, 128),
    "decoder_layer_2.14": (128, 128), "decoder_layer_2.17": (128, 64),
    "decoder_layer_2.21": (64, 64), LAST: (64, 3),
}  # fmt: skip
DOUBLED_BEFORE = ("decoder_layer_2.14", "decoder_layer_2.21")  # and the first half of what JOINING reads


class VggAdaAttN(AdaAttnNetwork):
    """Scores are not scaled: the projections were trained so."""

    levels = LEVELS
    how = Attending(DEFAULTS["vgg"].epsilon)

    def __init__(self, encoder: NormalisedVgg, tensors: Mapping[str, Mapping[str, Tensor]]) -> None:
        """From the tensors of `attention`, `transformer` and `decoder`, each in the layout of its file."""
        super().__init__()
        transformer = tensors["transformer"]
        self.encoder = encoder
        self.attention = nn.ModuleDict(
            {
                "2": open_attention(tensors["attention"], ""),
                "3": open_attention(transformer, "attn_adain_4_1."),
                "4": open_attention(transformer, "attn_adain_5_1."),
            }
        )
        self.merge = reflecting(transformer["merge_conv.weight"], transformer["merge_conv.bias"])
        self.decoder: nn.Module = SkipDecoder(tensors["decoder"])

    def attention_at(self, level: int) -> TokenAttention:
        attention = self.attention[str(level)]
        assert isinstance(attention, TokenAttention)
        return attention

    def content_features(self, images_NCHW: Tensor) -> Features:
        """relu1_1 and relu2_1 at the size of relu3_1 already, the finest where they are compared.

        Sides are multiples of 16, so that a neighbour of a neighbour is the one that `shallow_keys` would take; the
        large maps need not be kept (6.4 GB at 4096x4096).
        """
        size = [side // 4 for side in images_NCHW.shape[2:]]
        return [
            F.interpolate(maps_NCHW, size, mode="nearest") if level < LEVELS[0] else maps_NCHW
            for level, maps_NCHW in enumerate(self.encoder.stream(images_NCHW))
        ]

    def style_features(self, images_NCHW: Tensor) -> tuple[Features, Features]:
        """Of pictures of any size; the same for both."""
        features = self.encoder(images_NCHW)
        return features, features

    def unstyled(self, features: Features) -> Features:
        """As values, which is what the decoder knows: what positions would get that attend to themselves alone."""
        levels = zip(self.levels, features, strict=True)
        return [self.attention_at(level).value(features_NCHW) for level, features_NCHW in levels]

    def decode(self, transferred: Features) -> Tensor:
        images_NCHW: Tensor = self.decoder(self.merge_deep(*transferred[1:]), transferred[0])
        return images_NCHW

    def merge_deep(self, fourth_NCHW: Tensor, fifth_NChw: Tensor) -> Tensor:
        """What the decoder starts from: relu4_1 and, doubled, relu5_1, added and convolved."""
        merged_NCHW: Tensor = self.merge(fourth_NCHW + F.interpolate(fifth_NChw, scale_factor=2.0, mode="nearest"))
        return merged_NCHW


class SkipDecoder(nn.Module):
    """Nine 3x3 convolutions over reflected borders, three doublings; relu3_1 joins after the first."""

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        """From a state dict in the layout of `latest_net_decoder.pth`."""
        super().__init__()
        weights = {name: (tensors[f"{name}.weight"], tensors[f"{name}.bias"]) for name in DECODER_CHANNELS}
        joining_OI33, bias_O = weights.pop(JOINING)
        doubled = DECODER_CHANNELS[FIRST][1]
        self.first = reflecting(*weights.pop(FIRST))
        # One convolution of the doubled features and the others side by side is the sum of two.
        self.doubling = DoublingConvolution(joining_OI33[:, :doubled], bias_O)
        self.joining = reflecting(joining_OI33[:, doubled:], None)
        self.rest = nn.Sequential()
        for name, (weight_OI33, bias_O) in weights.items():
            doubles = name in DOUBLED_BEFORE
            self.rest.append(DoublingConvolution(weight_OI33, bias_O) if doubles else reflecting(weight_OI33, bias_O))
            if name != LAST:
                self.rest.append(nn.ReLU(inplace=True))

    def forward(self, merged_NChw: Tensor, third_NCHW: Tensor) -> Tensor:
        """Features at 1/8 and 1/4 of the image to images NCHW around [0, 1], not clamped."""
        joined_NCHW = self.doubling(F.relu(self.first(merged_NChw))) + self.joining(third_NCHW)
        images_NCHW: Tensor = self.rest(F.relu(joined_NCHW))
        return images_NCHW


def reflecting(weight_OI33: Tensor, bias_O: Tensor | None) -> nn.Conv2d:
    """A convolution of those weights that keeps the size."""
    wide, narrow = weight_OI33.shape[:2]
    layer = nn.Conv2d(narrow, wide, 3, padding=1, padding_mode="reflect", bias=bias_O is not None)
    layer.load_state_dict({"weight": weight_OI33} | ({} if bias_O is None else {"bias": bias_O}))
    return layer


def open_attention(tensors: Mapping[str, Tensor], prefix: str) -> TokenAttention:
    """The attention whose tensors have that prefix in the authors' layout."""
    key_channels, channels = tensors[f"{prefix}f.weight"].shape[0], tensors[f"{prefix}h.weight"].shape[0]
    with torch.device("meta"):
        attention = TokenAttention(key_channels, channels, key_channels, scale=1.0)
    renamed = {
        f"{ours}.{kind}": tensors[f"{prefix}{theirs}.{kind}"]
        for theirs, ours in PROJECTIONS.items()
        for kind in ("weight", "bias")
    }
    attention.load_state_dict(renamed, assign=True)
    return attention


def build_vgg(files: Mapping[str, Mapping[str, Tensor]]) -> VggAdaAttN:
    """The network of the four files, read. Raises RequestError that names the first tensor that is not theirs."""
    # A checkpoint saved from several GPUs has a prefix (torch's DataParallel).
    tensors = {name: {key.removeprefix("module."): t for key, t in file.items()} for name, file in files.items()}
    match_layout(tensors["attention"], attention_layout(2, ""), "AdaAttN's attention (latest_net_adaattn_3.pth)")
    match_layout(tensors["transformer"], transformer_layout(), "AdaAttN's transformer (latest_net_transformer.pth)")
    match_layout(tensors["decoder"], decoder_layout(), "AdaAttN's decoder (latest_net_decoder.pth)")
    return VggAdaAttN(open_published(tensors["encoder"], len(CHANNELS)), tensors)


def attention_layout(level: int, prefix: str = "") -> dict[str, list[int]]:
    """Names and shapes of an attention's tensors: keys of a level are its features and all finer ones."""
    sides = {"f": sum(CHANNELS[: level + 1]), "g": sum(CHANNELS[: level + 1]), "h": CHANNELS[level]}
    weights = {f"{prefix}{name}.weight": [side, side, 1, 1] for name, side in sides.items()}
    return weights | {f"{prefix}{name}.bias": [side] for name, side in sides.items()}


def transformer_layout() -> dict[str, list[int]]:
    """Names and shapes of the tensors of `latest_net_transformer.pth`."""
    merge = {"merge_conv.weight": [512, 512, 3, 3], "merge_conv.bias": [512]}
    return attention_layout(3, "attn_adain_4_1.") | attention_layout(4, "attn_adain_5_1.") | merge


def decoder_layout() -> dict[str, list[int]]:
    """Names and shapes of the tensors of `latest_net_decoder.pth`."""
    weights = {f"{name}.weight": [wide, narrow, 3, 3] for name, (narrow, wide) in DECODER_CHANNELS.items()}
    return weights | {f"{name}.bias": [wide] for name, (_, wide) in DECODER_CHANNELS.items()}
