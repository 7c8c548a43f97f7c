"""The parts of a StyleGAN3 generator, under the official names of their tensors.

N images, C channels, I channels or features in, O out, H and W samples, W also features of a style. Learning rates are
equalised (Karras et al., ICLR 2018): weights are near 1 whatever a layer's size, and are scaled where they are used.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tasks.encoders.stylegan3.architecture import GeneratorConfig, LayerSpec
from tasks.encoders.stylegan3.filters import design_axis_filter, design_radial_filter
from tasks.encoders.stylegan3.resampling import Resampling, ResamplingPlan, filtered_leaky_relu

TINY = 1e-8  # keeps norms of nothing from dividing by zero (the authors')


class FullyConnected(nn.Module):
    """A linear layer with an equalised learning rate; `rate` is that rate over the other layers'."""

    def __init__(self, size_in: int, size_out: int, bias: float = 0.0, rate: float = 1.0) -> None:
        super().__init__()
        self.rate = rate
        self.weight = nn.Parameter(torch.randn(size_out, size_in) / rate)
        self.bias = nn.Parameter(torch.full((size_out,), bias / rate))

    def forward(self, features_NI: Tensor) -> Tensor:
        return F.linear(features_NI, self.weight * (self.rate / self.weight.shape[1] ** 0.5), self.bias * self.rate)


class FourierInput(nn.Module):
    """Waves of random frequencies and phases, mixed; the style turns and shifts them.

    `transform` [3, 3] moves the picture beside that: a shift is in pictures, x before y.
    """

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        channels = config.channels[0]
        self.size, self.rate, self.bandwidth = config.sizes[0], config.rates[0], config.cutoffs[0]
        self.weight = nn.Parameter(torch.randn(channels, channels))
        self.affine = FullyConnected(config.w_size, 4)
        nn.init.zeros_(self.affine.weight)  # every picture starts upright
        self.affine.bias.data.copy_(torch.tensor([1.0, 0.0, 0.0, 0.0]))
        # Uniform in the disc of frequencies that the first layer holds (the paper, section 3.2).
        radii_C, angles_C = self.bandwidth * torch.rand(channels).sqrt(), 2 * torch.pi * torch.rand(channels)
        self.register_buffer("freqs", torch.stack([radii_C * angles_C.cos(), radii_C * angles_C.sin()], dim=1))
        self.register_buffer("phases", torch.rand(channels) - 0.5)
        self.register_buffer("transform", torch.eye(3))

    freqs: Tensor
    phases: Tensor
    transform: Tensor

    def forward(self, styles_NW: Tensor) -> Tensor:
        """Styles to features [N, C, size, size], float32."""
        transforms_N33 = move_by(self.affine(styles_NW)) @ self.transform
        freqs_NC2 = self.freqs @ transforms_N33[:, :2, :2]
        phases_NC = self.phases + transforms_N33[:, :2, 2] @ self.freqs.T
        # A wave fades between the bandwidth and half the rate, so that a zooming transform does not alias.
        above_NC = freqs_NC2.norm(dim=2) - self.bandwidth
        amplitudes_NC = (1 - above_NC / (self.rate / 2 - self.bandwidth)).clamp(0, 1)
        places_H = (torch.arange(self.size, device=freqs_NC2.device) + 0.5 - self.size / 2) / self.rate
        across_NC1W = freqs_NC2[:, :, :1, None] * places_H
        down_NCH1 = freqs_NC2[:, :, 1:, None] * places_H[:, None]
        waves_NCHW = torch.sin(2 * torch.pi * (across_NC1W + down_NCH1 + phases_NC[:, :, None, None]))
        weight_OI = self.weight / self.weight.shape[1] ** 0.5
        return torch.einsum("oi,nihw->nohw", weight_OI, waves_NCHW * amplitudes_NC[:, :, None, None])


def move_by(motion_N4: Tensor) -> Tensor:
    """Matrices [N, 3, 3] that turn and then shift back: cosine, sine, x and y, all over the length of the first two."""
    cosine_N, sine_N, x_N, y_N = (motion_N4 / motion_N4[:, :2].norm(dim=1, keepdim=True)).unbind(1)
    zero_N, one_N = torch.zeros_like(x_N), torch.ones_like(x_N)
    turn = [cosine_N, -sine_N, zero_N, sine_N, cosine_N, zero_N, zero_N, zero_N, one_N]
    shift = [one_N, zero_N, -x_N, zero_N, one_N, -y_N, zero_N, zero_N, one_N]
    turn_N33, shift_N33 = (torch.stack(values, dim=1).unflatten(1, (3, 3)) for values in (turn, shift))
    return turn_N33 @ shift_N33


