"""The spatial transformer starts as the identity, moves pictures as theta says, and pays for it."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")

from stenograde.nets.encoder import SmallResnetConfig  # noqa: E402
from stenograde.nets.stn_resnet import StnResnet, StnResnetConfig  # noqa: E402

SMALL = SmallResnetConfig(widths=(16, 32), depths=(1, 1))
TINY = StnResnetConfig(channels=1, size_px=(24, 40), variant="small", small=SMALL, localisation=(4, 4))
PLAIN = StnResnetConfig(
    channels=1, size_px=(24, 40), variant="small", small=SMALL, localisation=(4, 4), transformer=False
)


def _told(net: StnResnet, theta: list[float]) -> StnResnet:
    """Return the net with a transformer that gives this theta for every picture."""
    assert net.transformer is not None
    with torch.no_grad():
        net.transformer.regression[-1].bias.copy_(torch.tensor(theta))
    return net


def test_the_transformer_shows_the_picture_as_it_is_at_the_start() -> None:
    net, images = StnResnet(TINY), torch.rand(3, 1, 24, 40)
    torch.testing.assert_close(net.transformed(images), images, atol=1e-5, rtol=0)
    torch.testing.assert_close(net.theta(images), torch.eye(2, 3).expand(3, 2, 3))
    assert float(net.penalty(images).detach()) == 0.0


def test_resampling_is_that_of_torch() -> None:
    net, images = StnResnet(TINY), torch.rand(2, 1, 24, 40)
    theta = torch.tensor([[0.9, -0.2, 0.1], [0.3, 0.8, -0.3]])
    _told(net, theta.flatten().tolist())
    grid = torch.nn.functional.affine_grid(theta.expand(2, 2, 3), (2, 1, 24, 40), align_corners=False)
    wanted = torch.nn.functional.grid_sample(images, grid, padding_mode="border", align_corners=False)
    torch.testing.assert_close(net.transformed(images), wanted, atol=1e-5, rtol=0)


def test_theta_moves_the_picture_to_where_it_says() -> None:
    images = torch.zeros(1, 1, 24, 40)
    images[0, 0, 10, 25] = 1.0
    # the output's (x, y) shows the input's (x + 0.25, y): a quarter of half of 40 columns, hence 5 to the left
    moved = _told(StnResnet(TINY), [1.0, 0.0, 0.25, 0.0, 1.0, 0.0]).transformed(images)
    assert divmod(int(moved.argmax()), 40) == (10, 20)


def test_penalty_is_the_mean_square_from_the_identity() -> None:
    net = _told(StnResnet(TINY), [1.3, 0.0, 0.0, 0.0, 1.0, -0.6])
    assert float(net.penalty(torch.rand(2, 1, 24, 40)).detach()) == pytest.approx((0.3**2 + 0.6**2) / 6)


def test_penalty_draws_theta_back() -> None:
    net, images = _told(StnResnet(TINY), [1.3, 0.0, 0.0, 0.0, 1.0, -0.6]), torch.rand(2, 1, 24, 40)
    optimiser = torch.optim.SGD(net.parameters(), lr=0.5)
    before = float(net.penalty(images).detach())
    for _ in range(5):
        optimiser.zero_grad()
        net.penalty(images).backward()
        optimiser.step()
    assert float(net.penalty(images).detach()) < 0.5 * before


def test_localisation_learns_from_the_classes() -> None:
    net = StnResnet(TINY)
    optimiser = torch.optim.SGD(net.parameters(), lr=0.1)
    images = torch.rand(4, 1, 24, 40)
    for _ in range(3):  # the last layer starts at zero, so the others follow a step later
        optimiser.zero_grad()
        net(images)[:, 0].square().mean().backward()
        optimiser.step()
    assert net.transformer is not None
    assert all(weight.grad is not None and bool(weight.grad.any()) for weight in net.transformer.parameters())


def test_without_transformer_theta_is_the_identity_and_costs_nothing() -> None:
    net, images = StnResnet(PLAIN), torch.rand(2, 1, 24, 40)
    assert net.transformed(images) is images
    assert net.theta(images).equal(torch.eye(2, 3).expand(2, 2, 3))
    assert float(net.penalty(images).detach()) == 0.0
    with_transformer, without = (
        sum(weight.numel() for weight in StnResnet(config).parameters()) for config in (TINY, PLAIN)
    )
    # 5x5 convolutions 1 > 4 > 4, then 1 x 2 places of 4 channels > 32 > 6
    localisation = (25 * 4 + 4) + (25 * 4 * 4 + 4) + (8 * 32 + 32) + (32 * 6 + 6)
    assert with_transformer - without == localisation


def test_at_the_start_the_transformer_changes_no_answer() -> None:
    net, plain = StnResnet(TINY).eval(), StnResnet(PLAIN).eval()
    plain.load_state_dict({n: v for n, v in net.state_dict().items() if not n.startswith("transformer.")})
    images = torch.rand(2, 1, 24, 40)
    torch.testing.assert_close(net(images), plain(images), atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"size_px": (63, 224)}, "size_px must be 64 or more"),
        ({"localisation": (8, 0)}, "localisation must be positive channel counts"),
        ({"small": SMALL}, "small must be left out for the variant resnet50"),
    ],
)
def test_impossible_shapes_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        StnResnetConfig(**settings)  # type: ignore[arg-type]
