"""The StyleGAN3 generator: pictures of latents, differentiable in them and in its weights.

N pictures, Z features of a latent, L rows of W+ of W features each, C channels, H and W pixels.
Karras et al., "Alias-Free Generative Adversarial Networks", NeurIPS 2021. Configuration T gives the numbers recorded
from the published code; of R none are recorded: it is checked only by its equivariances, to turns by 90 degrees and to
shifts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint as run_checkpointed

from tasks.encoders.stylegan3.architecture import GeneratorConfig
from tasks.encoders.stylegan3.layers import TINY, FourierInput, FullyConnected, SynthesisLayer

AVERAGE_BETA = 0.998  # a step's decay of the mean style (the authors')
SLOPE = 0.2  # of the mapping's leaky ReLUs for negative values (the authors')


class Mapping(nn.Module):
    """Latents to styles, and the mean style that they can be drawn towards."""

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        self.layers = config.mapping_layers
        sizes = [config.z_size, *[config.w_size] * self.layers]
        for index in range(self.layers):
            self.add_module(f"fc{index}", FullyConnected(sizes[index], sizes[index + 1], rate=config.mapping_rate))
        self.register_buffer("w_avg", torch.zeros(config.w_size))

    w_avg: Tensor

    def forward(self, latents_NZ: Tensor) -> Tensor:
        features_NW = latents_NZ * (latents_NZ.square().mean(1, keepdim=True) + TINY).rsqrt()
        for index in range(self.layers):
            features_NW = F.leaky_relu(self.get_submodule(f"fc{index}")(features_NW), SLOPE) * 2**0.5
        return features_NW

    @torch.no_grad()
    def measure(self, styles_NW: Tensor) -> None:
        """Move the mean style towards that of these styles."""
        self.w_avg.copy_(styles_NW.float().mean(0).lerp(self.w_avg, AVERAGE_BETA))


class Synthesis(nn.Module):
    """The input and the layers, by their official names."""

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        self.input = FourierInput(config)
        self.names = [spec.name for spec in config.layers_table()]
        for spec in config.layers_table():
            self.add_module(spec.name, SynthesisLayer(spec, config))

    def layers(self) -> list[SynthesisLayer]:
        """In order, the one to colours last."""
        return [cast(SynthesisLayer, self.get_submodule(name)) for name in self.names]


class Generator(nn.Module):
    """Pictures of latents z, or of styles w, one row a layer. State dicts have the official keys.

    A new one has the weights that training starts from. Training mode keeps the mean style and the layers' input
    magnitudes; evaluation mode changes nothing. `magnitude_beta` is the decay of the magnitudes in a step.
    """

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        self.config = config
        self.magnitude_beta = 0.999
        self.mapping = Mapping(config)
        self.synthesis = Synthesis(config)

    @property
    def rows(self) -> int:
        """Rows L of W+ that a picture takes."""
        return self.config.rows

    def map(self, latents_NZ: Tensor, psi: float = 1.0, cutoff: int | None = None) -> Tensor:
        """Latents, about standard normal, to styles [N, L, W], the same in each row.

        `psi` below 1 draws the first `cutoff` rows (by default all) towards the mean style: truncation.
        """
        styles_NW = self.mapping(latents_NZ.to(self.mapping.w_avg.dtype))
        if self.training:
            self.mapping.measure(styles_NW)
        styles_NLW = styles_NW[:, None].expand(-1, self.rows, -1)
        if psi == 1:
            return styles_NLW
        drawn_NLW = self.mapping.w_avg.lerp(styles_NLW[:, :cutoff], psi)
        return torch.cat([drawn_NLW, styles_NLW[:, drawn_NLW.shape[1] :]], dim=1)

    def synthesize(self, ws_NLW: Tensor, checkpoint: bool = False, half: torch.dtype | None = None) -> Tensor:
        """Styles to pictures [N, 3, H, W], about [-1, 1] and not clamped, in the precision of the styles.

        With `checkpoint`, gradients make each layer's activations again instead of keeping them. `half` is the
        precision of the layers of the highest rates (`LayerSpec.half`); the others stay in the weights'. Pictures do
        not depend on what else is in their batch, up to rounding.
        """
        features_NCHW = self.synthesis.input(ws_NLW[:, 0])
        for layer, styles_NW in zip(self.synthesis.layers(), ws_NLW.unbind(1)[1:], strict=True):
            if self.training:
                layer.measure(features_NCHW, self.magnitude_beta)
            dtype = half if half is not None and layer.spec.half else layer.weight.dtype
            run = _checkpointed(layer) if checkpoint else layer
            features_NCHW = run(features_NCHW, styles_NW, layer.magnitude_ema.rsqrt(), dtype)
        return features_NCHW.to(ws_NLW.dtype) * self.config.output_scale

    def forward(self, latents_NZ: Tensor) -> Tensor:
        """Latents to pictures, without truncation."""
        return self.synthesize(self.map(latents_NZ))


def _checkpointed(layer: nn.Module) -> Callable[..., Tensor]:
    def run(*arguments: object) -> Tensor:
        return cast(Tensor, run_checkpointed(layer, *arguments, use_reentrant=False, preserve_rng_state=False))

    return run
