"""Eqs. 7, 8 and 11 at 50 digits, by recursion over nested tuples; no code of the package."""

from mpmath import log, loggamma, mp, mpf, sign

mp.dps = 50

# A node is a leaf None or (exponent, [children]).
Node = tuple[float, list] | None


def leaves(node: Node) -> int:
    return 1 if node is None else sum(leaves(child) for child in node[1])


def norm(node: Node, z: list) -> mpf:
    """f(z) of Eq. 9; consumes z from the front."""
    if node is None:
        return abs(z.pop(0))
    p = mpf(node[0])
    return sum(norm(child, z) ** p for child in node[1]) ** (1 / p)


def log_surface(node: Node) -> mpf:
    """Eq. 8."""
    return leaves(node) * log(mpf(2)) + _surface_terms(node)


def _surface_terms(node: Node) -> mpf:
    if node is None:
        return mpf(0)
    p = mpf(node[0])
    own = -(len(node[1]) - 1) * log(p) - loggamma(leaves(node) / p)
    return own + sum(loggamma(leaves(child) / p) + _surface_terms(child) for child in node[1])


def log_prob(node: Node, scale: float, z: list[float]) -> mpf:
    """Eq. 7 with the radial distribution of Eq. 11, uncancelled: ψ0(f) / (f^(n-1) S_f(1))."""
    p0, s, n = mpf(node[0]), mpf(scale), leaves(node)
    v = norm(node, [mpf(x) for x in z])
    log_radial = log(p0) + (n - 1) * log(v) - loggamma(n / p0) - n / p0 * log(s) - v**p0 / s
    return log_radial - (n - 1) * log(v) - log_surface(node)


def gradient(node: Node, scale: float, z: list[float]) -> list[mpf]:
    """∂ log p / ∂ z of Eq. 11 by the chain rule, node by node."""
    p0, s = mpf(node[0]), mpf(scale)
    v, slopes = _norm_and_slopes(node, [mpf(x) for x in z])
    return [-p0 / s * v ** (p0 - 1) * slope for slope in slopes]


def _norm_and_slopes(node: Node, z: list) -> tuple[mpf, list]:
    if node is None:
        x = z.pop(0)
        return abs(x), [sign(x)]
    p = mpf(node[0])
    children = [_norm_and_slopes(child, z) for child in node[1]]
    v = sum(value**p for value, _ in children) ** (1 / p)
    return v, [(value / v) ** (p - 1) * slope for value, slopes in children for slope in slopes]
