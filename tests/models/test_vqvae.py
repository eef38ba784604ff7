"""Codes are the nearest and follow their vectors, the latent has the size asked for, and one may be drawn of any."""

import numpy as np
import pytest
import scipy.spatial.distance
import scipy.stats
import torch
from torch import Tensor

from morphospace.errors import TrainingError
from morphospace.models import _build, vqvae
from morphospace.models._base import Plan
from morphospace.models.vqvae import Codebook


def _codebook(values: int = 6, codes: int = 5, width: int = 3, decay: float = 0.9) -> Codebook:
    torch.manual_seed(0)
    return Codebook(values, codes, width, decay)


def _vectors(n: int = 40, values: int = 6, seed: int = 1) -> Tensor:
    return torch.randn(n, values, generator=torch.Generator().manual_seed(seed))


def _model(**options: object) -> vqvae.VQVAE:
    torch.manual_seed(0)
    return vqvae.build(2, 64, 8, **{"code_width": 2, "codes": 6, **options})  # type: ignore[arg-type]


def _tiles(n: int = 6) -> Tensor:
    return torch.rand(n, 2, 64, 64, generator=torch.Generator().manual_seed(2))


def test_a_vector_becomes_the_nearest_code_of_each_part() -> None:
    codebook, vectors = _codebook().eval(), _vectors()
    found, uses = codebook(vectors)
    for part in range(2):
        columns = slice(3 * part, 3 * part + 3)
        nearest = scipy.spatial.distance.cdist(vectors[:, columns], codebook.codes[part]).argmin(axis=1)
        assert uses[part].argmax(dim=1).tolist() == nearest.tolist()
        assert torch.equal(found[:, columns], codebook.codes[part][nearest])
    assert torch.equal(uses.sum(dim=2), torch.ones(2, 40))


def test_the_last_part_of_a_vector_may_be_shorter() -> None:
    codebook = _codebook(values=5).train()
    for seed in range(3):
        found, _ = codebook(_vectors(values=5, seed=seed))
    assert found.shape == (40, 5)
    assert not codebook.codes[1, :, 2].any()  # what was filled up is 0, and its codes with it
    assert codebook.codes[1, :, :2].all()


