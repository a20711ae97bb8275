//! The test for a right answer: the fact that was asked for, named in the first line.

/// `true` for a text whose first line names one of these answers, word for word but for case and punctuation, and asks
/// nothing back; `None` without answers.
pub fn names_one_of(answers: &[String], text: &str) -> Option<bool> {
    if answers.is_empty() {
        return None;
    }
    let line = text.trim_start().lines().next().unwrap_or_default();
    let told = words(line);
    Some(!line.contains('?') && answers.iter().any(|answer| told.contains(&words(answer))))
}

/// The words of a text in lower case, each between two spaces.
pub(crate) fn words(text: &str) -> String {
    let lower = text.to_lowercase();
    let words: Vec<&str> = lower.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
    format!(" {} ", words.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_a_whole_word_in_a_line_that_does_not_ask() {
        let answers = ["Rome".to_string(), "New York".to_string()];
        for right in [" Rome", "\nIt is rome.\nWhat?", "The city of New York, I think."] {
            assert_eq!(names_one_of(&answers, right), Some(true), "{right}");
        }
        for wrong in ["", " Romeo", " What is Rome?", " Paris\nRome", " York"] {
            assert_eq!(names_one_of(&answers, wrong), Some(false), "{wrong}");
        }
        assert_eq!(names_one_of(&[], "Rome"), None);
    }
}
