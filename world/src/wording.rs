//! Small matters of English: articles and capital letters.

/// "a" or "an", by the sound that the word begins with.
pub fn article(word: &str) -> &'static str {
    let word = word.to_lowercase();
    let starts = |prefixes: &[&str]| prefixes.iter().any(|prefix| word.starts_with(prefix));
    if starts(&["hour", "honest", "heir"]) {
        "an"
    } else if starts(&["uni", "eu", "one", "use", "ute"]) && !starts(&["unin", "unim"]) {
        "a"
    } else if starts(&["a", "e", "i", "o", "u"]) {
        "an"
    } else {
        "a"
    }
}

/// The text with its first letter in upper case; what begins with a quotation mark stays.
pub fn capitalised(text: &str) -> String {
    let mut characters = text.chars();
    match characters.next() {
        Some(first) => first.to_uppercase().chain(characters).collect(),
        None => String::new(),
    }
}

/// The text with a capital letter at the beginning of every sentence and line, also behind an opening quotation mark.
pub fn sentences(text: &str) -> String {
    let mut result = String::with_capacity(text.len());
    let (mut ended, mut begins) = (false, true);
    for c in text.chars() {
        match c {
            '.' | '?' | '!' => (ended, begins) = (true, false),
            '\n' => (ended, begins) = (false, true),
            ' ' if ended => (ended, begins) = (false, true),
            // A quotation mark that closes: what follows may be "said she".
            '"' if ended => ended = false,
            '"' | ' ' => {}
            _ if begins => {
                begins = false;
                result.extend(c.to_uppercase());
                continue;
            }
            _ => ended = false,
        }
        result.push(c);
    }
    result
}

/// Small numbers in words, up to 99.
pub fn number(n: usize) -> String {
    const SMALL: [&str; 20] = [
        "zero",
        "one",
        "two",
        "three",
        "four",
        "five",
        "six",
        "seven",
        "eight",
        "nine",
        "ten",
        "eleven",
        "twelve",
        "thirteen",
        "fourteen",
        "fifteen",
        "sixteen",
        "seventeen",
        "eighteen",
        "nineteen",
    ];
    const TENS: [&str; 10] = ["", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"];
    match n {
        0..20 => SMALL[n].into(),
        20..100 if n.is_multiple_of(10) => TENS[n / 10].into(),
        20..100 => format!("{}-{}", TENS[n / 10], SMALL[n % 10]),
        _ => n.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn articles_follow_the_sound() {
        let words = ["apple", "pear", "hour", "unit", "umbrella", "eyrie", "eft", "euro", "owl", "hoglet"];
        let articles = words.map(article).join(" ");
        assert_eq!(articles, "an a an a an an an a an a");
    }

    #[test]
    fn sentences_begin_with_capitals() {
        assert_eq!(
            sentences("the end. \"why?\" she said. it is 3.5 metres\nnew"),
            "The end. \"Why?\" she said. It is 3.5 metres\nNew"
        );
        assert_eq!(sentences("is \"hot\" a word? yes"), "Is \"hot\" a word? Yes");
    }

    #[test]
    fn numbers_in_words() {
        assert_eq!([0, 13, 20, 42, 99, 100].map(number).join(" "), "zero thirteen twenty forty-two ninety-nine 100");
    }
}
