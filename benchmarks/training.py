"""A training step against its floor: its own matrix products, and the bytes of Adam and images.

    python benchmarks/training.py [paper small demo] [--precision float32] [--rounds 20]

`isavae.gpu_check.floor` says what the floor is. The last line tells where the time goes, by torch's
profiler.
"""

import argparse

import torch

from isavae.gpu_check.floor import SETTINGS, time_step
from isavae.models import OBJECTIVES
from isavae.training import resolve_device, resolve_precision

DEFAULT = ["paper", "small", "demo"]


def measure(name: str, flags: argparse.Namespace) -> None:
    setting, device = SETTINGS[name], resolve_device(flags.device)
    times = time_step(setting, flags.objective, flags.precision, device, flags.rounds)
    low, middle, high = times.over_floor
    print(
        f"{name}: {torch.get_num_threads()} threads, {device}, "
        f"{resolve_precision(flags.precision, device, setting.batch)}, "
        f"batch {setting.batch}, prior {setting.prior}, {flags.objective}\n"
        f"  step        {1e3 * times.step:8.2f} ms\n"
        f"  products    {1e3 * times.products:8.2f} ms warm, "
        f"{1e3 * times.cold_products:.2f} ms cold, "
        f"{times.flop / times.products / 1e9:.0f} GFLOP/s\n"
        f"  bytes       {1e3 * times.copies:8.2f} ms, "
        f"{times.bytes / times.copies / 1e9:.1f} GB/s\n"
        f"  over floor  {middle:8.3f} ({low:.3f} to {high:.3f})\n"
        f"  in percent  {', '.join(f'{name} {part:.0f}' for name, part in times.shares.items())}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("settings", nargs="*", default=DEFAULT, metavar="SETTING")
    parser.add_argument("--rounds", type=int, default=20, help="of some steps and a floor")
    parser.add_argument("--precision", default="auto", choices=["auto", "float32", "bfloat16"])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--objective", default="beta-vae", choices=OBJECTIVES)
    flags = parser.parse_args()
    for name in flags.settings:
        measure(name, flags)


if __name__ == "__main__":
    main()
