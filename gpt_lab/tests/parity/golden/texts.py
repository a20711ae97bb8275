"""Training text for the tokenizer, and strings that are hard to tokenize."""

SUBJECTS = "the baker|a tired clerk|our old ferry|nobody here|the third violin|my sister's dog|a small robot".split("|")
VERBS = "counts|hasn't found|is painting|we've repaired|slowly unfolds|they'll carry|forgot|would've sold".split("|")
OBJECTS = "a copper bell|365 postcards|the 2nd key|seven blue bowls|some cheese|an empty page|the last map".split("|")
PLACES = "at the harbour|before 6:30|in the long corridor|while it snowed|under platform 9|next to the oven".split("|")
ENDS = [". ", "! ", "? ", ", ", ";\n", ".\n\n", " - "]
# Scattered in between: other scripts, code, emoji.
ASIDES = [
    "Собака ждёт у двери. ",
    "мы купили хлеб и сыр. ",
    "она пишет короткое письмо\n",
    "面包很香，茶也热。",
    "小船慢慢回到港口\n",
    "öffne die Tür, bitte. ",
    "déjà vu à l'hôtel. ",
    "ο ήλιος δύει. ",
    "בוקר טוב. ",
    "🚀 🐢 ",
    "👩‍🚀 and 🍀🍀 ",
    "\nfn half(n: u32) -> u32 {\n    n / 2\n}\n",
    "\nfor i in range(10):\n    total += i * 0x0F\n",
    "let y = [4, 5, 6];\n",
    "    \t// indented twice\n",
    "   three spaces   ",
]

STRINGS = {
    "empty": "",
    "one_space": " ",
    "spaces": "      ",
    "leading_space": " baker",
    "many_leading": "    let y",
    "trailing_space": "harbour ",
    "trailing_spaces": "a copper bell   ",
    "inner_spaces": "one  small   robot",
    "newline": "\n",
    "newlines": "x\n\n\ny\n",
    "crlf": "first\r\nsecond\r\n",
    "tabs": "\t\ta\tb\t",
    "mixed_whitespace": " \n \t \n  stop",
    "contractions": "we've can't they'll isn't she'd I'm you're it's 'T O'Hara",
    "upper_contraction": "CAN'T",
    "numbers": "2048 2.71828 042 9,999,999 0xFF",
    "punctuation": "...?!--==%% {a(b)[c]}",
    "python": "def sub(a, b):\n    return a - b\n",
    "rust": "let y = vec![4, 5, 6]; // fine\n",
    "cyrillic": "Чёрный пёс, объезд и йогурт.",
    "chinese": "小船在港口，今天很热。",
    "rare_chinese": "𠀀𪚥好龍",
    "greek_hebrew": "το νερό בוקר",
    "emoji": "🚀🐢🍀",
    "emoji_joined": "👩‍🚀 and 👨‍👩‍👧‍👦",
    "emoji_variation": "☀️❤️",
    "flags": "🇳🇴🇨🇭",
    "skin": "👋🏾👋🏻",
    "accents_composed": "déjà vu",
    "accents_apart": "de\u0301ja\u0300 vu",
    "no_break_space": "a\u00a0b\u00a0\u00a0c",
    "wide_spaces": "a\u3000b\u2003c\u2009d",
    "zero_width": "a\u200bb\u200dc\ufeffd",
    "byte_order_mark": "\ufeffgood morning",
    "right_to_left": "\u202eabc\u202c",
    "control": "a\u0000b\u0001c\u007f",
    "replacement": "a lost \ufffd here",
    "no_characters": "\uffff\U0010ffff",
    "ligatures": "ﬁsh ③④ ¾ Ⅶ",
    "combining": "Z\u0351\u036b\u0343a\u0334l\u0300g\u030eo",
    "special_alone": "<|endoftext|>",
    "special_inside": "left<|endoftext|>right",
    "special_spaced": "a <|endoftext|> b",
    "special_double": "<|endoftext|><|endoftext|>",
    "special_broken": "<|endoftext|",
    "special_case": "<|EndOfText|>",
    "special_apart": "<|end oftext|>",
    "special_newlines": "y\n<|endoftext|>\n\nz",
    "alphabet_of_bytes": "Ġ Ċ ĉ Ā",
    "long_pairs": "xy" * 60,
    "long_run": "e" * 99,
    "everything": "The собака 小船 🚀 waits\tat 6:30…\n",
}

# The strings that are also decoded token by token.
STREAMED = [
    "emoji",
    "emoji_joined",
    "rare_chinese",
    "chinese",
    "cyrillic",
    "flags",
    "greek_hebrew",
    "everything",
    "special_spaced",
    "replacement",
    "python",
    "combining",
]

# Bytes that are decoded one token each: whole characters, cut ones and wrong ones.
BYTES = {
    "bytes_whole": "b🚀ñ港".encode(),
    "cut_emoji": b"go \xf0\x9f\x9a",
    "cut_chinese": "港".encode() + b"\xe6\xb8",
    "wrong_lead": b"a\xffb",
    "wrong_continuation": b"x\x80\x80y",
    "overlong": b"\xc0\xafz",
    "surrogate": b"\xed\xa0\x80!",
    "broken_then_good": b"\xf0\x9f\xc3\xb1",
}


def training_text(rng, size):
    """Random sentences of at least `size` bytes."""
    parts, total = [], 0
    while total < size:
        words = [choices[rng.integers(len(choices))] for choices in (SUBJECTS, VERBS, OBJECTS, PLACES)]
        sentence = " ".join(words) + ENDS[rng.integers(len(ENDS))]
        if rng.random() < 0.5:
            sentence = sentence[0].upper() + sentence[1:]
        if rng.random() < 0.4:
            sentence += ASIDES[rng.integers(len(ASIDES))]
        parts.append(sentence)
        total += len(sentence.encode())
    return "".join(parts)
