//! The plain `evcxr_jupyter`, from the same lock file as ours, for tests and comparisons.

fn main() -> anyhow::Result<()> {
    evcxr_jupyter::main()
}
