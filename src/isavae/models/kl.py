"""The ELBO's terms, and the ways to estimate its KL divergence."""

from typing import Literal

from jaxtyping import Float
from torch import Tensor
from torch.distributions import kl_divergence

from isavae.models.vae import VAEOutput

KLEstimator = Literal["sampled", "analytic", "entropy"]


def estimate_kl(output: VAEOutput, kind: KLEstimator = "sampled") -> Float[Tensor, " batch"]:
    """KL(q(z|x) || p(z)) of each image in nats; all kinds have the same expectation.

    Args:
        output: one pass.
        kind: "sampled": log q(z|x) - log p(z) at the sample (Eq. 12); "entropy": -log p(z) at the
            sample minus the closed-form entropy of q; "analytic": the closed form.

    Raises:
        ValueError: if there is no closed form for the prior.
    """
    if kind == "sampled":
        return output.posterior.log_prob(output.z) - output.prior.log_prob(output.z)
    if kind == "entropy":
        return -output.prior.log_prob(output.z) - output.posterior.entropy()
    try:
        return kl_divergence(output.posterior, output.prior)
    except NotImplementedError:
        raise ValueError(
            "an analytic KL needs a prior with a closed form, such as the normal one; "
            f"{output.prior} has none: use kl_estimator=sampled or kl_estimator=entropy"
        ) from None


def elbo_terms(output: VAEOutput, kind: KLEstimator) -> dict[str, Float[Tensor, ""]]:
    """Means over the batch of log p(x|z) and of the KL divergence, in nats: the ELBO's terms."""
    return {
        "reconstruction": output.likelihood.log_prob(output.x).mean(),
        "kl": estimate_kl(output, kind).mean(),
    }
