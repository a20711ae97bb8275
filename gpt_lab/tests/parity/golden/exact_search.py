"""Greedy decoding and beam search once more, in float64, as readable as possible: every step runs the model anew.

Both also report their margin: the smallest gap between two scores that any choice depended on. Where it is tiny,
float32 may rightly choose otherwise.
"""

import math
from dataclasses import dataclass

import torch


@dataclass
class Search:
    """Sequences (prompt included), best first, the scores of a beam search, and the margin."""

    sequences: list
    scores: list
    margin: float


def greedy(model, prompt, eos, max_length, repetition_penalty=1.0):
    """The most probable token at every step."""
    ids, margin = list(prompt), math.inf
    while len(ids) < max_length and (ids[-1] != eos or len(ids) == len(prompt)):
        logits = penalized(model.logits(torch.tensor([ids]))[0, -1], ids, repetition_penalty)
        (best, second), top = logits.topk(2)
        margin = min(margin, (best - second).item())
        ids.append(top[0].item())
    return Search([ids], [], margin)


def penalized(logits, previous, penalty):
    """Logits of ids that were seen before: divided by the penalty where positive, multiplied where negative."""
    seen = torch.zeros_like(logits, dtype=torch.bool)
    seen[previous] = True
    return torch.where(seen, torch.where(logits > 0, logits / penalty, logits * penalty), logits)


class BeamSearch:
    """A beam search with the settings of `generate`."""

    def __init__(self, model, prompt, eos, max_length, num_beams, **settings):
        self.model, self.prompt, self.eos = model, list(prompt), eos
        self.max_length, self.num_beams = max_length, num_beams
        self.length_penalty = settings.get("length_penalty", 1.0)
        self.early_stopping = settings.get("early_stopping", False)
        self.ngram = settings.get("no_repeat_ngram_size", 0)
        self.num_return = settings.get("num_return_sequences", 1)
        self.beams = [(0.0, self.prompt)]  # summed log-probability, ids
        self.filed = []  # score, ids: sequences that ended, best first
        self.margin = math.inf

    def run(self):
        """The best sequences that ended."""
        while not self.step():
            pass
        for better, worse in zip(self.filed, self.filed[1 : self.num_return + 1]):
            self.depends_on(better, worse)
        best = self.filed[: self.num_return]
        return Search([ids for _, ids in best], [score for score, _ in best], self.margin)

    def step(self):
        """One token more for every beam; true when the search is over."""
        candidates = self.candidates()
        self.file([self.ends(ids) for _, ids in candidates], candidates)
        alive = [candidate for candidate in candidates if not self.ends(candidate[1])]
        if not alive:
            return True
        self.beams = alive[: self.num_beams]
        self.depends_on(alive[self.num_beams - 1], alive[self.num_beams])
        return self.is_over()

    def candidates(self):
        """Every continuation of every beam that is not forbidden, best first."""
        log_probs = self.model.logits(torch.tensor([ids for _, ids in self.beams]))[:, -1].log_softmax(-1)
        found = []
        for (total, ids), row in zip(self.beams, log_probs.tolist()):
            banned = self.repeats(ids)
            found += [(total + log_prob, ids + [id]) for id, log_prob in enumerate(row) if id not in banned]
        return sorted(found, key=lambda candidate: -candidate[0])

    def repeats(self, ids):
        """The ids that would repeat an n-gram. They go after log_softmax: the others stay as probable as they were."""
        if not self.ngram:
            return set()
        tail = ids[len(ids) - self.ngram + 1 :]
        starts = range(len(ids) - self.ngram + 1)
        return {ids[at + self.ngram - 1] for at in starts if ids[at : at + self.ngram - 1] == tail}

    def ends(self, ids):
        """An end by the end-of-text token or by length."""
        return ids[-1] == self.eos or len(ids) == self.max_length

    def file(self, ends, candidates):
        """Files the candidates that end, if they are among the first num_beams; others that end are lost."""
        beams = self.num_beams
        for rank in range(2 * beams):
            if ends[rank]:
                self.depends_on(candidates[rank], candidates[beams if rank < beams else beams - 1])
        for end, (total, ids) in list(zip(ends, candidates))[:beams]:
            if end:
                self.filed.append((total / self.weight(len(ids) - len(self.prompt)), ids))
        self.filed.sort(key=lambda filed: -filed[0])
        if len(self.filed) > beams:
            self.depends_on(self.filed[beams - 1], self.filed[beams])
        del self.filed[beams:]

    def weight(self, generated):
        """Divisor of a sum of that many log-probabilities."""
        return generated**self.length_penalty

    def is_over(self):
        """Enough is filed, and no beam is expected to do better."""
        if len(self.filed) < self.num_beams:
            return False
        if self.early_stopping is True:
            return True
        total, ids = self.beams[0]
        longest = self.early_stopping == "never" and self.length_penalty > 0
        length = self.max_length if longest else len(ids)
        hope, worst = total / self.weight(length - len(self.prompt)), self.filed[-1][0]
        self.margin = min(self.margin, abs(hope - worst))
        return hope <= worst

    def depends_on(self, one, other):
        """A choice between these two."""
        self.margin = min(self.margin, abs(one[0] - other[0]))


def search(model, prompt, eos, num_beams=1, **settings):
    """Greedy or by beams, as the settings say."""
    if num_beams == 1:
        return greedy(model, prompt, eos, **settings)
    return BeamSearch(model, prompt, eos, num_beams=num_beams, **settings).run()


def warped(logits, previous, temperature=1.0, top_k=None, top_p=None, repetition_penalty=1.0):
    """The probabilities to draw from, for one row of logits; and the margin of top_p."""
    logits = penalized(logits, previous, repetition_penalty) / temperature
    if top_k is not None and top_k < len(logits):
        logits = logits.masked_fill(logits < logits.sort(descending=True).values[top_k - 1], -math.inf)
    if top_p is None:
        return logits.softmax(-1), math.inf
    probs, order = logits.softmax(-1).sort(descending=True)
    mass = probs.cumsum(-1)
    keep = int((mass < top_p).sum()) + 1  # the shortest prefix that reaches top_p
    logits[order[keep:]] = -math.inf
    return logits.softmax(-1), (mass - top_p).abs().min().item()
