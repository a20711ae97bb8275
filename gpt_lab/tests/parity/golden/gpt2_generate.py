"""`gpt2_generate`: greedy decoding, beam search, and the probabilities that sampling draws from."""

import collections

import torch
from transformers import GenerationConfig
from transformers.generation import (
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from golden import exact_search
from golden.models import exact_model, language_model, save_model

ABOUT = "greedy, beam search and sampling warpers"
# A choice between scores closer than this is left out: float32 may rightly decide otherwise.
MARGIN = 5e-5
# In the order in which they are applied.
WARPERS = {
    "repetition_penalty": RepetitionPenaltyLogitsProcessor,
    "temperature": TemperatureLogitsWarper,
    "top_k": TopKLogitsWarper,
    "top_p": TopPLogitsWarper,
}


def make(case):
    """Fills the folder."""
    shape = case.choose(vocab_size=[83, 67, 91], n_positions=[64, 50], n_embd=[32, 24], n_head=[4, 2], n_layer=[2, 3])
    some = case.choose(
        max_length=[40, 34], beams=[3, 2], many=[4, 3], ngram=[2, 3], penalty=[1.3, 1.15], short=[0.8, 0.6]
    )
    model = language_model(case, gain=1.3, embedding=0.3, **shape)
    case.json["model"] = save_model(case, model, "model")
    # Without id 0, which transformers takes for padding here.
    prompts = [case.ids(length, vocab=shape["vocab_size"], low=1).tolist() for length in (1, 3, 6, 11)]
    with torch.no_grad():
        runs = searches(case, model, exact_model(case, "model"), prompts, some)
        case.json |= {"runs": runs, "warp": warp(case)}


def settings_of_runs(some):
    """Name and settings of each run; without `num_beams` it is greedy."""
    main = {"num_beams": some["beams"], "no_repeat_ngram_size": some["ngram"], "early_stopping": True}
    many = {"num_beams": some["many"], "num_return_sequences": some["many"], "early_stopping": False}
    short = f"beam_multi_lp{some['short']}"
    without_eos = {
        "greedy": {},
        "beam_main": main,
        short: many | {"length_penalty": some["short"]},
        "beam_multi_lp1.4": many | {"length_penalty": 1.4},
    }
    with_eos = without_eos | {
        "beam_multi_never": many | {"length_penalty": 1.4, "early_stopping": "never"},
        "beam_multi_lp0": many | {"length_penalty": 0.0},
        "beam_multi_early": many | {"length_penalty": 1.0, "early_stopping": True},
    }
    return without_eos | {"greedy_repetition": {"repetition_penalty": some["penalty"]}}, with_eos


def searches(case, model, exact, prompts, some):
    """All runs: first without an end-of-text token, then with one that is known to come."""
    without_eos, with_eos = settings_of_runs(some)
    limit = {"max_length": some["max_length"], "do_sample": False, "num_beams": 1}

    def run(name, settings, eos):
        return one_run(case, model, exact, prompts, name, limit | settings, eos)

    runs = [run(f"{name}_noeos", settings, None) for name, settings in without_eos.items()]
    eos = most_common(runs, prompts)
    runs += [run(f"{name}_eos", settings, eos) for name, settings in with_eos.items()]
    ends = sum(any(result.get("ended_by_eos", [])) for one in runs for result in one["results"])
    left_out = len(prompts) * len(runs) - sum(len(one["results"]) for one in runs)
    if ends == 0 or not all(one["results"] for one in runs):
        raise ValueError("gpt2_generate: this seed has no end, or a run without results")
    case.note(f"eos fired in {ends} results, {left_out} left out as too close to call")
    case.json |= {"prompts": prompts, "eos_that_fires": eos}
    return runs


def most_common(runs, prompts):
    """The id that the most sequences generate soon, but not first: as the end-of-text token it will come."""
    counts = collections.Counter()
    for result in (result for run in runs for result in run["results"]):
        start = len(prompts[result["prompt"]]) + 1
        counts.update(sorted({id for ids in result["sequences"] for id in ids[start : start + 9]}))
    return counts.most_common(1)[0][0]


def one_run(case, model, exact, prompts, name, settings, eos):
    """Every prompt alone, by transformers and by our own search: the ids must be the same."""
    results, own = [], {key: value for key, value in settings.items() if key != "do_sample"}
    for number, prompt in enumerate(prompts):
        ours = exact_search.search(exact, prompt, eos, **own)
        if ours.margin < MARGIN:
            continue
        sequences, scores = generated(model, prompt, settings, eos)
        if sequences != ours.sequences:
            raise ValueError(f"{name}, prompt {number}: transformers {sequences}, own search {ours.sequences}")
        result = {"prompt": number, "sequences": sequences, "min_margin": float(f"{ours.margin:.2e}")}
        if scores:
            case.compare("sequences_scores", scores, ours.scores)
            result["sequences_scores"] = scores
        if eos is not None:
            result["ended_by_eos"] = [ids[-1] == eos for ids in sequences]
        results.append(result)
    return {"name": name, "eos_token_id": eos, "settings": settings, "results": results}


def generated(model, prompt, settings, eos):
    """Sequences that transformers generates, cut after the first end-of-text token, and the scores of beams."""
    asked = GenerationConfig(**settings, eos_token_id=eos, pad_token_id=0)
    asked.output_scores = asked.return_dict_in_generate = True
    ids = torch.tensor([prompt])
    found = model.generate(ids, attention_mask=torch.ones_like(ids), generation_config=asked)
    sequences = [cut(ids, len(prompt), eos) for ids in found.sequences.tolist()]
    return sequences, found.sequences_scores.tolist() if settings["num_beams"] > 1 else []


def cut(ids, start, eos):
    """The ids up to the first generated end-of-text token."""
    return ids[: ids.index(eos, start) + 1] if eos in ids[start:] else ids


def warp(case):
    """Rows of logits, the last with ties, and their probabilities under several settings."""
    some = case.choose(vocab=[40, 33], cold=[0.7, 0.5], hot=[1.6, 2.1], k=[5, 6], p=[0.6, 0.7], low=[0.8, 0.9])
    logits = torch.stack([case.normal(some["vocab"], std=2.0) for _ in range(2)] + [tied(case, some["vocab"])])
    previous = case.ids(3, 12, vocab=some["vocab"])
    tensors, cases = {"logits": logits, "previous_ids": previous}, []
    for settings in settings_of_warp(some):
        rows = [0, 1] if "top_p" in settings else [0, 1, 2]  # top_p does not define which of equal tokens it keeps
        found = torch.cat([warped(case, settings, logits[row : row + 1], previous[row : row + 1]) for row in rows])
        name = f"probs.{len(cases)}"
        tensors[name] = found
        cases.append({"settings": settings, "rows": rows, "probs": name})
    case.write("warp.safetensors", tensors)
    return {"file": "warp.safetensors", "order": list(WARPERS), "cases": cases}


def settings_of_warp(some):
    """Each warper alone, then together."""
    cold, hot, k, p, low = (some[name] for name in ("cold", "hot", "k", "p", "low"))
    alone = [{"temperature": value} for value in (cold, 1.0, hot)]
    alone += [{"top_k": value} for value in (1, k, 1000)]
    alone += [{"top_p": value} for value in (0.05, p, 0.92)]
    alone += [{"repetition_penalty": value} for value in (1.2, low)]
    return alone + [
        {"temperature": cold, "top_k": k, "top_p": p},
        {"temperature": hot, "top_k": k, "top_p": 0.92, "repetition_penalty": 1.2},
        {"temperature": hot, "top_p": p, "repetition_penalty": low},
    ]


def tied(case, vocab):
    """A row in which the two largest logits are equal, and the fifth to the seventh."""
    ladder = torch.tensor([3.0, 3.0, 2.5, 2.0, 1.5, 1.5, 1.5])
    rest = case.normal(vocab - len(ladder)).clamp(max=1.0)
    return torch.cat([ladder, rest])[torch.from_numpy(case.rng.permutation(vocab))]


def warped(case, settings, logits, previous):
    """The probabilities that transformers draws from, compared with our own."""
    scores = logits
    for name in WARPERS:
        if name in settings:
            scores = WARPERS[name](settings[name])(previous, scores)
    found = scores.softmax(-1)
    exact, margin = exact_search.warped(logits[0].double(), previous[0], **settings)
    if margin < MARGIN or not torch.equal(found[0] > 0, exact > 0):
        raise ValueError(f"gpt2_generate: {settings} keeps other tokens, or nearly (margin {margin:.1e})")
    case.compare("warped_probs", found[0], exact)
    return found
