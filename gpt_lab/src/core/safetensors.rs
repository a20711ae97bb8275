//! Safetensors files. The table of contents is in memory, tensors are read one at a time, straight to where they stay.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor, Var};
use rayon::prelude::*;
use safetensors::Dtype;
use safetensors::tensor::{Metadata, TensorInfo};
use serde_json::json;

use super::{Error, Param, Result};

/// The longest header that is believed; the format's own limit.
const MAX_HEADER: u64 = 100_000_000;

/// Number of values that are read at once: their bytes stay in the processor's cache until they are converted.
const VALUES_AT_ONCE: usize = 1 << 16;

/// An open safetensors file.
#[derive(Debug)]
pub(crate) struct WeightFile {
    path: PathBuf,
    file: File,
    /// Offset of the first tensor.
    start: u64,
    contents: Metadata,
    optional_prefix: &'static str,
}

/// The types of numbers that are read.
#[derive(Debug, Clone, Copy)]
enum Float {
    F32,
    F16,
    Bf16,
}

impl WeightFile {
    /// Opens a file and reads its header, which must account for the whole length of the file.
    pub(crate) fn open(path: impl Into<PathBuf>) -> Result<Self> {
        Self::open_at(path.into())
    }

    fn open_at(path: PathBuf) -> Result<Self> {
        let fail = |e| Error::io(&path, "reading", e);
        let mut file = File::open(&path).map_err(fail)?;
        let length = file.metadata().map_err(fail)?.len();
        let damaged = |detail: String| Error::TruncatedFile { path: path.clone(), detail };
        if length < 8 {
            return Err(damaged(format!(
                "{length} bytes, shorter than the 8 bytes that any safetensors file begins with"
            )));
        }
        let mut word = [0; 8];
        file.read_exact(&mut word).map_err(fail)?;
        let header = u64::from_le_bytes(word);
        if header > MAX_HEADER || header > length - 8 {
            return Err(damaged(format!(
                "its first 8 bytes announce a header of {header} bytes, {} follow",
                length - 8
            )));
        }
        let mut text = vec![0; header as usize];
        file.read_exact(&mut text).map_err(fail)?;
        let contents: Metadata =
            serde_json::from_slice(&text).map_err(|e| damaged(format!("its header cannot be read: {e}")))?;
        let start = 8 + header;
        let needed = start.saturating_add(contents.data_len() as u64);
        if needed != length {
            return Err(damaged(format!("its header describes {needed} bytes, the file has {length}")));
        }
        Ok(WeightFile { path, file, start, contents, optional_prefix: "" })
    }

    /// The same file, whose names may lack this prefix.
    pub(crate) fn with_optional_prefix(self, prefix: &'static str) -> Self {
        WeightFile { optional_prefix: prefix, ..self }
    }

    /// Path of the file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The names in the file, in alphabetical order.
    pub(crate) fn names(&self) -> Vec<String> {
        let mut names = self.contents.offset_keys();
        names.sort();
        names
    }

    /// A tensor as f32 on the CPU; it must have this shape and only finite values.
    ///
    /// # Errors
    /// [`Error::MissingTensor`], [`Error::ShapeMismatch`], [`Error::NonFiniteWeight`]; [`Error::InvalidConfig`] for
    /// another type than F32, F16 or BF16.
    pub(crate) fn read(&self, name: &str, expected: &[usize]) -> Result<Tensor> {
        Ok(Tensor::from_vec(self.values(name, expected)?, expected, &Device::Cpu)?)
    }

    /// [`read`](Self::read), as the tensor of a variable: [`Param::new`] takes it over without a copy.
    pub(crate) fn read_variable(&self, name: &str, expected: &[usize]) -> Result<Tensor> {
        Ok(Var::from_vec(self.values(name, expected)?, expected, &Device::Cpu)?.into_inner())
    }

