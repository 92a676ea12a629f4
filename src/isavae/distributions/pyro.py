"""The distributions with Pyro's methods, for `pyro.sample`. Needs `pyro-ppl`."""

from pyro.distributions.torch_distribution import TorchDistributionMixin

from isavae.distributions import generalized_normal, lp_nested


class LpNested(lp_nested.LpNested, TorchDistributionMixin):
    """`isavae.distributions.LpNested` with Pyro's methods, such as `to_event` and `mask`.

    Examples:
        >>> import pyro
        >>> with pyro.plate("images", 5):
        ...     pyro.sample("z", LpNested("2[2*2, 2*2]")).shape
        torch.Size([5, 4])
    """


class GeneralizedNormal(generalized_normal.GeneralizedNormal, TorchDistributionMixin):
    """`isavae.distributions.GeneralizedNormal` with Pyro's methods, such as `to_event` and `mask`.

    Examples:
        >>> GeneralizedNormal(p=2.2).expand([8]).to_event(1).event_shape
        torch.Size([8])
    """
