//! The teaching examples, run as they stand. Each asserts what its comment says that one sees.

#[path = "../examples/dpo.rs"]
mod dpo;
#[path = "../examples/lora.rs"]
mod lora;
#[path = "../examples/train_a_tiny_gpt.rs"]
mod train_a_tiny_gpt;

#[test]
fn a_tiny_gpt_learns_a_rhyme() {
    train_a_tiny_gpt::main().unwrap();
}

#[test]
fn lora_teaches_to_answer() {
    lora::main().unwrap();
}

#[test]
fn dpo_shifts_towards_preferred_answers() {
    dpo::main().unwrap();
}
