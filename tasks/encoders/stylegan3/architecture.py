"""The shape of a StyleGAN3 generator: its settings, and what they say of each layer.

Karras et al., "Alias-Free Generative Adversarial Networks", NeurIPS 2021. Frequencies are in cycles per picture, rates
in samples per picture, sizes in samples; a layer's samples reach past the picture by a margin on each side.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from tasks.records import RequestError

# The official constructor's names of our settings (NVlabs/stylegan3, as training snapshots record them).
OFFICIAL_NAMES = {
    "z_dim": "z_size",
    "w_dim": "w_size",
    "img_resolution": "resolution",
    "channel_base": "channels_base",
    "channel_max": "channels_max",
    "num_layers": "layers",
    "num_critical": "critical_layers",
    "first_cutoff": "first_cutoff",
    "first_stopband": "first_stopband",
    "last_stopband_rel": "last_stopband_ratio",
    "margin_size": "margin",
    "conv_kernel": "kernel",
    "use_radial_filters": "radial",
    "filter_size": "filter_taps",
    "output_scale": "output_scale",
    "num_fp16_res": "half_octaves",
    "conv_clamp": "clamp",
}
OFFICIAL_MAPPING_NAMES = {"num_layers": "mapping_layers", "lr_multiplier": "mapping_rate"}
# What only training reads, or only a generator with classes.
IGNORED = {"magnitude_ema_beta", "class_name", "mapping_kwargs"}
IGNORED_OF_MAPPING = {"w_avg_beta", "embed_features"}
COLOURS = 3
BETWEEN = 2  # times the higher rate: where a leaky ReLU works (the paper's m)


@dataclass(frozen=True)
class LayerSpec:
    """One layer: modulated convolution, then a leaky ReLU at a higher rate between two low-pass filters."""

    name: str  # L{index}_{size}_{channels}, as in the official keys
    channels_in: int
    channels_out: int
    size_in: int
    size_out: int
    rate_in: int
    rate_out: int
    rate_between: int
    cutoff_in: float
    cutoff_out: float
    half_width_in: float
    half_width_out: float
    up: int
    down: int
    up_taps: int
    down_taps: int
    padding: tuple[int, int]  # of the samples between, before and after, both axes alike; negative crops
    kernel: int
    radial: bool  # the down filter is one of the plane, in place of one of each axis
    critical: bool
    colours: bool  # the last layer: no filters, no demodulation
    half: bool  # runs in half precision where that is asked for


@dataclass(frozen=True)
class GeneratorConfig:
    """Settings of a generator, configuration T by default; R has kernel 1, radial filters and doubled channels."""

    z_size: int = 512
    w_size: int = 512
    resolution: int = 1024
    channels_base: int = 32768  # a layer's channels times its bandwidth, twice its cutoff
    channels_max: int = 512
    layers: int = 14  # without the one to colours
    mapping_layers: int = 2
    critical_layers: int = 2  # at the end, which keep all that the resolution can hold
    first_cutoff: float = 2.0
    first_stopband: float = 2**2.1
    last_stopband_ratio: float = 2**0.3  # of the last cutoff
    margin: int = 10
    kernel: int = 3
    radial: bool = False
    filter_taps: int = 6  # of the low-pass filters, per sample of the lower rate
    output_scale: float = 0.25
    half_octaves: int = 4  # below the resolution, that run in half precision
    clamp: float = 256.0  # of activations
    mapping_rate: float = 0.01  # learning rate of the mapping, over that of the synthesis

    @classmethod
    def read(cls, init_kwargs: Mapping[str, Any]) -> GeneratorConfig:
        """The settings under the official constructor's names; what is not there is its default.

        Raises RequestError where the generator has classes or is not of colour pictures, where a name is not known,
        or where a value is not of its kind.
        """
        if init_kwargs.get("c_dim", 0) != 0:
            raise RequestError("This StyleGAN3 generator has classes (c_dim): only those without are read.")
        if init_kwargs.get("img_channels", COLOURS) != COLOURS:
            raise RequestError("This StyleGAN3 generator does not make colour pictures: img_channels must be 3.")
        mapping = init_kwargs.get("mapping_kwargs") or {}
        if not isinstance(mapping, Mapping):
            raise RequestError("The mapping_kwargs of this StyleGAN3 generator are not named arguments.")
        own = {name: value for name, value in init_kwargs.items() if name not in IGNORED | {"c_dim", "img_channels"}}
        of_mapping = {name: value for name, value in mapping.items() if name not in IGNORED_OF_MAPPING}
        config = cls(**_rename(own, OFFICIAL_NAMES), **_rename(of_mapping, OFFICIAL_MAPPING_NAMES))
        return config._check()

    def init_kwargs(self) -> dict[str, Any]:
        """The arguments of the official constructor that `read` takes."""
        values = asdict(self)
        own = {official: values[name] for official, name in OFFICIAL_NAMES.items()}
        mapping = {official: values[name] for official, name in OFFICIAL_MAPPING_NAMES.items()}
        return {"c_dim": 0, "img_channels": COLOURS, **own, "mapping_kwargs": mapping}

    @property
    def rows(self) -> int:
        """Rows L of W+: one of the input, one of each layer, one of the colours."""
        return self.layers + 2

    @property
    def cutoffs(self) -> list[float]:
        """Of each layer and the colours: geometric, up to half the resolution at the critical layers."""
        return self._progress(self.first_cutoff, self.resolution / 2)

    @property
    def stopbands(self) -> list[float]:
        """Frequencies that each layer's filters have faded by."""
        return self._progress(self.first_stopband, self.resolution / 2 * self.last_stopband_ratio)

    @property
    def rates(self) -> list[int]:
        """Powers of two that hold the stopband, at most the resolution."""
        return [2 ** math.ceil(math.log2(min(2 * stopband, self.resolution))) for stopband in self.stopbands]

    @property
    def half_widths(self) -> list[float]:
        """Half of the transition of each layer's filters."""
        each = zip(self.stopbands, self.rates, self.cutoffs, strict=True)
        return [max(stopband, rate / 2) - cutoff for stopband, rate, cutoff in each]

    @property
    def sizes(self) -> list[int]:
        """With the margin, but for the last two, which are the picture's."""
        sizes = [rate + 2 * self.margin for rate in self.rates]
        return [*sizes[:-2], self.resolution, self.resolution]

    @property
    def channels(self) -> list[int]:
        """As many as keep the work of a layer in bounds; 3 at the end."""
        channels = [round(min(self.channels_base / 2 / cutoff, self.channels_max)) for cutoff in self.cutoffs]
        return [*channels[:-1], COLOURS]

    def layers_table(self) -> list[LayerSpec]:
        """Every layer in order, the one to colours last."""
        return [self._specify(index) for index in range(self.layers + 1)]

    def _progress(self, first: float, last: float) -> list[float]:
        steps = self.layers - self.critical_layers
        return [first * (last / first) ** min(index / steps, 1) for index in range(self.layers + 1)]

    def _specify(self, index: int) -> LayerSpec:
        before, colours = max(index - 1, 0), index == self.layers
        critical = index >= self.layers - self.critical_layers
        rate_in, rate_out = self.rates[before], self.rates[index]
        rate_between = max(rate_in, rate_out) * (1 if colours else BETWEEN)
        up, down = rate_between // rate_in, rate_between // rate_out
        up_taps, down_taps = (1, 1) if colours else (self.filter_taps * up, self.filter_taps * down)
        kernel = 1 if colours else self.kernel
        size_in, size_out, channels = self.sizes[before], self.sizes[index], self.channels[index]
        return LayerSpec(
            name=f"L{index}_{size_out}_{channels}",
            channels_in=self.channels[before],
            channels_out=channels,
            size_in=size_in,
            size_out=size_out,
            rate_in=rate_in,
            rate_out=rate_out,
            rate_between=rate_between,
            cutoff_in=self.cutoffs[before],
            cutoff_out=self.cutoffs[index],
            half_width_in=self.half_widths[before],
            half_width_out=self.half_widths[index],
            up=up,
            down=down,
            up_taps=up_taps,
            down_taps=down_taps,
            padding=pad_centred(size_in + kernel - 1, size_out, up, down, up_taps + down_taps),
            kernel=kernel,
            radial=self.radial and not critical,
            critical=critical,
            colours=colours,
            half=rate_out * 2**self.half_octaves > self.resolution,
        )

    def _check(self) -> GeneratorConfig:
        if not self.layers > self.critical_layers >= 1 or self.mapping_layers < 1:
            raise RequestError("This StyleGAN3 generator has too few layers for its critical ones.")
        if self.resolution & (self.resolution - 1) or self.resolution < 2 * self.first_cutoff:
            raise RequestError(f"The resolution of a StyleGAN3 generator is a power of two, not {self.resolution}.")
        return self


