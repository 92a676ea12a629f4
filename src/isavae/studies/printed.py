"""The values that the paper prints of its representative runs on dSprites."""

from dataclasses import dataclass
from typing import final


@final
@dataclass(frozen=True)
class PrintedRun:
    """A representative run of the paper.

    Attributes:
        model: The model, as `model_name` has it.
        beta: β.
        mig: MIG.
        reconstruction: E_q log p(x|z) in nats, which the paper's code computes on the first 10,000
            images: all of them are small squares.
    """

    model: str
    beta: float
    mig: float
    reconstruction: float


PRINTED = (
    PrintedRun("beta-vae", 1.0, 0.14, -21.99),
    PrintedRun("isa-vae", 1.0, 0.20, -20.93),
    PrintedRun("beta-vae", 2.0, 0.28, -29.40),
    PrintedRun("beta-tcvae", 2.0, 0.30, -27.15),
    PrintedRun("isa-vae", 2.0, 0.41, -25.86),
)
