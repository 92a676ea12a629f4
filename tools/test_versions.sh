#!/bin/sh
# Every test but the slow ones, in an environment of its own: on each Python that is found, with
# the newest releases; on Python 3.11 also with the lowest ones that pyproject.toml declares.
cd "$(dirname "$0")/.." || exit
home=.venv-versions
failed=

try() {  # try NAME PYTHON [further requirements]: test in $home/NAME
    name=$1 python=$2
    shift 2
    echo "== $name"
    $uv venv --quiet --clear --python "$python" "$home/$name" &&
        $uv pip install --quiet --python "$home/$name" --editable '.[dev]' "$@" &&
        "$home/$name/bin/python" -m pytest -n auto --maxprocesses 4 -q || failed="$failed $name"
}

${PYTHON:-python3} -m venv $home/uv && $home/uv/bin/python -m pip install --quiet uv || exit
uv=$home/uv/bin/uv
for version in 3.11 3.12 3.13 3.14; do
    if "python$version" --version >/dev/null 2>&1; then
        try "$version" "$(command -v "python$version")"
    else
        echo "== $version: no python$version on the PATH, left out"
    fi
done
$uv pip compile --quiet --resolution lowest-direct --python-version 3.11 --extra all \
    --output-file $home/lowest.txt pyproject.toml &&
    try lowest 3.11 --requirement $home/lowest.txt || failed="$failed lowest"

[ -z "$failed" ] || { echo "failed:$failed"; exit 1; }
