//! An audit of gradients: candle reports no error for a chain that is cut somewhere, the gradient is only missing.

use std::fmt;

use candle_core::backprop::GradStore;

use crate::{Error, Param, Result};

/// The gradients of one backward pass, parameter by parameter.
#[derive(Debug, Clone)]
pub struct GradAudit {
    /// One row a parameter, in the model's order.
    pub rows: Vec<AuditRow>,
}

/// One parameter in a [`GradAudit`].
#[derive(Debug, Clone, PartialEq)]
pub struct AuditRow {
    /// The name.
    pub name: String,
    /// The shape.
    pub shape: Vec<usize>,
    /// True if it is meant to train.
    pub trainable: bool,
    /// The Euclidean norm of its gradient; `None` if there is no gradient.
    pub grad_norm: Option<f64>,
}

/// Looks up the gradient of every parameter.
pub fn grad_audit(params: &[Param], grads: &GradStore) -> Result<GradAudit> {
    let row = |param: &Param| -> Result<AuditRow> {
        let grad_norm = match grads.get(param.var().as_tensor()) {
            None => None,
            Some(grad) => {
                let values: Vec<f32> = grad.flatten_all()?.to_dtype(candle_core::DType::F32)?.to_vec1()?;
                Some(values.iter().map(|g| f64::from(*g).powi(2)).sum::<f64>().sqrt())
            }
        };
        let (name, shape) = (param.name().to_string(), param.dims().to_vec());
        Ok(AuditRow { name, shape, trainable: param.trainable(), grad_norm })
    };
    Ok(GradAudit { rows: params.iter().map(row).collect::<Result<_>>()? })
}

impl GradAudit {
    /// Fails with the name of every trainable parameter whose gradient is missing, zero or not finite.
    ///
    /// The norm is that of the whole tensor: an embedding table passes if some of its rows were used, and fails if none
    /// was. A gradient of exactly zero on a random batch means that nothing downstream depends on the parameter.
    pub fn check(&self) -> Result<()> {
        let bad = |row: &&AuditRow| row.trainable && !row.learns();
        let names: Vec<String> = self.rows.iter().filter(bad).map(|row| row.name.clone()).collect();
        if names.is_empty() { Ok(()) } else { Err(Error::NoGradient { names }) }
    }
}

impl AuditRow {
    /// True if the gradient is there, finite and not zero.
    pub fn learns(&self) -> bool {
        self.grad_norm.is_some_and(|norm| norm.is_finite() && norm > 0.0)
    }
}

impl fmt::Display for GradAudit {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        writeln!(f, "{:<40}{:<14}{:<9}gradient norm", "parameter", "shape", "trains")?;
        for row in &self.rows {
            let shape = format!("{:?}", row.shape);
            let trains = if row.trainable { "yes" } else { "no" };
            let norm = row.grad_norm.map_or("none".to_string(), |norm| format!("{norm:.3e}"));
            let warning = if row.trainable && !row.learns() { "  ← does not learn" } else { "" };
            writeln!(f, "{:<40}{shape:<14}{trains:<9}{norm}{warning}", row.name)?;
        }
        Ok(())
    }
}
