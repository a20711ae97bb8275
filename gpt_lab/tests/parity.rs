//! Numbers against PyTorch, transformers and PEFT: every case folder under `tests/parity`, or under the directory that
//! `GPT_LAB_PARITY` names, with the tolerances that come with the case.
//!
//! `cargo test --release -p gpt_lab --test parity -- --nocapture` prints the largest difference in each group.

mod parity_support;

use std::collections::BTreeSet;
use std::path::PathBuf;

use parity_support::{
    Case, Report, align, bad_input, find_cases, forward, generation, lora, reward, tokenizer, training,
};

/// Compares one case with what the crate computes.
type Check = fn(&Case, &mut Report);

/// The kinds of cases. A case of another kind, and a kind without a case, fail the test.
const KINDS: [(&str, Check); 10] = [
    ("gpt2_forward", forward::check),
    ("gpt2_generate", generation::check),
    ("lora_forward", lora::check_forward),
    ("lora_training", lora::check_training),
    ("full_training", training::check),
    ("reward", reward::check),
    ("dpo", align::check_dpo),
    ("ppo_pieces", align::check_ppo),
    ("tokenizer", tokenizer::check),
    ("bad_input", bad_input::check),
];

#[test]
fn every_case_agrees() {
    let root = std::env::var_os("GPT_LAB_PARITY")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/parity"), PathBuf::from);
    let known: BTreeSet<&str> = KINDS.iter().map(|(kind, _)| *kind).collect();
    let (cases, mut failures) = find_cases(&root, &known);
    let mut checked = 0;
    for case in &cases {
        let Some((kind, check)) = KINDS.iter().find(|(kind, _)| *kind == case.kind()) else { continue };
        let mut report = Report::new();
        check(case, &mut report);
        println!("{kind:<14} {}", report.line());
        failures.extend(report.failures.iter().map(|failure| format!("{}: {failure}", case.dir.display())));
        checked += 1;
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert!(checked > 0, "{}: no case was checked", root.display());
}
