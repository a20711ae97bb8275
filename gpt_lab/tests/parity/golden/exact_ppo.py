"""The pieces of PPO once more, token by token in Python's own numbers, with the derivatives worked out by hand."""

import math


def pieces(rows, scores, settings):
    """All results. `rows` has one dictionary for each row, with lists of its real tokens only: `old`, `ref`, `new` are
    log-probabilities, `v_old` and `v_new` values. What belongs to tokens is added to the rows."""
    for row, score in zip(rows, scores):
        shaped(row, score, settings)
    whiten(rows)
    tokens = [(row, at) for row in rows for at in range(len(row["old"]))]
    policy = [policy_token(row, at, settings["clip"]) for row, at in tokens]
    value = [value_token(row, at, settings["vclip"]) for row, at in tokens]
    scatter(rows, "grad_new_logps", [grad / len(tokens) for _, grad, _ in policy])
    scatter(rows, "grad_values_new", [settings["vf"] * grad / len(tokens) for _, grad, _ in value])
    policy_loss, value_loss = mean([loss for loss, _, _ in policy]), mean([loss for loss, _, _ in value])
    return {
        "policy_loss": policy_loss,
        "value_loss": value_loss,
        "total_loss": policy_loss + settings["vf"] * value_loss,
        "policy_clip_fraction": mean([clipped for _, _, clipped in policy]),
        "value_clip_fraction": mean([clipped for _, _, clipped in value]),
        "approx_kl": mean([(row["new"][at] - row["old"][at]) ** 2 for row, at in tokens]) / 2,
        "mean_kl": mean([sum(row["kl"]) for row in rows]),
    }


def shaped(row, score, settings):
    """Rewards of one row (KL penalty at every token, score at the last), advantages and returns."""
    row["kl"] = [old - ref for old, ref in zip(row["old"], row["ref"])]
    row["rewards"] = [-settings["kl"] * kl for kl in row["kl"]]
    row["rewards"][-1] += score
    row["advantages"] = advantages(row["rewards"], row["v_old"], settings["gamma"], settings["lam"])
    row["returns"] = [advantage + value for advantage, value in zip(row["advantages"], row["v_old"])]


def advantages(rewards, values, gamma, lam):
    """Generalised advantage estimation, from the last token back: δ = r + γ V' - V, A = δ + γ λ A'."""
    found, later, next_value = [], 0.0, 0.0
    for reward, value in zip(reversed(rewards), reversed(values)):
        later = reward + gamma * next_value - value + gamma * lam * later
        next_value = value
        found.append(later)
    return found[::-1]


def whiten(rows):
    """Mean 0 and variance 1 over all tokens of all rows; the variance is that of a sample."""
    everything = [advantage for row in rows for advantage in row["advantages"]]
    centre = mean(everything)
    variance = sum((advantage - centre) ** 2 for advantage in everything) / (len(everything) - 1)
    for row in rows:
        row["whitened_advantages"] = [(a - centre) / math.sqrt(variance + 1e-8) for a in row["advantages"]]


def policy_token(row, at, clip):
    """max(-A ρ, -A clamp(ρ, 1 ± clip)) with ρ = exp(new - old); its derivative by `new`; whether the clamp counts."""
    ratio, advantage = math.exp(row["new"][at] - row["old"][at]), row["whitened_advantages"][at]
    free, clamped = -advantage * ratio, -advantage * min(max(ratio, 1 - clip), 1 + clip)
    if clamped > free:
        return clamped, 0.0, 1
    return free, free, 0


def value_token(row, at, clip):
    """½ max((v - R)², (v_clipped - R)²), v clamped to V_old ± clip; its derivative by v; whether the clamp counts."""
    value, old, target = row["v_new"][at], row["v_old"][at], row["returns"][at]
    clamped = min(max(value, old - clip), old + clip)
    if (clamped - target) ** 2 > (value - target) ** 2:
        return (clamped - target) ** 2 / 2, 0.0, 1
    return (value - target) ** 2 / 2, value - target, 0


def scatter(rows, name, values):
    """Gives every row its part of a list over all tokens."""
    values = iter(values)
    for row in rows:
        row[name] = [next(values) for _ in row["old"]]


def mean(values):
    """The average of a list."""
    return sum(values) / len(values)
