#!/bin/bash
# The tests, section by section. Goes on after a failure and says at the end which sections failed.
#
#     tools/test.sh all               every section of ALL
#     tools/test.sh check             every section of CHECK
#     tools/test.sh kernel lessons    these sections
#
# Built once each: the kernel profile (kernel, its tests, lints, documentation), release (the tests of the other crates),
# dev (the unit tests of `check`, which compile quickly after a change), the session directory.
set -uo pipefail
cd "$(dirname "$0")/.."
ALL="format set-up lints doc kernel gpt_lab cli world python"
CHECK="format lints doc unit"
failed=()
# A third of the building time, for nothing that a test would notice.
export CARGO_PROFILE_RELEASE_LTO=off

run() {
    local name=$1 started=$SECONDS
    shift
    echo
    echo "=== $name: $*"
    "$@" || failed+=("$name")
    echo "=== $name: $((SECONDS - started)) s"
}

documentation() {
    RUSTDOCFLAGS="-D warnings" cargo doc --locked --profile kernel --workspace --no-deps
}

python_tests() {
    .venv/bin/python -m pip install -q --disable-pip-version-check -r tools/requirements-test.txt -c tools/constraints.txt &&
        .venv/bin/python -m pytest "$@"
}

section() {
    case $1 in
    format) run "$1" cargo fmt --all --check ;;
    set-up) run "$1" "${PYTHON:-python3}" tools/setup.py ;;
    lints) run "$1" cargo clippy --locked --profile kernel --workspace --all-targets -- -D warnings ;;
    doc) run "$1" documentation ;;
    unit) run "$1" cargo test --locked --workspace --exclude gpt_lab_kernel --lib --bins --test architecture --test line_width --test lessons ;;
    kernel) run "$1" cargo test --locked --profile kernel -p gpt_lab_kernel ;;
    gpt_lab) run "$1" cargo test --locked --release -p gpt_lab -p gpt_lab_cpu ;;
    cli) run "$1" cargo test --locked --release -p gpt_lab_cli -p gpt_lab_bench ;;
    world) run "$1" cargo test --locked --release -p gpt_lab_world ;;
    python) run "$1" python_tests ;;
    protocol) run "$1" python_tests tests/kernel ;;
    browser) run "$1" python_tests tests/lab ;;
    lessons) run "$1" python_tests tests/notebooks ;;
    *)
        echo "tools/test.sh: there is no section \"$1\"; there are $ALL, unit, and parts of python: protocol browser lessons" >&2
        exit 2
        ;;
    esac
}

case ${1:-all} in
all) names=$ALL ;;
check) names=$CHECK ;;
*) names=$* ;;
esac
for name in $names; do
    section "$name"
done

echo
if [ ${#failed[@]} -gt 0 ]; then
    printf 'FAILED: %s\n' "${failed[@]}"
    exit 1
fi
echo "passed: $names"