def test_the_codes_are_moving_averages_of_their_vectors() -> None:
    codebook = _codebook(values=3).train()
    codebook(_vectors(values=3))
    count, total = codebook.count[0].double().numpy(), codebook.total[0].double().numpy()
    codes = codebook.codes[0].double().numpy()
    for seed in range(2, 6):
        vectors = _vectors(values=3, seed=seed)
        codebook(vectors)
        used: list[list[np.ndarray]] = [[] for _ in codes]
        for vector in vectors.double().numpy():
            used[int(((codes - vector) ** 2).sum(axis=1).argmin())].append(vector)
        for k, of in enumerate(used):
            count[k] = 0.9 * count[k] + 0.1 * len(of)
            total[k] = 0.9 * total[k] + 0.1 * sum(of, np.zeros(3))
        everything = count.sum()
        codes = np.stack(
            [t / ((n + 1e-5) / (everything + 5e-5) * everything) for t, n in zip(total, count, strict=True)]
        )
    np.testing.assert_allclose(codebook.codes[0], codes, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(codebook.count[0], count, rtol=1e-5)


def test_the_first_minibatch_gives_the_codes_their_values_and_none_twice() -> None:
    codebook = _codebook(codes=60).train()
    vectors = 100 + _vectors(n=10)  # fewer than codes
    codebook(vectors)
    assert codebook.started
    assert (codebook.codes - 100).abs().max() < 5
    assert len(torch.unique(codebook.codes[0], dim=0)) == 60
    before = codebook.codes.clone()
    codebook(-vectors)
    assert ((codebook.codes - before).abs().amax(dim=2) > 1).sum() <= 2  # the second moves what is nearest


def test_a_codebook_goes_on_after_its_state_was_saved() -> None:
    whole, cut = _codebook().train(), _codebook().train()
    for codebook in (whole, cut):
        torch.manual_seed(4)
        codebook(_vectors(seed=1))
    torch.manual_seed(9)  # chance has no part in what follows
    again = Codebook(6, 5, 3, 0.9).train()
    again.load_state_dict(cut.state_dict())
    for codebook in (whole, again):
        codebook(_vectors(seed=2))
    assert torch.equal(whole.codes, again.codes)
    assert torch.equal(whole.count, again.count)


def test_evaluation_changes_no_code() -> None:
    codebook = _codebook().eval()
    before = {k: v.clone() for k, v in codebook.state_dict().items()}
    codebook(_vectors())
    assert all(torch.equal(before[k], v) for k, v in codebook.state_dict().items())


def test_the_gradient_passes_straight_through() -> None:
    vectors, weight = _vectors().requires_grad_(), _vectors(seed=3)
    found, _ = _codebook().eval()(vectors)
    (found * weight).sum().backward()
    assert torch.equal(vectors.grad, weight)  # type: ignore[arg-type]
    assert not torch.equal(found, vectors)


def test_perplexity_is_that_of_the_shares_of_the_codes() -> None:
    uses = torch.nn.functional.one_hot(torch.tensor([[0, 0, 1, 2], [3, 3, 3, 3]]), 5).float()
    expected = [np.exp(scipy.stats.entropy([2, 1, 1, 0, 0])), 1.0]
    assert vqvae.perplexity(uses).item() == pytest.approx(np.mean(expected))


def test_commitment_is_the_distance_from_the_codes_and_dead_codes_are_counted() -> None:
    model, x = _model(commitment=0.5).eval(), _tiles()
    with torch.no_grad():
        model.codebook.count[:, 0] = 0.009
        out = model(x)
        pooled = model.norm(model.before(model.encoder(x)).mean(dim=(2, 3)))  # pool 1
        nearest = torch.cdist(pooled.reshape(6, 4, 2).transpose(0, 1), model.codebook.codes).min(dim=2).values
    assert out.terms["commitment"].item() == pytest.approx(0.5 * nearest.square().sum().item() / 6, rel=1e-4)
    assert out.logs["dead_codes"].item() == pytest.approx(1 / 6)


def test_vectors_reach_the_codebook_with_mean_0_and_variance_1() -> None:
    before = _model().train()._quantised(50 * _tiles(40))[0]
    torch.testing.assert_close(before.mean(dim=0), torch.zeros(8), rtol=0, atol=1e-4)
    torch.testing.assert_close(before.std(dim=0, correction=0), torch.ones(8), rtol=0.01, atol=0)


@pytest.mark.parametrize("pool", [1, 2])
def test_the_latent_is_a_grid_of_pooled_vectors(pool: int) -> None:
    model, x = _model(pool=pool).eval(), _tiles()
    with torch.no_grad():
        deep = model.before(model.encoder(x))
        pooled = torch.nn.functional.adaptive_avg_pool2d(deep, pool)
        z = model.norm(pooled.permute(0, 2, 3, 1).reshape(-1, 8 // pool**2)).reshape(6, 8)
        torch.testing.assert_close(model._quantised(x)[0], z)
        assert model.encode(x).mean.shape == (6, 8)
        assert set(model.encode(x).mean[:, :2].flatten().tolist()) <= set(model.codebook.codes[0].flatten().tolist())


def test_a_vector_of_the_grid_is_drawn_in_its_corner() -> None:
    model, z = _model(pool=2).eval(), torch.zeros(2, 8)
    z[1, -2:] = 1.0  # the vector of the last corner
    with torch.no_grad():
        changed = (model.decode(z)[1] - model.decode(z)[0]).abs().amax(dim=0)
    assert changed[40:, 40:].min() > 0
    assert not changed[:16, :16].any()


def test_the_places_of_a_tile_differ_even_when_the_latent_has_one_vector() -> None:
    with torch.no_grad():
        drawn = _model().eval().decode(torch.ones(1, 8))
    assert drawn[0, 0, 24:40:8, 24:40:8].std() > 1e-3


def test_a_codebook_larger_than_the_data_is_refused() -> None:
    model = _model(codes=32)
    model.require(Plan(32, 1))
    with pytest.raises(TrainingError, match=r"32 codes for the 31 vectors of 31 training tiles.*codes to 31"):
        model.require(Plan(31, 1))
    _model(codes=32, pool=2).require(Plan(8, 1))
    _build.build("vqvae", 2, 64, 8, {"codes": 32}, "folded").require(Plan(16, 1))  # each channel is an image


@pytest.mark.parametrize(
    ("size", "z_dim", "pool", "message"),
    [
        (64, 75, 2, "4 vectors, which 75 cannot; set z_dim to 72 or 76"),
        (64, 3, 2, "set z_dim to 4$"),
        (96, 8, 2, "a multiple of 64, not 96; set synthesize.size to 64 or 128"),
        (40, 8, 1, "a multiple of 32"),
    ],
)
def test_what_does_not_fit_is_refused(size: int, z_dim: int, pool: int, message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        vqvae.build(3, size, z_dim, pool=pool)
