"""Fig. 4: any tree of an Lp-nested norm, drawn."""

from jaxtyping import Float
from matplotlib.figure import Figure
from torch import Tensor

from isavae.distributions import LpTree
from isavae.figures import style

# Inches between two levels, and between two leaves where there is room.
LEVEL, LEAF = 0.62, 0.34


def node_places(tree: LpTree) -> list[tuple[float, int]]:
    """Where every node stands, in preorder: its horizontal place in leaves, and its depth.

    A leaf stands at its number, an inner node in the middle of its children.

    >>> node_places(LpTree.parse("2[z, 1*2]"))
    [(0.75, 0), (0.0, 1), (1.5, 1), (1.0, 2), (2.0, 2)]
    """
    depth = [0] * len(tree.arities)
    for node, children in enumerate(tree.children):
        for child in children:
            depth[child] = depth[node] + 1
    across, leaf = [0.0] * len(tree.arities), tree.n
    for node in reversed(range(len(tree.arities))):
        children = tree.children[node]
        if children:
            across[node] = (across[children[0]] + across[children[-1]]) / 2
        else:
            leaf -= 1
            across[node] = float(leaf)
    return list(zip(across, depth, strict=True))


@style.applied
def draw_tree(tree: LpTree, exponents: Float[Tensor, "inner"] | None = None) -> Figure:
    """A tree as the paper draws it (Fig. 4): exponents in the inner nodes, latents as leaves.

    Args:
        tree: The tree.
        exponents: Other exponents than the tree's, one for each inner node in preorder: learned
            ones, for example.
    """
    places = node_places(tree)
    deepest = max(depth for _, depth in places)
    width = min(style.PAGE, LEAF * (tree.n - 1) + 0.9)
    figure, axes = style.new_axes(width, LEVEL * deepest + 0.6)
    labels = iter(tree.exponents if exponents is None else exponents.tolist())
    leaves = iter(range(tree.n))
    small = tree.n > 14
    for node, (x, depth) in enumerate(places):
        for child in tree.children[node]:
            end, level = places[child]
            axes.plot([x, end], [-depth, -level], color=style.MUTED, lw=0.8, zorder=1)
        if tree.arities[node]:
            box = {
                "boxstyle": "circle,pad=0.22",
                "facecolor": "white",
                "edgecolor": style.INK,
                "lw": 0.8,
            }
            axes.text(
                x, -depth, f"{next(labels):.3g}", ha="center", va="center", bbox=box, zorder=3
            )
            continue
        leaf = next(leaves)
        shade = style.latent_colour(leaf, tree.subspaces)
        axes.plot([x], [-depth], "o", color=shade, ms=5, zorder=2)
        axes.annotate(style.latent_name(leaf), (x, -depth), (0, -6), textcoords="offset points",
                      ha="center", va="top", color=shade, fontsize=7.5 if small else 9)  # fmt: skip
    axes.set(xlim=(-0.6, tree.n - 0.4), ylim=(-deepest - 0.45, 0.4))
    axes.set_axis_off()
    return figure
