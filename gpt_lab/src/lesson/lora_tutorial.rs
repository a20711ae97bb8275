//! The exercises of `notebooks/lora_tutorial.ipynb`.

use super::Verdict;
use super::verdict::{answer, close, ensure, verdict};

/// Rows of a matrix.
type Matrix = Vec<Vec<f64>>;
/// x, a, b, s, and what ∂L/∂y is.
type GradientCase = (&'static [f64], &'static [f64], &'static [f64], f64, &'static [f64]);

/// Exercise 1: the largest rank with which an adapter has fewer numbers than the matrix `[n_out, n_in]` itself; 0 if
/// there is none.
pub fn check_largest_rank(largest_rank: impl Fn(usize, usize) -> Option<usize>) -> Verdict {
    verdict("right: for a wide matrix nearly half its width, so ranks of 4 or 8 save almost everything", || {
        for (n_in, n_out, hint) in [
            (8, 8, "r = 4 has 4 · 16 = 64 numbers, and the matrix has 64: that is not fewer"),
            (768, 768, "r · (n_in + n_out) must stay below n_in · n_out"),
            (768, 2304, "the matrix need not be square"),
            (10, 6, "60 numbers, and each rank costs 16"),
            (2, 4, "8 numbers, and each rank costs 6"),
            (2, 2, "every rank costs 4 numbers, as many as there are: no rank saves any"),
            (1, 5, "a single column is thin already: no rank saves any"),
        ] {
            let got = answer(largest_rank(n_in, n_out))?;
            let want = (n_in * n_out - 1) / (n_in + n_out);
            ensure(got == want, || format!("largest_rank({n_in}, {n_out}) is {got}, which is not right: {hint}"))?;
        }
        Ok(())
    })
}

/// Exercise 2: `W + α/r · B A`, with W `[n_out, n_in]`, A `[r, n_in]`, B `[n_out, r]`.
pub fn check_merge(merge: impl Fn(&[Vec<f64>], &[Vec<f64>], &[Vec<f64>], f64) -> Option<Matrix>) -> Verdict {
    verdict("right, scale and order included", || {
        // [n_out = 2, n_in = 3], r = 1.
        let weight = vec![vec![1.0, 2.0, 3.0], vec![4.0, 5.0, 6.0]];
        let (a, b) = (vec![vec![1.0, 0.0, -1.0]], vec![vec![2.0], vec![3.0]]);
        check_merged(&merge, "r = 1, α = 1: row i of B A is b[i] times the row of A", (&weight, &a, &b, 1.0))?;
        check_merged(&merge, "r = 1, α = 16: the update is multiplied by α / r = 16", (&weight, &a, &b, 16.0))?;
        let a = vec![vec![1.0, 0.0, -1.0], vec![0.5, 2.0, 0.0]];
        let b = vec![vec![2.0, 0.0], vec![3.0, -1.0]];
        check_merged(&merge, "r = 2, α = 1: add up both products, and divide by r", (&weight, &a, &b, 1.0))?;
        let zero = vec![vec![0.0, 0.0], vec![0.0, 0.0]];
        check_merged(&merge, "with B = 0 the weight stays as it was", (&weight, &a, &zero, 16.0))?;
        // A square one, where a wrong order goes unnoticed by the shapes.
        let weight = vec![vec![0.0, 0.0], vec![0.0, 0.0]];
        let (a, b) = (vec![vec![1.0, 2.0], vec![3.0, 4.0]], vec![vec![0.0, 1.0], vec![1.0, 1.0]]);
        check_merged(&merge, "the product is B A, not A B", (&weight, &a, &b, 2.0))
    })
}

/// One call of [`check_merge`]'s function.
fn check_merged(
    merge: impl Fn(&[Vec<f64>], &[Vec<f64>], &[Vec<f64>], f64) -> Option<Matrix>,
    hint: &str,
    (weight, a, b, alpha): (&Matrix, &Matrix, &Matrix, f64),
) -> Result<(), Verdict> {
    let got = answer(merge(weight, a, b, alpha))?;
    let (n_out, n_in) = (weight.len(), weight[0].len());
    ensure(got.len() == n_out && got.iter().all(|row| row.len() == n_in), || {
        let widths: Vec<usize> = got.iter().map(Vec::len).collect();
        format!("W has {n_out} rows of {n_in}; {} rows of {widths:?} came out", got.len())
    })?;
    for (i, row) in got.iter().enumerate() {
        for (j, got) in row.iter().enumerate() {
            let update: f64 = a.iter().enumerate().map(|(k, of_a)| b[i][k] * of_a[j]).sum();
            let want = weight[i][j] + alpha / a.len() as f64 * update;
            ensure(close(*got, want), || format!("row {i}, column {j}: {got}, should be {want}; {hint}"))?;
        }
    }
    Ok(())
}

