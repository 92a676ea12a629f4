"""Fig. 1 and the panels of Appendix B: the effect of variational inference on weights."""

import math
from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from isavae.figures import style

HEAD = "-|>,head_width=0.18,head_length=0.35"
ARROW = {"arrowstyle": HEAD, "lw": 1.6, "shrinkA": 0, "shrinkB": 0}

# Weights shorter than this share of the longest are drawn as a dot: the component is pruned.
PRUNED = 0.05


@style.applied
def ica_components(
    x: Float[Tensor, "n 2"], weights: Mapping[str, Float[Tensor, "2 components"]]
) -> Figure:
    """Over-complete ICA (Fig. 1): the data, and each result's components as arrows.

    Args:
        x: The data.
        weights: For each panel, its title and W, one column per component. The first panel is the
            truth; the others show it as thin lines.
    """
    figure = style.new_figure(style.PAGE, style.PAGE / len(weights) + 0.2)
    reach = 1.15 * max(float(w.norm(dim=0).max()) for w in weights.values())
    truth = next(iter(weights.values()))
    panels = figure.subplots(1, len(weights), sharex=True, sharey=True, squeeze=False)[0]
    for axes, (title, w) in zip(panels, weights.items(), strict=True):
        axes.scatter(*x.T.numpy(), s=1.5, color=style.DATA, linewidths=0, rasterized=True)
        for direction in (truth / truth.norm(dim=0)).T.tolist():
            axes.axline((0, 0), direction, color=style.MUTED, lw=0.6, ls=(0, (4, 3)))
        _arrows(axes, w)
        axes.set_title(title)
        axes.set(aspect="equal", xlim=(-reach, reach), ylim=(-reach, reach))
        axes.set_xlabel("$x_1$")
    panels[0].set_ylabel("$x_2$")
    return figure


def _arrows(axes: Axes, weights: Tensor) -> None:
    lengths = weights.norm(dim=0)
    for component, (u, v) in enumerate(weights.T.tolist()):
        if lengths[component] < PRUNED * lengths.max():
            axes.plot([u], [v], "o", color=style.colour(component), ms=4)
            continue
        for sign in (1, -1):  # a component has a direction but no sign
            arrow = ARROW | {"color": style.colour(component)}
            axes.annotate("", (sign * u, sign * v), (0, 0), arrowprops=arrow)


@style.applied
def rotation_bias(
    angles: Float[Tensor, "angles"],
    evidence: Float[Tensor, "angles"],
    energies: Mapping[float, Float[Tensor, "angles"]],
    replicated: bool = False,
) -> Figure:
    """Experiments 1 and 3 (B.3, B.5): likelihood and free energy while the weights are rotated.

    With β its amplitude grows in reconstruction - β KL. It shrinks, as the paper says, in
    reconstruction / β - KL, the free energy of data replicated 1/β times.

    Args:
        angles: Rotation angles in radians.
        evidence: Average log p(x) in nats.
        energies: For each β the mean-field free energy per datum in nats.
        replicated: Whether the energies are divided by β, as the label then says.
    """
    symbol = r"$\mathcal{F}/\beta$" if replicated else r"$\mathcal{F}$"
    figure, axes = _against_likelihood(angles, evidence, energies, symbol)
    quarters = torch.arange(math.floor(2 * float(angles.max()) / math.pi) + 1)
    names = ["0", r"$\pi/2$", r"$\pi$", r"$3\pi/2$", r"$2\pi$"]
    axes.set_xticks([float(q) * math.pi / 2 for q in quarters[:5]], names[: len(quarters)])
    axes.set_xlabel(r"angle of the weights, $\theta$")
    return figure


@style.applied
def pruning_bias(
    alpha: Float[Tensor, "alphas"],
    evidence: Float[Tensor, "alphas"],
    energies: Mapping[float, Float[Tensor, "alphas"]],
) -> Figure:
    """Experiment 2 (B.4): two latents share a direction; the free energy would rather have one.

    Args:
        alpha: Share α of the first latent, α² + b² = 1.
        evidence: Average log p(x) in nats.
        energies: For each β the mean-field free energy per datum in nats.
    """
    figure, axes = _against_likelihood(alpha, evidence, energies)
    axes.set_xlabel(r"weight of the first of two latents, $\alpha$")
    return figure


def _against_likelihood(
    place: Tensor,
    evidence: Tensor,
    energies: Mapping[float, Tensor],
    symbol: str = r"$\mathcal{F}$",
) -> tuple[Figure, Axes]:
    """The log-likelihood and the free energies along an axis that is not named yet."""
    figure, axes = style.new_axes(style.COLUMN, 2.3)
    axes.plot(place, evidence, color=style.INK, ls="--", label="log-likelihood")
    for position, (beta, energy) in enumerate(energies.items()):
        label = rf"{symbol}, $\beta={beta:g}$"
        axes.plot(place, energy, color=style.colour(position), label=label)
    axes.set_ylabel("nats per datum")
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2)
    return figure, axes


@style.applied
def bias_by_magnitude(
    angles: Float[Tensor, "angles"],
    ratios: Sequence[float],
    gaps: Float[Tensor, "ratios angles"],
) -> Figure:
    """How much free energy a rotation costs, for columns of equal to very different lengths.

    Args:
        angles: Rotation angles in radians.
        ratios: Length of the longer column over that of the shorter one.
        gaps: Log-likelihood minus free energy, in nats per datum.
    """
    figure, axes = style.new_axes(style.COLUMN, 2.3)
    for position, (ratio, gap) in enumerate(zip(ratios, gaps, strict=True)):
        axes.plot(angles, gap, color=style.colour(position), label=f"{ratio:g}")
    axes.set_xticks([0, math.pi / 4, math.pi / 2], ["0", r"$\pi/4$", r"$\pi/2$"])
    axes.set(xlabel=r"angle of the weights, $\theta$", ylabel="lost free energy (nats)")
    axes.legend(title="ratio of lengths", loc="lower center", bbox_to_anchor=(0.5, 1), ncols=4)
    return figure
