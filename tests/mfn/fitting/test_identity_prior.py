"""The estimated identity is nearer to the person than the fits are, and nearer with more photos; strangers are left out."""

from dataclasses import replace

import pytest
import torch

from mfn.fitting.fit_basis import FitBasis, FitOptions, basis_from_head_model
from mfn.fitting.fitter import fit, fit_people
from mfn.fitting.identity_prior import IdentityPrior, load_identity_prior, person_identity
from mfn.structures.head_model import HeadModel

SIZE = 6


@pytest.fixture(scope="module")
def basis() -> FitBasis:
    torch.set_num_threads(1)
    return basis_from_head_model(HeadModel.load())


@pytest.fixture
def prior() -> IdentityPrior:
    between = torch.diag(torch.tensor([1.0, 0.5, 0.2, 0.1, 0.05, 0.01]))
    return IdentityPrior(torch.full((SIZE,), 0.3), between, 0.3 * torch.eye(SIZE))


def drawn(prior: IdentityPrior, count: int, pictures: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """True identities (C, I), fits of them (C * pictures, I) and whose each is."""
    random = torch.Generator().manual_seed(0)
    true = prior.mean + torch.randn(count, SIZE, generator=random) @ prior.between.sqrt()
    found = true.repeat_interleave(pictures, 0) + torch.randn(count * pictures, SIZE, generator=random) @ prior.within.sqrt()
    return true, found, torch.arange(count).repeat_interleave(pictures)


def test_more_likely_than_the_fits_and_better_with_more_photos(prior: IdentityPrior) -> None:
    errors = []
    for pictures in (1, 4):
        true, found, person = drawn(prior, 400, pictures)
        likely, changed = person_identity(found, person, prior, shared_error=0.0)
        assert changed.all() and torch.equal(likely[::pictures], likely[pictures - 1 :: pictures])
        plain = found.reshape(400, pictures, SIZE).mean(1)
        error = (likely[::pictures] - true).pow(2).sum(1).mean()
        assert error < 0.8 * (plain - true).pow(2).sum(1).mean()
        errors.append(error)
    assert errors[1] < 0.6 * errors[0]


def test_against_slow(prior: IdentityPrior) -> None:
    found = torch.linspace(-1, 1, SIZE)[None]
    gain = prior.between @ torch.linalg.inv(prior.between + prior.within)
    slow = prior.mean + gain @ (found[0] - prior.mean)
    assert torch.allclose(person_identity(found, torch.tensor([-1]), prior, 0.2)[0][0], slow, atol=1e-5)


def test_unknown_people_stand_alone(prior: IdentityPrior) -> None:
    _, found, _ = drawn(prior, 5, 1)
    alone = person_identity(found, torch.full((5,), -1), prior, 0.2)[0]
    assert torch.allclose(alone, person_identity(found, torch.arange(5), prior, 0.2)[0])
    assert person_identity(found[:0], torch.zeros(0, dtype=torch.long), prior, 0.2)[0].shape == (0, SIZE)
    same, changed = person_identity(found, torch.full((5,), -1), None, 0.2)
    assert torch.equal(same, found) and not changed.any()


def test_a_stranger_with_the_same_name_is_left_out(prior: IdentityPrior) -> None:
    found = torch.zeros(4, SIZE)
    found[3] = 9.0
    likely, _ = person_identity(found, torch.zeros(4, dtype=torch.long), prior, 0.2)
    assert torch.equal(likely[0], person_identity(found[:3], torch.zeros(3, dtype=torch.long), prior, 0.2)[0][0])
    assert (likely[3] > likely[0]).all()


def test_shipped_file_belongs_to_the_shipped_head(basis: FitBasis) -> None:
    prior = basis.identity_prior
    assert prior is not None and prior.between.shape == (64, 64)
    for covariance in (prior.between, prior.within):
        assert torch.allclose(covariance, covariance.T, atol=1e-6) and torch.linalg.eigvalsh(covariance.double()).min() > 0
    assert load_identity_prior(basis.identity * 1.5) is None and load_identity_prior(basis.identity[:9]) is None


def test_photos_of_one_person_agree(basis: FitBasis) -> None:
    """One head in two noisy pictures: its two fits are nearer to each other with what is known of people, and nearer still jointly."""
    random = torch.Generator().manual_seed(1)
    head = basis.mean + torch.tensordot(0.4 * torch.randn(64, generator=random), basis.identity, 1)
    noise = 0.002 * torch.randn(2, 24, 3, generator=random).repeat_interleave(20, 1)[:, :478]  # neighbors err together
    points = (head + noise) * torch.tensor([1000.0, -1000.0, -1000.0])
    teacher, one = torch.zeros(2, 51), torch.zeros(2, dtype=torch.long)
    apart = [
        (found.identity[0] - found.identity[1]).norm()
        for found in (
            fit(points, teacher, replace(basis, identity_prior=None), FitOptions()),
            fit(points, teacher, basis),
            fit_people(points, teacher, one, basis),
        )
    ]
    assert apart[1] < 0.8 * apart[0] and apart[2] < 0.5 * apart[1]