/// Exercise 3: for `y = s · b (a · x)` of rank 1 and `g = ∂L/∂y`, the pair `(∂L/∂a, ∂L/∂b)`.
pub fn check_gradients(
    gradients: impl Fn(&[f64], &[f64], &[f64], f64, &[f64]) -> Option<(Vec<f64>, Vec<f64>)>,
) -> Verdict {
    verdict("right: and at b = 0 the gradient of a is zero, that of b is not", || {
        let cases: [GradientCase; 4] = [
            (&[1.0, 2.0], &[3.0, -1.0], &[0.5, 2.0, 1.0], 1.0, &[1.0, 0.0, -2.0]),
            (&[1.0, 2.0], &[3.0, -1.0], &[0.5, 2.0, 1.0], 4.0, &[1.0, 0.0, -2.0]),
            (&[1.0, -1.0, 0.5], &[0.5, 0.5, 2.0], &[0.0, 0.0], 2.0, &[1.0, 3.0]),
            (&[0.0, 0.0], &[1.0, 1.0], &[1.0], 2.0, &[5.0]),
        ];
        for (x, a, b, s, g) in cases {
            let (da, db) = answer(gradients(x, a, b, s, g))?;
            let call = || format!("gradients({x:?}, {a:?}, {b:?}, {s}, {g:?})");
            for (which, got, width) in [("a", &da, a.len()), ("b", &db, b.len())] {
                ensure(got.len() == width, || {
                    format!("{}: {which} has {width} numbers, its gradient has {}", call(), got.len())
                })?;
            }
            let dot = |u: &[f64], v: &[f64]| u.iter().zip(v).map(|(u, v)| u * v).sum::<f64>();
            let (along_a, along_b) = (dot(a, x), dot(b, g));
            ensure(db.iter().zip(g).all(|(got, g)| close(*got, s * along_a * g)), || {
                format!("{}: ∂L/∂b is {db:?}; y[i] = s · b[i] · (a · x), so b[i] moves only y[i]", call())
            })?;
            ensure(da.iter().zip(x).all(|(got, x)| close(*got, s * along_b * x)), || {
                format!("{}: ∂L/∂a is {da:?}; a[j] moves every y[i], by s · b[i] · x[j]: add up over i", call())
            })?;
        }
        Ok(())
    })
}

/// Exercise 4: multiplications of `(x Aᵀ) Bᵀ` and of `x (B A)ᵀ`, for `rows` rows of x.
pub fn check_multiplications(
    multiplications: impl Fn(usize, usize, usize, usize) -> Option<(usize, usize)>,
) -> Verdict {
    verdict("right: the same result, and the thin way is cheaper by a factor in the hundreds for GPT-2", || {
        for (rows, n_in, n_out, r) in [(1, 3, 5, 1), (10, 3, 5, 1), (10, 3, 5, 2), (1024, 768, 2304, 4)] {
            let (thin, wide) = answer(multiplications(rows, n_in, n_out, r))?;
            let call = format!("multiplications({rows}, {n_in}, {n_out}, {r})");
            let want = rows * n_in * r + rows * r * n_out;
            ensure(thin == want, || {
                format!("{call}: {thin} for (x Aᵀ) Bᵀ, should be {want}: rows × n_in × r, then rows × r × n_out")
            })?;
            let want = n_out * r * n_in + rows * n_in * n_out;
            ensure(wide == want, || {
                format!("{call}: {wide} for x (B A)ᵀ, should be {want}: B A first, then rows × n_in × n_out")
            })?;
        }
        Ok(())
    })
}

