//! Matrix products: gemm behind an interface that checks sizes. Most are made on the calling thread, for callers that
//! hand out their rows to the threads themselves.

use gemm::Parallelism;

/// A matrix in a slice of numbers, as it lies there or transposed.
#[derive(Clone, Copy)]
pub(crate) struct Matrix<'a> {
    data: &'a [f32],
    rows: usize,
    columns: usize,
    /// From one row to the next, and from one column to the next.
    strides: [usize; 2],
}

impl<'a> Matrix<'a> {
    /// Row after row, each `width` long.
    pub(crate) fn new(data: &'a [f32], width: usize) -> Self {
        assert!(width > 0 && data.len().is_multiple_of(width), "{} numbers in rows of {width}", data.len());
        Matrix { data, rows: data.len() / width, columns: width, strides: [width, 1] }
    }

    /// Its transpose; nothing moves.
    pub(crate) fn t(self) -> Self {
        let [row, column] = self.strides;
        Matrix { rows: self.columns, columns: self.rows, strides: [column, row], ..self }
    }
}

/// `a b`, row after row.
pub(crate) fn product(a: Matrix, b: Matrix) -> Vec<f32> {
    new_product(a, b, Parallelism::None)
}

/// `a b`, row after row, made by all threads together.
pub(crate) fn product_on_all_threads(a: Matrix, b: Matrix) -> Vec<f32> {
    match rayon::current_num_threads() {
        1 => product(a, b),
        threads => new_product(a, b, Parallelism::Rayon(threads)),
    }
}

fn new_product(a: Matrix, b: Matrix, threads: Parallelism) -> Vec<f32> {
    let size = a.rows * b.columns;
    assert!(a.columns > 0, "an empty sum in every place");
    let mut out = Vec::with_capacity(size);
    // SAFETY: the capacity is `size`; without `add` nothing in it is read, and all of it is written, since no sum is
    // empty.
    unsafe {
        gemm(a, b, out.as_mut_ptr(), false, threads);
        out.set_len(size);
    }
    out
}

/// `out = a b`, row after row.
pub(crate) fn multiply(a: Matrix, b: Matrix, out: &mut [f32]) {
    assert_eq!(out.len(), a.rows * b.columns, "size of the product");
    // SAFETY: the size is right, as was just checked.
    unsafe { gemm(a, b, out.as_mut_ptr(), false, Parallelism::None) }
}

/// `out ← out + a b`, row after row.
pub(crate) fn multiply_add(a: Matrix, b: Matrix, out: &mut [f32]) {
    assert_eq!(out.len(), a.rows * b.columns, "size of the product");
    // SAFETY: the size is right, as was just checked, and every number is initialised.
    unsafe { gemm(a, b, out.as_mut_ptr(), true, Parallelism::None) }
}

/// # Safety
/// `out` must be valid for writing `a.rows · b.columns` numbers, and with `add` hold that many.
#[cfg(not(miri))]
unsafe fn gemm(a: Matrix, b: Matrix, out: *mut f32, add: bool, threads: Parallelism) {
    assert_eq!(a.columns, b.rows, "columns of the left matrix, rows of the right one");
    let (m, n, k) = (a.rows, b.columns, a.columns);
    let [a_strides, b_strides] = [a, b].map(|x| x.strides.map(|stride| stride as isize));
    let (keep, times) = (if add { 1.0 } else { 0.0 }, 1.0);
    let (a, b) = (a.data.as_ptr(), b.data.as_ptr());
    // SAFETY: a matrix covers exactly its slice, as its constructor checked, so both are valid for reading with these
    // sizes and strides (none of which overflows an isize, since the slices do not); the caller answers for `out`.
    unsafe {
        // out with its strides (column, row), a, b, then out ← keep · out + times · a b, nothing conjugated
        #[rustfmt::skip]
        gemm::gemm(
            m, n, k,
            out, 1, n as isize, add,
            a, a_strides[1], a_strides[0],
            b, b_strides[1], b_strides[0],
            keep, times,
            false, false, false,
            threads,
        );
    }
}

/// The product by its definition: Miri does not know the instructions by which gemm asks for the sizes of the caches.
///
/// # Safety
/// As above.
#[cfg(miri)]
unsafe fn gemm(a: Matrix, b: Matrix, out: *mut f32, add: bool, _: Parallelism) {
    assert_eq!(a.columns, b.rows, "columns of the left matrix, rows of the right one");
    let at = |x: Matrix, row: usize, column: usize| x.data[row * x.strides[0] + column * x.strides[1]];
    for (row, column) in (0..a.rows).flat_map(|row| (0..b.columns).map(move |column| (row, column))) {
        let sum: f32 = (0..a.columns).map(|k| at(a, row, k) * at(b, k, column)).sum();
        // SAFETY: `row · b.columns + column` is below the number for which the caller answers.
        unsafe {
            let out = out.add(row * b.columns + column);
            out.write(if add { out.read() + sum } else { sum });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_either_way_round() {
        let a = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]; // [2, 3]
        let b = [1.0, 0.0, -1.0, 2.0, 0.5, 1.0]; // [3, 2]
        let mut out = [f32::NAN; 4];
        multiply(Matrix::new(&a, 3), Matrix::new(&b, 2), &mut out);
        assert_eq!(out, [0.5, 7.0, 2.0, 16.0]);
        let mut square = [f32::NAN; 9];
        multiply(Matrix::new(&a, 3).t(), Matrix::new(&a, 3), &mut square); // aᵀ a
        assert_eq!(square, [17.0, 22.0, 27.0, 22.0, 29.0, 36.0, 27.0, 36.0, 45.0]);
        multiply(Matrix::new(&b, 2).t(), Matrix::new(&a, 3).t(), &mut out); // (a b)ᵀ
        assert_eq!(out, [0.5, 2.0, 7.0, 16.0]);
        assert_eq!(product(Matrix::new(&b, 2).t(), Matrix::new(&a, 3).t()), out);
        multiply_add(Matrix::new(&a, 3), Matrix::new(&b, 2), &mut out);
        assert_eq!(out, [1.0, 9.0, 9.0, 32.0]);
    }
}
