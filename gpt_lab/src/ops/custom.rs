//! From a function on slices and its backward pass to an op of candle's.

use std::ops::Deref;
use std::sync::OnceLock;

use candle_core::{
    CpuStorage, CustomOp1, CustomOp2, CustomOp3, DType, Device, Layout, Shape, Storage, StorageRef, Tensor,
};

use crate::Result;

/// A check whether the fast version of an op applies to all of these tensors: f32 on the CPU.
pub(super) fn fast(tensors: &[&Tensor]) -> bool {
    tensors.iter().all(|t| matches!(t.device(), Device::Cpu) && t.dtype() == DType::F32)
}

/// An op with `N` arguments, from its two passes. The forward pass returns the result's values and what the backward
/// pass needs of it; the backward pass returns the gradient of each argument that wants one.
pub(super) struct Op<const N: usize, S, F, B> {
    name: &'static str,
    /// Of the result.
    shape: Shape,
    forward: F,
    backward: B,
    saved: OnceLock<S>,
}

/// The values that a backward pass works from.
pub(super) struct Backward<'a, const N: usize, S> {
    /// The arguments of the forward pass.
    pub(super) args: [&'a [f32]; N],
    /// The result of the forward pass.
    pub(super) y: &'a [f32],
    /// The gradient of that result.
    pub(super) grad: &'a [f32],
    /// The arguments that want a gradient.
    pub(super) wanted: [bool; N],
    /// Saved by the forward pass.
    pub(super) saved: &'a S,
}

type Forwarded<S> = candle_core::Result<(Vec<f32>, S)>;
type Gradients<const N: usize> = candle_core::Result<[Option<Vec<f32>>; N]>;

impl<const N: usize, S, F, B> Op<N, S, F, B>
where
    F: Fn([&[f32]; N]) -> Forwarded<S>,
    B: Fn(Backward<N, S>) -> Gradients<N>,
{
    pub(super) fn new(name: &'static str, shape: impl Into<Shape>, forward: F, backward: B) -> Self {
        Op { name, shape: shape.into(), forward, backward, saved: OnceLock::new() }
    }

    fn run(&self, args: [(&CpuStorage, &Layout); N]) -> candle_core::Result<(CpuStorage, Shape)> {
        let mut slices: [&[f32]; N] = [&[]; N];
        for (slice, (storage, layout)) in slices.iter_mut().zip(args) {
            *slice = values(storage, layout)?;
        }
        let (y, saved) = (self.forward)(slices)?;
        let _ = self.saved.set(saved); // the op is applied once, so the cell is empty
        Ok((CpuStorage::F32(y), self.shape.clone()))
    }

    fn run_back(&self, args: [&Tensor; N], y: &Tensor, grad: &Tensor) -> candle_core::Result<[Option<Tensor>; N]> {
        let (grad, y) = (grad.contiguous()?, Values::of(y)?);
        let held = args.iter().map(|arg| Values::of(arg)).collect::<candle_core::Result<Vec<_>>>()?;
        let grads = (self.backward)(Backward {
            args: std::array::from_fn(|i| &*held[i]),
            y: &y,
            grad: &Values::of(&grad)?,
            wanted: args.map(Tensor::track_op),
            saved: self.saved.get().expect("forward comes before backward"),
        })?;
        let mut tensors = [const { None }; N];
        for ((tensor, grad), arg) in tensors.iter_mut().zip(grads).zip(args) {
            *tensor = grad.map(|grad| Tensor::from_vec(grad, arg.shape(), &Device::Cpu)).transpose()?;
        }
        Ok(tensors)
    }
}

/// `Op::apply` and candle's trait for `n` arguments. Candle wants the gradients as `$result`, which `$from` makes of an
/// array.
macro_rules! with_arguments {
    ($n:literal, $trait:ident, $apply:ident, $result:ty, $from:expr, $first:ident $(, $other:ident $layout:ident)*) => {
        impl<S, F, B> Op<$n, S, F, B>
        where
            S: Send + Sync + 'static,
            F: Fn([&[f32]; $n]) -> Forwarded<S> + Send + Sync + 'static,
            B: Fn(Backward<$n, S>) -> Gradients<$n> + Send + Sync + 'static,
        {
            /// The op's result for these arguments, f32 on the CPU.
            pub(super) fn apply(self, [$first $(, $other)*]: [&Tensor; $n]) -> Result<Tensor> {
                Ok($first.contiguous()?.$apply($(&$other.contiguous()?,)* self)?)
            }
        }

        impl<S, F, B> $trait for Op<$n, S, F, B>
        where
            S: Send + Sync,
            F: Fn([&[f32]; $n]) -> Forwarded<S> + Send + Sync,
            B: Fn(Backward<$n, S>) -> Gradients<$n> + Send + Sync,
        {
            fn name(&self) -> &'static str {
                self.name
            }

            fn cpu_fwd(
                &self,
                $first: &CpuStorage,
                layout: &Layout,
                $($other: &CpuStorage, $layout: &Layout,)*
            ) -> candle_core::Result<(CpuStorage, Shape)> {
                self.run([($first, layout) $(, ($other, $layout))*])
            }

            fn bwd(
                &self,
                $first: &Tensor,
                $($other: &Tensor,)*
                y: &Tensor,
                grad: &Tensor,
            ) -> candle_core::Result<$result> {
                Ok($from(self.run_back([$first $(, $other)*], y, grad)?))
            }
        }
    };
}

type Grad = Option<Tensor>;
with_arguments!(1, CustomOp1, apply_op1, Grad, |[a]: [Grad; 1]| a, a);
with_arguments!(2, CustomOp2, apply_op2, (Grad, Grad), <(Grad, Grad)>::from, a, b b_layout);
with_arguments!(3, CustomOp3, apply_op3, (Grad, Grad, Grad), <(Grad, Grad, Grad)>::from, a, b b_layout, c c_layout);

/// The values of a contiguous f32 tensor on the CPU.
pub(super) struct Values<'a> {
    storage: StorageRef<'a>,
    from: usize,
    to: usize,
}

impl<'a> Values<'a> {
    pub(super) fn of(tensor: &'a Tensor) -> candle_core::Result<Self> {
        let (storage, layout) = tensor.storage_and_layout();
        let Some((from, to)) = layout.contiguous_offsets() else {
            candle_core::bail!("a contiguous tensor is needed here, found strides {:?}", layout.stride())
        };
        match &*storage {
            Storage::Cpu(CpuStorage::F32(_)) => Ok(Values { storage, from, to }),
            _ => candle_core::bail!("an f32 tensor on the CPU is needed here"),
        }
    }
}

impl Deref for Values<'_> {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        match &*self.storage {
            Storage::Cpu(CpuStorage::F32(values)) => &values[self.from..self.to],
            _ => unreachable!("checked when it was made"),
        }
    }
}

/// The values of an argument of a custom op, which must be contiguous f32.
fn values<'a>(storage: &'a CpuStorage, layout: &Layout) -> candle_core::Result<&'a [f32]> {
    let Some((from, to)) = layout.contiguous_offsets() else {
        candle_core::bail!("a contiguous tensor is needed here, found strides {:?}", layout.stride())
    };
    Ok(&storage.as_slice::<f32>()?[from..to])
}