/// Exercise 5: whether a module is meant by a name of `target_modules`.
pub fn check_is_target(is_target: impl Fn(&str, &str) -> Option<bool>) -> Verdict {
    verdict("right: whole parts of a name only, from its end", || {
        for (module, name, want, hint) in [
            ("transformer.h.0.attn.c_attn", "c_attn", true, "the last part of the name is c_attn"),
            ("transformer.h.0.attn.c_proj", "c_attn", false, "the last part of the name is another one"),
            ("lin0", "lin0", true, "a name without dots is its own last part"),
            ("transformer.h.0.mlp.c_proj", "attn.c_proj", false, "the last two parts are mlp.c_proj"),
            ("transformer.h.0.attn.c_proj", "attn.c_proj", true, "the last two parts are attn.c_proj"),
            (
                "transformer.h.0.cross_attn.c_proj",
                "attn.c_proj",
                false,
                "cross_attn is not attn: before the name comes a dot",
            ),
            ("transformer.h.0.attn.c_attn", "attn", false, "attn is in the middle of the name, not at its end"),
            ("attn", "c_attn", false, "the module is shorter than the name"),
        ] {
            let got = answer(is_target(module, name))?;
            ensure(got == want, || format!("is_target({module:?}, {name:?}) is {got}: {hint}"))?;
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scaled_product(weight: &[Vec<f64>], a: &[Vec<f64>], b: &[Vec<f64>], scale: f64) -> Matrix {
        let at = |i: usize, j: usize| (0..a.len()).map(|k| b[i][k] * a[k][j]).sum::<f64>();
        let row = |i: usize| (0..weight[i].len()).map(|j| weight[i][j] + scale * at(i, j)).collect();
        (0..weight.len()).map(row).collect()
    }

    #[test]
    fn stubs_wait() {
        assert_eq!(check_largest_rank(|_, _| None), Verdict::Waiting);
        assert_eq!(check_merge(|_, _, _, _| None), Verdict::Waiting);
        assert_eq!(check_gradients(|_, _, _, _, _| None), Verdict::Waiting);
        assert_eq!(check_multiplications(|_, _, _, _| None), Verdict::Waiting);
        assert_eq!(check_is_target(|_, _| None), Verdict::Waiting);
    }

    #[test]
    fn the_usual_mistakes_are_named() {
        let not_fewer = check_largest_rank(|n_in, n_out| Some(n_in * n_out / (n_in + n_out))).to_string();
        assert!(not_fewer.contains("not fewer"), "{not_fewer}");
        let unscaled = check_merge(|w, a, b, _| Some(scaled_product(w, a, b, 1.0))).to_string();
        assert!(unscaled.contains("α / r = 16"), "{unscaled}");
        let undivided = check_merge(|w, a, b, alpha| Some(scaled_product(w, a, b, alpha))).to_string();
        assert!(undivided.contains("divide by r"), "{undivided}");
        let swapped = check_merge(|w, a, b, alpha| {
            let square = a.len() == w.len() && b.len() == w[0].len();
            let (a, b) = if square { (b, a) } else { (a, b) };
            Some(scaled_product(w, a, b, alpha / a.len() as f64))
        });
        assert!(swapped.to_string().contains("not A B"), "{swapped}");
        let without_scale = check_gradients(|x, a, b, _, g| {
            let dot = |u: &[f64], v: &[f64]| u.iter().zip(v).map(|(u, v)| u * v).sum::<f64>();
            let times = |v: &[f64], by: f64| v.iter().map(|v| v * by).collect();
            Some((times(x, dot(b, g)), times(g, dot(a, x))))
        });
        assert!(without_scale.to_string().contains("4, [1.0"), "{without_scale}");
        let forgotten =
            check_multiplications(|rows, n_in, n_out, r| Some((rows * r * (n_in + n_out), rows * n_in * n_out)));
        assert!(forgotten.to_string().contains("B A first"), "{forgotten}");
        let by_letters = check_is_target(|module, name| Some(module.ends_with(name))).to_string();
        assert!(by_letters.contains("cross_attn is not attn"), "{by_letters}");
    }

    #[test]
    fn right_answers_pass() {
        assert!(check_largest_rank(|n_in, n_out| Some((n_in * n_out - 1) / (n_in + n_out))).is_right());
        assert!(check_merge(|w, a, b, alpha| Some(scaled_product(w, a, b, alpha / a.len() as f64))).is_right());
        let count = |rows: usize, n_in: usize, n_out: usize, r: usize| {
            Some((rows * r * (n_in + n_out), n_in * n_out * (r + rows)))
        };
        assert!(check_multiplications(count).is_right());
        let suffix = |module: &str, name: &str| {
            Some(module.strip_suffix(name).is_some_and(|rest| rest.is_empty() || rest.ends_with('.')))
        };
        assert!(check_is_target(suffix).is_right());
    }
}