    /// True if the file has a tensor of this name.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.info(name).is_some()
    }

    fn info(&self, name: &str) -> Option<&TensorInfo> {
        let bare = name.strip_prefix(self.optional_prefix).unwrap_or(name);
        self.contents.info(name).or_else(|| self.contents.info(bare))
    }

    fn values(&self, name: &str, expected: &[usize]) -> Result<Vec<f32>> {
        let context = || self.path.display().to_string();
        let Some(info) = self.info(name) else {
            let (path, name) = (self.path.clone(), name.to_string());
            return Err(Error::MissingTensor { path, name, hint: String::new() });
        };
        if info.shape != expected {
            let (name, expected, found) = (name.to_string(), expected.to_vec(), info.shape.clone());
            return Err(Error::ShapeMismatch { context: context(), name, expected, found });
        }
        let Some(float) = Float::of(info.dtype) else {
            let detail = format!("tensor `{name}` is stored as {:?}, expected F32, F16 or BF16", info.dtype);
            return Err(Error::InvalidConfig { context: context(), detail });
        };
        let mut values = vec![0.0; expected.iter().product()];
        let finite = self.fill(&mut values, self.start + info.data_offsets.0 as u64, float)?;
        if finite {
            return Ok(values);
        }
        let bad = |value: &&f32| !value.is_finite();
        let count = values.iter().filter(bad).count();
        let (index, &value) = values.iter().enumerate().find(|(_, value)| bad(value)).expect("one is not finite");
        Err(Error::NonFiniteWeight { context: context(), name: name.to_string(), count, value, index })
    }

    /// Reads values from this place of the file, on all cores. The result is true if all are finite.
    fn fill(&self, values: &mut [f32], from: u64, float: Float) -> Result<bool> {
        let parts = values.par_chunks_mut(VALUES_AT_ONCE).enumerate();
        let finite = parts.map_init(Vec::new, |bytes, (at, part)| {
            bytes.resize(part.len() * float.size(), 0);
            self.file.read_exact_at(bytes, from + (at * VALUES_AT_ONCE * float.size()) as u64)?;
            float.convert(bytes, part);
            Ok(all_finite(part))
        });
        let finite: std::io::Result<Vec<bool>> = finite.collect();
        Ok(finite.map_err(|e| Error::io(&self.path, "reading", e))?.into_iter().all(|finite| finite))
    }
}

impl Float {
    fn of(dtype: Dtype) -> Option<Self> {
        match dtype {
            Dtype::F32 => Some(Float::F32),
            Dtype::F16 => Some(Float::F16),
            Dtype::BF16 => Some(Float::Bf16),
            _ => None,
        }
    }

    /// Bytes a value.
    fn size(self) -> usize {
        match self {
            Float::F32 => 4,
            Float::F16 | Float::Bf16 => 2,
        }
    }

    fn convert(self, bytes: &[u8], values: &mut [f32]) {
        let halves = bytes.chunks_exact(2).map(|b| u16::from_le_bytes([b[0], b[1]]));
        match self {
            Float::F32 => {
                let words = bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]));
                values.iter_mut().zip(words).for_each(|(value, word)| *value = word);
            }
            Float::F16 => values.iter_mut().zip(halves).for_each(|(value, half)| *value = half_to_f32(half)),
            Float::Bf16 => {
                values.iter_mut().zip(halves).for_each(|(value, half)| *value = f32::from_bits(u32::from(half) << 16));
            }
        }
    }
}

/// IEEE 754 half precision: 1 sign, 5 exponent and 10 fraction bits.
fn half_to_f32(bits: u16) -> f32 {
    // With its bits in f32's places the exponent is 127 − 15 too small; the product is exact, for tiny values as well.
    let magnitude = f32::from_bits(u32::from(bits & 0x7fff) << 13) * 2f32.powi(112);
    let all_ones = if magnitude >= 65536.0 { 0x7f80_0000 } else { 0 }; // infinity and NaN
    f32::from_bits(magnitude.to_bits() | all_ones | u32::from(bits & 0x8000) << 16)
}

/// True if no value is NaN or infinite, eight and more at a time: only where all bits of the exponent are one does
/// adding one to it reach the sign bit.
fn all_finite(values: &[f32]) -> bool {
    let seen = values.iter().fold(0, |seen, value| seen | (value.to_bits() & 0x7fff_ffff).wrapping_add(0x0080_0000));
    seen >> 31 == 0
}

/// Parameters in the safetensors format, f32, under their names.
pub(crate) fn to_safetensors(params: &[Param]) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    write_to(&mut bytes, params, Path::new("memory"))?;
    Ok(bytes)
}

/// Writes parameters in the safetensors format and waits until the disk has them; one tensor at a time is held in
/// memory.
pub(crate) fn write_safetensors(path: &Path, params: &[Param]) -> Result<()> {
    let mut file = File::create(path).map_err(|e| Error::io(path, "creating", e))?;
    write_to(&mut file, params, path)?;
    file.sync_all().map_err(|e| Error::io(path, "writing", e))
}

