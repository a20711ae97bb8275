//! `tokenizer`: ids, text, special tokens and streaming next to Hugging Face's `tokenizers`, from both layouts of
//! files.

use gpt_lab::prelude::*;
use serde_json::Value;

use super::{Case, Report};

pub fn check(case: &Case, report: &mut Report) {
    let json = BpeTokenizer::from_file(case.path("json_layout")).unwrap();
    let pair = BpeTokenizer::from_vocab_and_merges(case.path("vocab"), case.path("merges")).unwrap();
    let folder = |file: &str| BpeTokenizer::load(case.path(file).parent().unwrap()).unwrap();
    let layouts = [
        ("json", json),
        ("vocab+merges", pair),
        ("json folder", folder("json_layout")),
        ("vocab folder", folder("vocab")),
    ];
    for (layout, tokenizer) in &layouts {
        sizes(case, report, layout, tokenizer);
        for string in case.json["strings"].as_array().expect("strings") {
            one_string(report, &format!("{layout}/{}", string["name"]), tokenizer, string);
        }
        for stream in case.json["streams"].as_array().expect("streams") {
            one_stream(report, &format!("{layout}/stream {}", stream["name"]), tokenizer, stream);
        }
        training_text(case, report, layout, tokenizer);
    }
}

fn sizes(case: &Case, report: &mut Report, layout: &str, tokenizer: &BpeTokenizer) {
    let special = &case.json["special"];
    let id = special["id"].as_u64().unwrap() as u32;
    equal(report, "sizes", layout, &tokenizer.vocab_size(), &(case.json["vocab_size"].as_u64().unwrap() as usize));
    equal(report, "sizes", layout, &tokenizer.end_of_text(), &Some(id));
    equal(report, "sizes", layout, &tokenizer.id(special["text"].as_str().unwrap()), &Some(id));
    equal(report, "sizes", layout, &tokenizer.special_tokens(), &vec![id]);
}

fn one_string(report: &mut Report, name: &str, tokenizer: &BpeTokenizer, string: &Value) {
    let (text, ids) = (string["text"].as_str().unwrap(), ids(&string["ids"]));
    equal(report, "ids", name, &tokenizer.encode_with_marks(text).unwrap(), &ids);
    let as_text = string.get("ids_special_as_text").map_or(ids.clone(), self::ids);
    equal(report, "ids as text", name, &tokenizer.encode(text).unwrap(), &as_text);
    equal(report, "decoded", name, &tokenizer.decode(&as_text).unwrap(), &text.to_string());
    let decoded = string["decoded"].as_str().unwrap();
    equal(report, "decoded", name, &tokenizer.decode(&ids).unwrap(), &decoded.to_string());
    let without = string.get("decoded_skip_special").map_or(decoded, |text| text.as_str().unwrap());
    equal(report, "without marks", name, &tokenizer.decode_without_marks(&ids).unwrap(), &without.to_string());
}

fn one_stream(report: &mut Report, name: &str, tokenizer: &BpeTokenizer, stream: &Value) {
    let ids = ids(&stream["ids"]);
    let mut decoder = StreamDecoder::new();
    let chunks: Vec<String> = ids.iter().map(|&id| decoder.push(tokenizer, id).unwrap()).collect();
    let flush = decoder.finish();
    let expected: Vec<String> = serde_json::from_value(stream["chunks"].clone()).unwrap();
    equal(report, "chunks", name, &chunks, &expected);
    equal(report, "flush", name, flush.as_str(), stream["flush"].as_str().unwrap());
    let full = stream["full"].as_str().unwrap();
    equal(report, "full", name, &(chunks.concat() + &flush), &full.to_string());
    equal(report, "full", name, &tokenizer.decode(&ids).unwrap(), &full.to_string());
}

fn training_text(case: &Case, report: &mut Report, layout: &str, tokenizer: &BpeTokenizer) {
    let about = &case.json["train_text"];
    let text = std::fs::read_to_string(case.dir.join(about["file"].as_str().unwrap())).unwrap();
    let ids = tokenizer.encode(&text).unwrap();
    equal(report, "whole text", layout, &ids.len(), &(about["ids_total"].as_u64().unwrap() as usize));
    let bytes: Vec<u8> = ids.iter().flat_map(|id| id.to_le_bytes()).collect();
    let digest = ring::digest::digest(&ring::digest::SHA256, &bytes);
    let digest: String = digest.as_ref().iter().map(|b| format!("{b:02x}")).collect();
    equal(report, "whole text", layout, digest.as_str(), about["ids_sha256"].as_str().unwrap());
    equal(report, "whole text", layout, &tokenizer.decode(&ids).unwrap(), &text);
}

fn equal<T: PartialEq + std::fmt::Debug + ?Sized>(
    report: &mut Report,
    group: &str,
    name: &str,
    actual: &T,
    expected: &T,
) {
    report.expect(actual == expected, group, || format!("{name} ({group}): {actual:?}, expected {expected:?}"));
}

fn ids(list: &Value) -> Vec<u32> {
    serde_json::from_value(list.clone()).unwrap()
}
