//! `bad_input`: broken folders and calls. Each must give the class of error that is expected, and a message that says
//! where.

use gpt_lab::prelude::*;
use serde_json::Value;

use super::{Case, Report};

/// What a case may ask for. Another action fails the test.
const ACTIONS: [&str; 5] = ["load_model", "load_model_and_tokenizer", "load_adapter", "forward", "generate"];

pub fn check(case: &Case, report: &mut Report) {
    good_model_works(case, report);
    for item in case.json["items"].as_array().expect("items") {
        let (name, action) = (item["name"].as_str().unwrap(), item["action"].as_str().unwrap());
        report.expect(ACTIONS.contains(&action), "actions", || format!("{name}: unknown action `{action}`"));
        let result = run(case, item);
        report.expect(result.is_err(), "refusals", || format!("{name}: was accepted"));
        let Err(error) = result else { continue };
        let (class, message) = (class_of(&error), error.to_string());
        let expected = item["error"].as_str().unwrap();
        report.expect(class == expected, "classes", || format!("{name}: {class} ({message}), expected {expected}"));
        for wanted in item["message_must_name"].as_array().unwrap() {
            report
                .expect(names(&message, wanted), "messages", || format!("{name}: `{message}` does not name {wanted}"));
        }
    }
}

fn good_model_works(case: &Case, report: &mut Report) {
    let good = &case.json["good"];
    let model = Gpt2::load(case.dir.join(good["model"].as_str().unwrap())).unwrap();
    let path = case.dir.join(good["expected"].as_str().unwrap());
    let expected = candle_core::safetensors::load(path, &Device::Cpu).unwrap();
    let logits = model.forward(&expected["input_ids"], &mut Pass::eval()).unwrap();
    report.compare(case, "logits", "good model", &logits, &expected["logits"]);
    let lora = Lora::new(&model).unwrap();
    lora.load("good", case.dir.join(good["adapter"].as_str().unwrap())).unwrap();
    let logits = model.forward(&expected["input_ids"], &mut Pass::eval()).unwrap();
    report.compare(case, "logits", "good adapter", &logits, &expected["lora_logits"]);
}

fn run(case: &Case, item: &Value) -> Result<()> {
    let model = Gpt2::load(case.dir.join(item["model"].as_str().unwrap()))?;
    match item["action"].as_str() {
        Some("load_model") => return Ok(()),
        Some("load_adapter") => {
            return Lora::new(&model)?.load("bad", case.dir.join(item["adapter"].as_str().unwrap()));
        }
        Some("load_model_and_tokenizer") => {
            let tokenizer = BpeTokenizer::from_file(case.dir.join(item["tokenizer"].as_str().unwrap()))?;
            return tokenizer.check_fits(model.vocab_size());
        }
        _ => {}
    }
    let rows: Vec<Vec<i64>> = serde_json::from_value(item["input_ids"].clone()).unwrap();
    if item["action"] == "generate" {
        return generates(&model, &rows, item);
    }
    let ids = Tensor::from_vec(rows.concat(), (rows.len(), rows[0].len()), &Device::Cpu)?;
    model.forward(&ids, &mut Pass::eval()).map(|_| ())
}

/// Greedily, and by beams: both must refuse.
fn generates(model: &Gpt2, rows: &[Vec<i64>], item: &Value) -> Result<()> {
    let prompts: Vec<Vec<u32>> = rows.iter().map(|row| row.iter().map(|&id| id as u32).collect()).collect();
    let max_length = item["max_length"].as_u64().map(|n| n as usize);
    let greedy = GenerateConfig { max_length, max_new_tokens: 20, ..Default::default() };
    let beams = generate_ids(model, &prompts, &GenerateConfig { num_beams: 3, ..greedy.clone() });
    assert!(beams.is_err(), "{}: a beam search accepts it", item["name"]);
    generate_ids(model, &prompts, &greedy).map(|_| ())
}

fn class_of(error: &Error) -> String {
    let debug = format!("{error:?}");
    debug.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default().to_string()
}

/// Whether a message names a string, a number, or a shape in any notation. Tensor names count with their prefix or
/// without.
fn names(message: &str, wanted: &Value) -> bool {
    match wanted {
        Value::String(text) => message.contains(text.as_str()),
        Value::Array(shape) => {
            let numbers: Vec<String> = shape.iter().map(Value::to_string).collect();
            [", ", ",", "x", "×", " x ", " × "].iter().any(|between| message.contains(&numbers.join(between)))
        }
        number => {
            let digits = number.to_string();
            message.split(|c: char| !c.is_ascii_digit()).any(|word| word == digits)
        }
    }
}
