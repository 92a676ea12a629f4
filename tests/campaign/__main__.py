"""`python -m tests.campaign [--seconds N] [--seed N]`: kills, full disks, damaged files, texts."""

import argparse
import random
import subprocess
import sys
import time

# Damaged files and made-up texts of a round, a quarter of them in a short campaign; seconds of its
# kills, and those after which one part hangs.
CASES, TEXTS, KILLS, PATIENCE = 800, 2600, 300.0, 900.0


def main() -> int:
    """Repeat all parts with new seeds until the time is over; 1 if anything went wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3600.0)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 31))
    flags = parser.parse_args()
    seeded, until, failed = random.Random(flags.seed), time.monotonic() + flags.seconds, 0
    print(f"campaign with --seed {flags.seed}", flush=True)
    share = min(KILLS, flags.seconds / 3)
    size = max(0.25, share / KILLS)
    parts = [("readers", round(size * CASES)), ("kills", share), ("texts", round(size * TEXTS))]
    if sys.platform == "linux":
        parts.append(("full", share / 2))
    while time.monotonic() < until:
        for part, amount in parts:
            command = [sys.executable, "-m", f"tests.campaign.{part}"]
            command += [str(seeded.randrange(1 << 31)), str(amount)]
            failed += _fails(command, PATIENCE + share)
    return int(failed > 0)


def _fails(command: list[str], seconds: float) -> bool:
    """Whether a part of the campaign finds a fault, or does not end."""
    try:
        return subprocess.run(command, check=False, timeout=seconds).returncode != 0
    except subprocess.TimeoutExpired:
        print(f"{' '.join(command[2:])}: it hangs", flush=True)
        return True


if __name__ == "__main__":
    sys.exit(main())
