//! `gpt_lab_prepare`: has the crates of the cells built while the kernel is still being built itself.

use gpt_lab_prepare::{Layout, crates};

fn main() -> anyhow::Result<()> {
    let layout = Layout::find()?;
    let _lock = crates::lock(&layout)?;
    crates::build(&layout, &crates::settings(&layout)?, &mut |line| println!("{line}"))?;
    Ok(())
}
