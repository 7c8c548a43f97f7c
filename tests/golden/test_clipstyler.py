"""CLIPstyler as its authors' code: the U-Net, and three steps of its optimisation."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from tasks.encoders.clip import ClipEncoder
from tasks.encoders.taps import TorchvisionVgg
from tasks.losses.clip import embed_pixels, text_directions
from tasks.losses.crops import Crops
from tasks.losses.taps import CLIPSTYLER_CONTENT
from tasks.methods.base import Content
from tasks.methods.clipstyler.directions import Target, Targets
from tasks.methods.clipstyler.optimisation import Judge, Objective, Optimisation
from tasks.methods.clipstyler.settings import OptimizeSettings
from tasks.methods.clipstyler.unet import render_logits, unet_layout
from tests.golden.conftest import Fixture, Golden
from tests.golden.test_clip import encoder as encoder  # the tiny CLIP of the fixtures
from tests.golden.test_clip import recorded as recorded
from tests.golden.test_clip_losses import recorded_crops

NAMESPACE = "A/clipstyler.unet/"


@pytest.fixture
def network(golden: Golden) -> dict[str, Tensor]:
    """One network, with the recorded weights."""
    weights = golden.weights(golden.layout("clipstyler_unet", "style_net"), NAMESPACE)
    assert {name: list(tensor.shape) for name, tensor in weights.items()} == unet_layout()
    return {name: tensor[None].clone() for name, tensor in weights.items()}


class TestUnet:
    @pytest.fixture
    def numbers(self, golden: Golden) -> Fixture:
        return golden.fixture("clipstyler_unet")

    def test_it_has_as_many_parameters_as_the_authors(self, network: dict[str, Tensor]) -> None:
        assert sum(tensor.numel() for tensor in network.values()) == 615_267

    def test_pictures_and_gradients(self, numbers: Fixture, network: dict[str, Tensor]) -> None:
        for tensor in network.values():
            tensor.requires_grad_()
        image_1CHW = numbers.tensors["input"].clone().requires_grad_()
        logits_1CHW = render_logits(network, image_1CHW, torch.contiguous_format)
        assert_close(logits_1CHW.detach(), numbers.tensors["logits"], atol=2e-5, rtol=0)
        stylized_1CHW = torch.sigmoid(logits_1CHW)
        assert_close(stylized_1CHW.detach(), numbers.tensors["image"], atol=5e-6, rtol=0)
        stylized_1CHW.square().mean().backward()
        gradients = {name: tensor.grad[0] for name, tensor in network.items() if tensor.grad is not None}
        assert image_1CHW.grad is not None
        found = {f"grad.{name}": gradient for name, gradient in gradients.items()} | {"grad_input": image_1CHW.grad}
        recorded = [name for name in numbers.tensors if name.startswith("grad")]
        assert len(recorded) == 6
        for name in recorded:
            expected = numbers.tensors[name]
            # What comes before a normalisation has a bias without effect: its gradient is rounding alone.
            atol = 1e-3 * float(expected.abs().max()) if not name.endswith("conv.3.bias") else 1e-8
            assert_close(found[name], expected, atol=atol, rtol=0)

    def test_another_layout_is_the_same_network(self, numbers: Fixture, network: dict[str, Tensor]) -> None:
        """Gradients in float64: in float32 ReLUs at rounding's distance from 0 turn, which changes some by 1 %."""
        assert_close(
            render_logits(network, numbers.tensors["input"], torch.channels_last),
            numbers.tensors["logits"],
            atol=2e-5,
            rtol=0,
        )
        gradients = []
        for layout in (torch.contiguous_format, torch.channels_last):
            image_1CHW = numbers.tensors["input"].double().requires_grad_()
            double = {name: tensor.double().requires_grad_() for name, tensor in network.items()}
            torch.sigmoid(render_logits(double, image_1CHW, layout)).square().mean().backward()
            gradients.append({name: tensor.grad for name, tensor in double.items()} | {"input": image_1CHW.grad})
        for name, expected in gradients[0].items():
            assert_close(gradients[1][name], expected, atol=1e-12, rtol=1e-9)

    def test_networks_together_are_each_as_alone(self, numbers: Fixture, network: dict[str, Tensor]) -> None:
        other = {name: 0.9 * tensor for name, tensor in network.items()}
        both = {name: torch.cat([network[name], other[name]]) for name in network}
        images = [numbers.tensors["input"], numbers.tensors["input"].flip(-1)]
        together = render_logits(both, torch.cat(images))
        alone = [render_logits(one, image) for one, image in zip((network, other), images, strict=True)]
        assert_close(together, torch.cat(alone), atol=2e-5, rtol=0)


class TestSteps:
    @pytest.fixture
    def numbers(self, golden: Golden) -> Fixture:
        return golden.fixture("clipstyler_steps")

    @pytest.fixture
    def optimisation(
        self, golden: Golden, numbers: Fixture, network: dict[str, Tensor], encoder: ClipEncoder
    ) -> Optimisation:
        settings = OptimizeSettings(
            mode="optimize",
            clip="ViT-B-32/openai",
            source=numbers.number("source_text"),
            crops=numbers.number("num_crops"),
            crop_size=numbers.number("crop_size"),
        )
        for name, weight in {"threshold": "thresh", "learning_rate": "lr", "variation_weight": "lambda_tv"}.items():
            assert getattr(settings, name) == numbers.number(weight)  # the defaults are the authors'
        layout = golden.layout("vgg19_torchvision", "vgg19.features")
        tensors = golden.weights(layout, numbers.number("weights_namespace_vgg19_features"))
        vgg = TorchvisionVgg.open(tensors, list(CLIPSTYLER_CONTENT.weights))
        image_1CHW = numbers.tensors["content"]
        embedding_1D = embed_pixels(encoder, image_1CHW)
        content = Content({"image": image_1CHW, "embedding": embedding_1D, **vgg(image_1CHW)}, *image_1CHW.shape[2:])
        direction_1D = text_directions(encoder, [numbers.number("text")], settings.source)
        target = Targets((1.0,), (Target(direction_1D, direction_1D),))
        objective = Objective(content, [target], Judge(encoder, vgg, CLIPSTYLER_CONTENT), settings)
        return Optimisation(network, objective)

    def crops(self, numbers: Fixture, step: int) -> Crops:
        return recorded_crops(numbers, numbers.tensors["crops_top_left"][step], numbers.tensors["endpoints"][step])

    def test_losses_and_pictures(self, numbers: Fixture, optimisation: Optimisation) -> None:
        expected = numbers.tensors
        for step in range(numbers.number("steps")):
            image_1CHW = optimisation.render().detach()
            losses = optimisation.objective.losses(image_1CHW, self.crops(numbers, step))
            names = {"direction": "loss_dir", "patch": "loss_patch", "content": "content_loss"}
            for own, name in names.items():
                assert_close(losses[own][0], expected[name][step], atol=0, rtol=2e-4)
            variation = optimisation.settings.variation_weight * losses["variation"][0]
            assert_close(variation, expected["reg_tv"][step], atol=0, rtol=1e-3)
            total_1 = optimisation.step(self.crops(numbers, step))
            assert_close(total_1[0], expected["total_loss"][step], atol=0, rtol=2e-4)
        assert_close(image_1CHW, expected["image_before_last_update"], atol=5e-3, rtol=0)
        assert_close(optimisation.render().detach(), expected["image_after_3_updates"], atol=5e-3, rtol=0)
