#!/bin/bash
# Every test, section by section; goes on after a failure and says at the end which sections failed.
#
# Built once each: the kernel profile (kernel, its tests, lints), release (gpt_lab's tests), the session directory.
set -uo pipefail
cd "$(dirname "$0")/.."
failed=()
# A third of the building time, for nothing that a test would notice.
export CARGO_PROFILE_RELEASE_LTO=off

section() {
    local name=$1 started=$SECONDS
    shift
    echo
    echo "=== $name: $*"
    "$@" || failed+=("$name")
    echo "=== $name: $((SECONDS - started)) s"
}

python_tests() {
    .venv/bin/python -m pip install -q --disable-pip-version-check -r tools/requirements-test.txt -c tools/constraints.txt &&
        .venv/bin/python -m pytest
}

section "format" cargo fmt --all --check
section "set-up" "${PYTHON:-python3}" tools/setup.py
section "lints" cargo clippy --locked --profile kernel --workspace --all-targets -- -D warnings
section "kernel, Rust" cargo test --locked --profile kernel -p gpt_lab_kernel
section "gpt_lab, Rust" cargo test --locked --release -p gpt_lab
section "assets, Rust" cargo test --locked --release -p gpt_lab_world
section "Python" python_tests

echo
if [ ${#failed[@]} -gt 0 ]; then
    printf 'FAILED: %s\n' "${failed[@]}"
    exit 1
fi
echo "all sections passed"