/// The format: the header's length in 8 bytes; the header, which says where each tensor is; the tensors. (The crate
/// `safetensors` would make files that nobody else on the machine may read.)
fn write_to(out: &mut impl Write, params: &[Param], path: &Path) -> Result<()> {
    let params: BTreeMap<&str, &Param> = params.iter().map(|param| (param.name(), param)).collect();
    // transformers refuses files without this mark.
    let mut header = serde_json::Map::from_iter([("__metadata__".to_string(), json!({ "format": "pt" }))]);
    let mut end = 0;
    for (name, param) in &params {
        let begin = end;
        end += 4 * param.count();
        let about = json!({ "dtype": "F32", "shape": param.dims(), "data_offsets": [begin, end] });
        header.insert(name.to_string(), about);
    }
    let mut header = serde_json::Value::Object(header).to_string();
    header.push_str(&" ".repeat(header.len().next_multiple_of(8) - header.len())); // tensors begin at a multiple of 8
    let io = |e| Error::io(path, "writing", e);
    out.write_all(&(header.len() as u64).to_le_bytes()).and_then(|()| out.write_all(header.as_bytes())).map_err(io)?;
    for param in params.values() {
        let values: Vec<f32> = param.var().flatten_all()?.to_dtype(DType::F32)?.to_vec1()?;
        let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        out.write_all(&bytes).map_err(io)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_are_read_exactly() {
        let cases = [
            (0x3c00, 1.0),
            (0xc000, -2.0),
            (0x0001, 2f32.powi(-24)),
            (0x83ff, -1023.0 * 2f32.powi(-24)),
            (0x7bff, 65504.0),
            (0x3555, 0.333_251_95),
            (0x0000, 0.0),
        ];
        for (bits, value) in cases {
            assert_eq!(half_to_f32(bits), value, "{bits:#06x}");
        }
        assert_eq!(half_to_f32(0xfc00), f32::NEG_INFINITY);
        assert!(half_to_f32(0x7c01).is_nan());
        let mut one = [0.0];
        Float::Bf16.convert(&[0x80, 0x3f], &mut one);
        assert_eq!(one, [1.0]);
        assert!(Float::of(Dtype::I64).is_none());
    }

    #[test]
    fn whatever_is_not_finite_is_seen() {
        let good = [0.0, -0.0, f32::MAX, f32::MIN, f32::MIN_POSITIVE, 1e-45, -1.0];
        assert!(all_finite(&good) && all_finite(&[]));
        for bad in [f32::NAN, -f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::from_bits(0x7f80_0001)] {
            for at in 0..good.len() {
                let mut values = good;
                values[at] = bad;
                assert!(!all_finite(&values), "{bad} at {at}");
            }
        }
    }

    #[test]
    fn long_tensors_are_read_in_parts_and_faults_in_any_part_are_named() {
        let folder = std::env::temp_dir().join(format!("gpt_lab-weight-file-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("model.safetensors");
        let n = 3 * VALUES_AT_ONCE + 5;
        let mut values: Vec<f32> = (0..n).map(|i| i as f32 * 0.5 - 7.0).collect();
        let param = |values: &[f32]| {
            Param::new("transformer.x", &Tensor::from_slice(values, (n,), &Device::Cpu).unwrap()).unwrap()
        };
        write_safetensors(&path, &[param(&values)]).unwrap();
        let read: Vec<f32> = WeightFile::open(&path).unwrap().read("transformer.x", &[n]).unwrap().to_vec1().unwrap();
        assert_eq!(read, values);
        values[n - 2] = f32::INFINITY;
        values[n - 1] = f32::NAN;
        write_safetensors(&path, &[param(&values)]).unwrap();
        // Others may read it where they may read other files of the user.
        std::fs::write(folder.join("other"), "").unwrap();
        let mode = |path: &Path| std::os::unix::fs::PermissionsExt::mode(&path.metadata().unwrap().permissions());
        assert_eq!(mode(&path), mode(&folder.join("other")));
        let error = WeightFile::open(&path).unwrap().read("transformer.x", &[n]).unwrap_err();
        let expected = n - 2;
        assert!(matches!(error, Error::NonFiniteWeight { count: 2, index, .. } if index == expected), "{error}");
        std::fs::remove_dir_all(folder).unwrap();
    }
}
