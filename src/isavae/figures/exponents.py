"""Fig. 7: histograms of learned exponents."""

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure

from isavae.figures import style


@style.applied
def exponent_histograms(exponents: Float[np.ndarray, "runs exponents"], bins: int = 20) -> Figure:
    """Histograms of learned exponents over runs (Fig. 7), sorted within each run.

    Subspaces have no order of their own: the k-th panel shows each run's k-th smallest exponent.

    Args:
        exponents: Learned subspace exponents p_k, one row per run.
        bins: Bins of the common range.

    Raises:
        ValueError: There is no run.
    """
    if exponents.size == 0:
        raise ValueError("a histogram of exponents needs runs that learned some, but there is none")
    ordered = np.sort(exponents, axis=1)
    runs, count = ordered.shape
    edges = np.linspace(ordered.min(), max(ordered.max(), ordered.min() + 1e-3), bins + 1)
    figure = style.new_figure(min(style.PAGE, style.COLUMN * 0.65 * count + 0.3), 2.1)
    panels = figure.subplots(1, count, sharex=True, sharey=True, squeeze=False)[0]
    for k, (axes, values) in enumerate(zip(panels, ordered.T, strict=True)):
        axes.hist(values, edges, color=style.colour(k), alpha=0.85)
        axes.axvline(2, color=style.MUTED, lw=0.8, ls=(0, (4, 3)))
        axes.axvline(np.median(values), color=style.INK, lw=1)
        axes.set_title(f"$p_{{({k + 1})}}$, median {style.format_number(float(np.median(values)))}")
        axes.set_xlabel("exponent $p_k$")
    panels[0].set_ylabel(f"runs (of {runs})")
    return figure
