"""Run the numerical tests as other processors would compute them; print which combination failed.

python tests/matrix.py              every combination
python tests/matrix.py oldest ...   the named ones
"""

import os
import subprocess
import sys
import time

# The environment of a combination; a key of capital letters is a variable, "bfloat16" is what the
# networks' precision "auto" finds. A processor without AVX512 runs that one at its own best.
COMBINATIONS: dict[str, dict[str, str]] = {
    "native": {},
    "two-threads": {"OMP_NUM_THREADS": "2"},
    "avx512": {"ATEN_CPU_CAPABILITY": "avx512", "OMP_NUM_THREADS": "2"},
    "avx2": {
        "ATEN_CPU_CAPABILITY": "avx2",
        "ONEDNN_MAX_CPU_ISA": "AVX2",
        "MKL_ENABLE_INSTRUCTIONS": "AVX2",
    },
    "oldest": {
        "ATEN_CPU_CAPABILITY": "default",
        "ONEDNN_MAX_CPU_ISA": "SSE41",
        "MKL_ENABLE_INSTRUCTIONS": "SSE4_2",
    },
    "oldest-two-threads": {
        "ATEN_CPU_CAPABILITY": "default",
        "ONEDNN_MAX_CPU_ISA": "SSE41",
        "MKL_ENABLE_INSTRUCTIONS": "SSE4_2",
        "OMP_NUM_THREADS": "2",
    },
    "bfloat16": {"bfloat16": "native"},
    "no-bfloat16": {"bfloat16": "absent"},
}

# Pages whose programs compare no numbers, and readers, which compute with NumPy and Pillow.
LEFT_OUT = ("docs/how-to", "docs/tutorials", "docs/first-guesses.md", "tests/data/own")


def passes(name: str) -> bool:
    """Run the numerical tests under one combination and print its result."""
    settings = dict(COMBINATIONS[name])
    options = [f"--bfloat16={settings.pop('bfloat16')}"] if "bfloat16" in settings else []
    said = " ".join(options + [f"{key}={value}" for key, value in settings.items()])
    print(f"\n=== {name}: {said or 'as this machine is'}", flush=True)
    began = time.monotonic()
    command = [sys.executable, "-m", "pytest", "-q", "-m", "not slow and not system"]
    command += ["-n", "auto", "--maxprocesses", "4"]
    command += [f"--ignore={path}" for path in LEFT_OUT]
    code = subprocess.run([*command, *options], env={**os.environ, **settings}).returncode
    print(f"=== {name}: {'passed' if code == 0 else 'FAILED'}, {time.monotonic() - began:.0f} s")
    return code == 0


def main(names: list[str]) -> int:
    """Run the named combinations, all by default, and list the failed ones at the end."""
    unknown = [name for name in names if name not in COMBINATIONS]
    if unknown:
        print(f"a combination must be one of {', '.join(COMBINATIONS)}; got {', '.join(unknown)}")
        return 2
    failed = [name for name in names or COMBINATIONS if not passes(name)]
    print(f"\nfailed: {', '.join(failed)}" if failed else "\nevery combination passed")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