def pad_centred(size_in: int, size_out: int, up: int, down: int, taps: int) -> tuple[int, int]:
    """Padding at the rate between, so that `size_out` samples come out whose centre is that of those that go in.

    Sample j of the output lies at j * down - before + (taps - 2) / 2 where sample i of the input lies at i * up, `taps`
    being those of both filters together; both centres at one place give `before`, the number of samples `after`.
    """
    before = ((size_out - 1) * down + taps - 2 - (size_in - 1) * up) // 2
    total = (size_out - 1) * down + 1 + taps - 2 - size_in * up
    return before, total - before


def _rename(values: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """Values under our names, each a number of the kind of the default."""
    renamed = {}
    for official, value in values.items():
        if official not in names:
            raise RequestError(f"This StyleGAN3 generator was made with {official}, which is not known here.")
        kind = type(getattr(GeneratorConfig, names[official]))
        if not _is_of(kind, value):
            raise RequestError(f"The {official} of this StyleGAN3 generator is not a number that it can be: {value}.")
        renamed[names[official]] = kind(value)
    return renamed


def _is_of(kind: type, value: object) -> bool:
    """Whether a value is a switch, a count or a finite number, whichever is wanted; none of these is negative."""
    if kind is bool or isinstance(value, bool):
        return kind is bool and isinstance(value, bool)
    return isinstance(value, (int, float)) and 0 <= value < math.inf and kind(value) == value
