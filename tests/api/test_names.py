"""`import recon`: names that load what they need when they are used, and that type checkers see."""

import pytest

import recon
import recon.api


def test_every_name_is_that_of_the_interface():
    assert set(recon.__all__) == set(recon.api.__all__)
    assert all(getattr(recon, name) is getattr(recon.api, name) for name in recon.__all__)


def test_names_are_listed_before_they_are_used():
    assert set(recon.__all__) <= set(dir(recon))
    assert "__version__" in dir(recon)


def test_a_name_that_is_none_is_missing_as_in_any_module():
    assert not hasattr(recon, "fit_shapes")
    with pytest.raises(AttributeError, match="module 'recon' has no attribute 'fit_shapes'"):
        recon.fit_shapes  # noqa: B018