class SynthesisLayer(nn.Module):
    """A modulated convolution and a filtered leaky ReLU; the last layer has the convolution alone."""

    def __init__(self, spec: LayerSpec, config: GeneratorConfig) -> None:
        super().__init__()
        self.spec, self.clamp = spec, config.clamp
        self.affine = FullyConnected(config.w_size, spec.channels_in, bias=1.0)
        self.weight = nn.Parameter(torch.randn(spec.channels_out, spec.channels_in, spec.kernel, spec.kernel))
        self.bias = nn.Parameter(torch.zeros(spec.channels_out))
        self.register_buffer("magnitude_ema", torch.ones(()))
        self.register_buffer("up_filter", None if spec.colours else design_up(spec))
        self.register_buffer("down_filter", None if spec.colours else design_down(spec))
        self.resampling = Resampling(spec.up, spec.down, spec.padding, clamp=config.clamp)
        self._plans: dict[tuple[torch.dtype, torch.device], ResamplingPlan] = {}

    magnitude_ema: Tensor
    up_filter: Tensor
    down_filter: Tensor

    @torch.no_grad()
    def measure(self, features_NCHW: Tensor, beta: float) -> None:
        """Move the mean square of what goes in towards that of these features, by 1 - beta."""
        self.magnitude_ema.copy_(features_NCHW.float().square().mean().lerp(self.magnitude_ema, beta))

    def forward(self, features_NIHW: Tensor, styles_NW: Tensor, gain: Tensor, dtype: torch.dtype) -> Tensor:
        """Features at the input's rate to those at the output's, in a precision.

        `gain` undoes the magnitude that goes in; it is an argument because checkpointing runs a layer twice.
        """
        into_NI, out_NO = self.scales(self.affine(styles_NW))
        features_NIHW = features_NIHW.to(dtype) * (into_NI * gain).to(dtype)[:, :, None, None]
        # The kernel reaches past the samples on both sides: the filters crop what it adds.
        features_NOHW = F.conv2d(features_NIHW, self.weight.to(dtype), padding=self.spec.kernel - 1)
        bias_1O11 = self.bias.to(dtype)[None, :, None, None]
        if self.spec.colours:
            return (features_NOHW + bias_1O11).clamp(-self.clamp, self.clamp)
        return self.resample(torch.addcmul(bias_1O11, features_NOHW, out_NO.to(dtype)[:, :, None, None]))

    def scales(self, styles_NI: Tensor) -> tuple[Tensor, Tensor]:
        """What to multiply channels by before and after the convolution, [N, I] and [N, O].

        The published code multiplies weights by styles for each image and divides them by their norm. Styles and the
        norm can be drawn out of the sum; so a batch shares its weights, and is one convolution. There styles are
        first divided by their root mean square over the whole batch: that cancels in the norm, so here it is over
        each image, to hold half precision, and pictures do not depend on their batch. For the same reason the
        weights are scaled by their filters' mean energy.
        """
        if self.spec.colours:
            return styles_NI * self.weight[0].numel() ** -0.5, torch.ones(())
        energies_OI = self.weight.square().sum((2, 3))
        styles_NI = styles_NI * (styles_NI.square().mean(1, keepdim=True) + TINY).rsqrt()
        styles_NI = styles_NI * energies_OI.sum(1).mean().rsqrt()
        return styles_NI, (styles_NI.square() @ energies_OI.T + TINY).rsqrt()

    def resample(self, features_NCHW: Tensor) -> Tensor:
        return filtered_leaky_relu(features_NCHW, self.plan(features_NCHW))

    def plan(self, features_NCHW: Tensor) -> ResamplingPlan:
        """The maps of the filters, made once for a precision and a device."""
        key = (features_NCHW.dtype, features_NCHW.device)
        if key not in self._plans:
            filters = (self.up_filter.to(features_NCHW), self.down_filter.to(features_NCHW))
            self._plans[key] = ResamplingPlan(features_NCHW.shape[-1], *filters, self.resampling)
        return self._plans[key]

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> SynthesisLayer:
        """Whatever moves the filters outdates the maps that were made of them."""
        self._plans.clear()
        return super()._apply(fn, recurse)

    def _load_from_state_dict(self, state_dict: Mapping[str, Any], *arguments: Any) -> None:
        self._plans.clear()
        super()._load_from_state_dict(state_dict, *arguments)


def design_up(spec: LayerSpec) -> Tensor:
    """The low-pass filter before the leaky ReLU: of what comes in."""
    if _shapes_alone():
        return torch.empty(spec.up_taps)
    return design_axis_filter(spec.up_taps, spec.cutoff_in, spec.half_width_in, spec.rate_between)


def design_down(spec: LayerSpec) -> Tensor:
    """The low-pass filter after the leaky ReLU: of what goes out."""
    if _shapes_alone():
        return torch.empty([spec.down_taps] * (2 if spec.radial else 1))
    design = design_radial_filter if spec.radial else design_axis_filter
    return design(spec.down_taps, spec.cutoff_out, spec.half_width_out, spec.rate_between)


def _shapes_alone() -> bool:
    """Whether a network is built on the meta device, to take filters that are there already."""
    return torch.get_default_device().type == "meta"
