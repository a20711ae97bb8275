//! `gpt2_generate`: greedy and beam search give the same ids and scores, and what is drawn from has the same
//! probabilities.

use gpt_lab::generate::{Ended, Sequence};
use gpt_lab::prelude::*;
use serde_json::{Map, Value};

use super::{Case, Report};

pub fn check(case: &Case, report: &mut Report) {
    let model = Gpt2::load(case.path("model")).unwrap();
    let prompts: Vec<Vec<u32>> = serde_json::from_value(case.json["prompts"].clone()).expect("prompts");
    for run in case.json["runs"].as_array().expect("runs") {
        let eos = run["eos_token_id"].as_u64().map(|id| id as u32).into_iter().collect();
        // No limit but max_length.
        let base = GenerateConfig { eos_token_id: Some(eos), max_new_tokens: usize::MAX, ..Default::default() };
        let config = configured(base, run["settings"].as_object().expect("settings"));
        let found = generate_ids(&model, &prompts, &config).unwrap();
        for result in run["results"].as_array().expect("results") {
            let name = format!("{} prompt {}", run["name"], result["prompt"]);
            sequences(case, report, &name, result, &found[result["prompt"].as_u64().unwrap() as usize]);
        }
    }
    warped(case, report);
}

fn sequences(case: &Case, report: &mut Report, name: &str, expected: &Value, found: &[Sequence]) {
    let ids: Vec<&Vec<u32>> = found.iter().map(|sequence| &sequence.ids).collect();
    report.expect(expected["sequences"] == serde_json::json!(ids), "ids", || {
        format!("{name}: {ids:?}, expected {}", expected["sequences"])
    });
    if let Some(scores) = expected["sequences_scores"].as_array() {
        let scores: Vec<f64> = scores.iter().map(|score| score.as_f64().unwrap()).collect();
        let ours: Vec<f64> = found.iter().filter_map(|sequence| sequence.score).map(f64::from).collect();
        report.compare_numbers(case, "sequences_scores", name, &ours, &scores);
    }
    if let Some(by_eos) = expected["ended_by_eos"].as_array() {
        let ours: Vec<bool> = found.iter().map(|sequence| sequence.ended == Ended::EndOfText).collect();
        report.expect(serde_json::json!(by_eos) == serde_json::json!(ours), "ends", || {
            format!("{name}: ended by eos {ours:?}, expected {by_eos:?}")
        });
    }
}

fn warped(case: &Case, report: &mut Report) {
    let warp = &case.json["warp"];
    let path = case.dir.join(warp["file"].as_str().unwrap());
    let tensors =
        candle_core::safetensors::load(&path, &Device::Cpu).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let logits = tensors["logits"].to_vec2::<f32>().unwrap();
    let previous = tensors["previous_ids"].to_dtype(DType::U32).unwrap().to_vec2::<u32>().unwrap();
    for one in warp["cases"].as_array().expect("warp.cases") {
        let base = GenerateConfig { do_sample: true, ..Default::default() };
        let config = configured(base, one["settings"].as_object().expect("settings"));
        let expected = tensors[one["probs"].as_str().unwrap()].to_vec2::<f32>().unwrap();
        for (row, expected) in one["rows"].as_array().unwrap().iter().zip(expected) {
            let (name, row) = (format!("warp {} row {row}", one["settings"]), row.as_u64().unwrap() as usize);
            let found = config.probabilities(&logits[row], &previous[row]).unwrap();
            let kept = |p: &[f32]| p.iter().map(|p| *p > 0.0).collect::<Vec<_>>();
            report.expect(kept(&found) == kept(&expected), "kept", || format!("{name}: other tokens are kept"));
            let wide = |p: &[f32]| p.iter().map(|p| f64::from(*p)).collect::<Vec<_>>();
            report.compare_numbers(case, "warped_probs", &name, &wide(&found), &wide(&expected));
        }
    }
}

/// The settings of a case under their names. One that is not known fails the test: it would change the result.
fn configured(mut config: GenerateConfig, settings: &Map<String, Value>) -> GenerateConfig {
    for (name, value) in settings {
        let number = || value.as_f64().unwrap_or_else(|| panic!("{name} = {value}"));
        let count = || value.as_u64().unwrap_or_else(|| panic!("{name} = {value}")) as usize;
        match name.as_str() {
            "max_length" => config.max_length = Some(count()),
            "max_new_tokens" => config.max_new_tokens = count(),
            "min_length" => config.min_length = count(),
            "min_new_tokens" => config.min_new_tokens = count(),
            "do_sample" => config.do_sample = value.as_bool().unwrap(),
            "temperature" => config.temperature = number(),
            "top_k" => config.top_k = Some(count()),
            "top_p" => config.top_p = Some(number()),
            "repetition_penalty" => config.repetition_penalty = number(),
            "no_repeat_ngram_size" => config.no_repeat_ngram_size = count(),
            "num_return_sequences" => config.num_return_sequences = count(),
            "num_beams" => config.num_beams = count(),
            "length_penalty" => config.length_penalty = number(),
            "early_stopping" => config.early_stopping = value.to_string().trim_matches('"').parse().unwrap(),
            _ => panic!("unknown setting {name} = {value}"),
        }
    }
    config
}
