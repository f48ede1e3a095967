//! Which predicted classes became more or less frequent. Imports: drift, `detect::checked`.

use crate::drift::Error;
use crate::drift::correction::Correction;
use crate::drift::univariate::Alternative;
use crate::drift::univariate::fisher::{self, Share};

use super::checked::ClassShare;

/// Compares how often each of `classes` is predicted: `reference` and `new` are rows by class.
///
/// # Errors
/// A sample is empty, or `alpha` is no significance level.
pub(super) fn shares(
    classes: &[String],
    reference: &[usize],
    new: &[usize],
    alpha: f64,
) -> Result<Vec<ClassShare>, Error> {
    let (n, m): (usize, usize) = (reference.iter().sum(), new.iter().sum());
    let counts = || reference.iter().copied().zip(new.iter().copied());
    let share = |ones: usize, of: usize| Share {
        ones: ones as u64,
        of: of as u64,
    };
    let p = counts()
        .map(|(a, b)| Ok(fisher::compare(share(a, n), share(b, m), Alternative::TwoSided)?.p))
        .collect::<Result<Vec<f64>, Error>>()?;
    let adjusted = Correction::Holm.decide(&p, alpha)?.adjusted_p;
    let rows = classes.iter().zip(counts()).zip(adjusted);
    Ok(rows
        .map(|((class, (a, b)), p_val)| {
            let (reference, new) = (a as f64 / n as f64, b as f64 / m as f64);
            ClassShare {
                class: class.clone(),
                reference_rows: a,
                new_rows: b,
                reference,
                new,
                difference: new - reference,
                residual: residual([a, n], [b, m]),
                p_val,
                moved: p_val < alpha,
            }
        })
        .collect())
}

/// Returns the adjusted standardised residual of the new rows of a class (Agresti, Categorical Data Analysis,
/// section 3.3): about standard normal if the class is as frequent in both samples. Each pair is rows of
/// the class and all rows.
fn residual([a, n]: [usize; 2], [b, m]: [usize; 2]) -> f64 {
    let all = (n + m) as f64;
    let (of_class, of_new) = ((a + b) as f64 / all, m as f64 / all);
    let expected = of_class * m as f64;
    let variance = expected * (1.0 - of_class) * (1.0 - of_new);
    if variance > 0.0 {
        (b as f64 - expected) / variance.sqrt()
    } else {
        0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(count: usize) -> Vec<String> {
        (0..count).map(|at| format!("c{at}")).collect()
    }

    #[test]
    fn what_moved_is_named() {
        let found = shares(&names(3), &[40, 30, 30], &[10, 60, 30], 0.05).unwrap();
        let moved: Vec<bool> = found.iter().map(|one| one.moved).collect();
        assert_eq!(moved, [true, true, false]);
        assert!((found[0].difference + 0.3).abs() < 1e-12);
        // (60 − 45) / √(45 · 0.55 · 0.5)
        assert!((found[1].residual - 4.264_014_327_112_208).abs() < 1e-9);
        assert!(found[2].residual.abs() < 1e-12);
    }

    #[test]
    fn nothing_and_all_are_no_special_cases() {
        let found = shares(&names(3), &[5, 0, 0], &[7, 0, 0], 0.05).unwrap();
        assert!(found.iter().all(|one| one.residual == 0.0 && !one.moved));
        assert!(shares(&names(2), &[0, 0], &[1, 2], 0.05).is_err());
    }
}
