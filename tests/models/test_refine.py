"""Any decoder's latent points go to where their tiles are drawn best."""

import pytest
import torch

from morphospace.models import _build, _refine


def test_of_a_linear_decoder_one_step_is_least_squares() -> None:
    torch.manual_seed(0)
    table = torch.randn(2 * 4 * 4, 3, dtype=torch.float64)

    def decode(z: torch.Tensor) -> torch.Tensor:
        return (z @ table.T).view(-1, 2, 4, 4)

    x = torch.randn(5, 2, 4, 4, dtype=torch.float64)
    found = _refine.nearest(decode, x, torch.zeros(5, 3, dtype=torch.float64), 2)
    known = torch.linalg.lstsq(table, x.flatten(1).T).solution.T
    torch.testing.assert_close(found, known, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("mode", ["joint", "folded"])
def test_it_never_draws_worse_and_knows_the_whole_model(mode: str) -> None:
    torch.manual_seed(0)
    model = _build.build("conv_vae", 2, 16, 4, {"refine": 12}, mode).eval()  # type: ignore[arg-type]
    x = torch.rand(3, 2, 16, 16)
    with torch.inference_mode():
        alone, located = model.encode(x), model.locate(x)
        errors = [(model.decode(z.mean) - x).square().flatten(1).sum(dim=1) for z in (alone, located)]
    assert bool((errors[1] <= errors[0]).all())
    assert bool((errors[1] < errors[0]).any())
    assert located.logvar is not None
    assert torch.equal(located.logvar, alone.logvar)


def test_no_way_down_leaves_the_point_where_it_is() -> None:
    def decode(z: torch.Tensor) -> torch.Tensor:
        return torch.zeros(len(z), 1, 2, 2) * z.sum()

    z = torch.randn(2, 3)
    assert torch.equal(_refine.nearest(decode, torch.rand(2, 1, 2, 2), z, 4), z)


def test_conjugate_gradients_solve_and_need_one_step_from_the_matrix_itself() -> None:
    torch.manual_seed(0)
    root, wanted = torch.randn(5, 7, 7), torch.randn(5, 7)
    matrix = root @ root.transpose(1, 2) + torch.eye(7)
    right = (matrix @ wanted[:, :, None])[:, :, 0]

    def curved(v: torch.Tensor) -> torch.Tensor:
        return (matrix @ v[:, :, None])[:, :, 0]

    once = _refine.conjugate(curved, right, torch.linalg.cholesky(matrix), 1)
    torch.testing.assert_close(once, wanted, atol=1e-3, rtol=1e-3)
    slow = _refine.conjugate(curved, right, torch.eye(7).expand(5, 7, 7), 14)
    torch.testing.assert_close(slow, wanted, atol=1e-2, rtol=1e-2)
    assert bool(_refine.conjugate(curved, torch.zeros(5, 7), torch.linalg.cholesky(matrix), 3).isfinite().all())
