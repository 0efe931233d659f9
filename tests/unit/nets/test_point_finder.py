"""Heat maps of points: their mean, and a net that learns where a spot is."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

torch = pytest.importorskip("torch", reason="needs the extra 'train'")

from stenograde.nets.point_finder import PointFinder, PointFinderConfig, PointFinders, soft_argmax  # noqa: E402

CONFIG = PointFinderConfig(slices=3, size_px=16, asked=2, widths=(8, 12))


def test_the_mean_of_a_heat_map_is_its_centre_of_mass() -> None:
    heat = torch.randn(4, 3, 8, 10, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = soft_argmax(heat, (4.0, 1.5, 2.5)).numpy()
    for logits, place in zip(heat.numpy(), found, strict=True):
        index = ndimage.center_of_mass(np.exp(logits))
        middle = (np.array(logits.shape) - 1) / 2
        assert place == pytest.approx((np.array(index) - middle) * [4.0, 1.5, 2.5])


def test_a_net_that_has_learnt_nothing_says_the_middle() -> None:
    net = PointFinder(CONFIG).eval()
    said = net.places_mm(net(torch.randn(2, 3, 16, 16), torch.eye(2)))
    assert said.detach().numpy() == pytest.approx(np.zeros((2, 3)), abs=1e-5)


def test_several_nets_say_the_mean_of_what_each_says() -> None:
    torch.manual_seed(0)
    nets = [PointFinder(CONFIG).eval() for _ in range(2)]
    for net in nets:
        torch.nn.init.normal_(net.heat.weight)
    crops, asked = torch.randn(3, 3, 16, 16), torch.tensor([[1.0, 0.0]]).repeat(3, 1)
    with torch.no_grad():
        each = [net.places_mm(net(crops, asked)) for net in nets]
        assert not torch.allclose(each[0], each[1])
        assert torch.allclose(PointFinders(nets)(crops, asked), (each[0] + each[1]) / 2)


@pytest.mark.parametrize(
    ("change", "told"),
    [({"widths": (8,)}, "two widths or more"), ({"size_px": 18}, "size_px must be a multiple of 4")],
)
def test_shapes_that_do_not_fit_are_refused(change: dict[str, object], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        PointFinderConfig(**{"size_px": 16, "widths": (8, 12), **change})
