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
ALL="format set-up lints doc portable kernel crates python"
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

# The arithmetic for another processor, where the toolchain has its standard library.
portable() {
    local target=aarch64-unknown-linux-gnu
    if [ -d "$(rustc --print sysroot)/lib/rustlib/$target" ]; then
        cargo clippy --locked --profile kernel -p gpt_lab_cpu --all-targets --target "$target" -- -D warnings
    else
        echo "not checked for $target: rustup target add $target"
    fi
}

# The plain path of the arithmetic under Miri; takes minutes and needs `rustup toolchain install nightly --component miri`.
miri() {
    MIRIFLAGS="-Zmiri-disable-isolation -Zmiri-ignore-leaks -Zmiri-tree-borrows" \
        cargo +nightly miri test --locked -p gpt_lab_cpu --lib
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
    unit) run "$1" cargo test --locked --workspace --exclude gpt_lab_kernel --exclude gpt_lab_assist --lib --bins --test architecture --test line_width --test lessons --test operations --test doc_paths ;;
    portable) run "$1" portable ;;
    miri) run "$1" miri ;;
    kernel) run "$1" cargo test --locked --profile kernel -p gpt_lab_kernel -p gpt_lab_cell -p gpt_lab_assist --bins --lib ;;
    # All at once: cargo would build what they share again for each, with other features.
    crates) run "$1" cargo test --locked --release --workspace --exclude gpt_lab_kernel --exclude gpt_lab_assist --no-fail-fast ;;
    python) run "$1" python_tests ;;
    protocol) run "$1" python_tests tests/kernel ;;
    browser) run "$1" python_tests tests/lab ;;
    lessons) run "$1" python_tests tests/notebooks ;;
    *)
        echo "tools/test.sh: there is no section \"$1\"; there are $ALL, unit, miri, and parts of python: protocol browser lessons" >&2
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
