//! The probabilities that a model gives to the tokens of a text.

use candle_core::{Device, Tensor};

use super::language_model::rows;
use super::sampler::softmax;
use super::{LanguageModel, Token};
use crate::text::{StreamDecoder, Tokenizer};
use crate::{Error, Pass, Result};

/// The tokens of a text, each with the probability that the model gives it after what comes before, and with the
/// `alternatives` likeliest ones. The first is judged as the beginning of a text.
///
/// In a text longer than the model's context, each token is judged after at least half a context.
///
/// # Errors
/// [`Error::UnknownCharacter`]; [`Error::EmptyInput`] for an empty text; those of the model.
pub fn score(
    model: &dyn LanguageModel,
    tokenizer: &dyn Tokenizer,
    text: &str,
    alternatives: usize,
) -> Result<Vec<Token>> {
    let mut ids: Vec<u32> = tokenizer.end_of_text().into_iter().collect();
    ids.extend(tokenizer.encode(text)?);
    if text.is_empty() || ids.len() < 2 {
        return Err(Error::empty("the text"));
    }
    judge(model, tokenizer, &ids, 1, alternatives)
}

/// The tokens from number `first` on, which must be at least 1, each judged after what comes before it.
pub(super) fn judge(
    model: &dyn LanguageModel,
    tokenizer: &dyn Tokenizer,
    ids: &[u32],
    first: usize,
    alternatives: usize,
) -> Result<Vec<Token>> {
    let context = model.context();
    let mut tokens = Vec::with_capacity(ids.len() - first);
    let mut decoder = StreamDecoder::new();
    let mut start = 0;
    while first + tokens.len() < ids.len() {
        let window = &ids[start..(start + context).min(ids.len() - 1)];
        let input = Tensor::from_slice(window, (1, window.len()), &Device::Cpu)?;
        let next = (first + tokens.len() - start - 1).min(window.len());
        let logits = model.forward(&input, &mut Pass::eval())?; // [1, T, V]
        let logits = logits.squeeze(0)?.narrow(0, next, window.len() - next)?;
        for (id, logits) in ids[start + next + 1..].iter().zip(rows(&logits)?) {
            tokens.push(Token::of(*id, &softmax(&logits), alternatives, tokenizer, &mut decoder)?);
        }
        start += context.div_ceil(2);
    }
    Ok(tokens)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpt2::{Gpt2, Gpt2Config};
    use crate::text::CharTokenizer;

    #[test]
    fn probabilities_multiply_to_the_models_loss_and_windows_slide() {
        let tokenizer = CharTokenizer::from_text("abcdef");
        let config = Gpt2Config {
            vocab_size: 7,
            n_positions: 8,
            n_embd: 8,
            n_layer: 1,
            n_head: 2,
            initializer_range: 0.5,
            ..Default::default()
        };
        let model = Gpt2::new(&config, 3).unwrap();
        let tokens = score(&model, &tokenizer, "abfedca", 3).unwrap();
        let mean = tokens.iter().map(|token| -token.probability.ln()).sum::<f32>() / 7.0;
        let ids = Tensor::new(&[[0u32, 1, 2, 6, 5, 4, 3, 1]], &Device::Cpu).unwrap();
        let loss = model.loss_hf(&ids, &ids).unwrap().to_scalar::<f32>().unwrap();
        assert!((mean - loss).abs() < 1e-5, "{mean}, the model's loss is {loss}");
        assert!(tokens[3].alternatives.is_sorted_by(|a, b| a.2 >= b.2));

        let long: String = "abcdef".repeat(7);
        let all = score(&model, &tokenizer, &long, 0).unwrap();
        assert_eq!(all.iter().map(|token| token.text.as_str()).collect::<String>(), long);
        let head = score(&model, &tokenizer, &long[..8], 0).unwrap();
        assert_eq!(all[..8], head, "the first window is judged in one piece");
        assert!(matches!(score(&model, &tokenizer, "", 0), Err(Error::EmptyInput { .. })));
    }
}
