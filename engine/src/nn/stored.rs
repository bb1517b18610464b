//! The weight of a frozen linear layer, in the form in which memory holds it.

use std::sync::Arc;

use candle_core::quantized::{GgmlDType, GgmlType, QMatMul, QTensor, k_quants as blocks};
use candle_core::{DType, Device, Module as _, Tensor};
use serde::{Deserialize, Serialize};

use super::linear;
use crate::kernels::stored_linear::{StoredLinear, StoredRows};
use crate::kernels::{self};
use crate::weight_files::Float8;
use crate::{Error, Result};

/// How the weights of the linear layers of a network's blocks are held in memory.
///
/// Layers whose width is no whole number of a form's blocks are held in bf16.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WeightForm {
    /// The network's own type: f32 on the CPU.
    #[default]
    Plain,
    /// bf16, two bytes a weight.
    Bf16,
    /// As the file has them: blocks of GGUF, 8-bit floats, bf16 (also for f16), f32.
    Stored,
    /// Blocks of 32 eight-bit integers with a scale, 1.06 bytes a weight; rounded at load.
    Q8_0,
    /// Blocks of 256 four-bit integers, 0.56 bytes a weight; rounded at load.
    Q4K,
}

impl WeightForm {
    /// Name for people.
    pub fn label(self) -> &'static str {
        match self {
            Self::Plain => "full precision",
            Self::Bf16 => "bf16",
            Self::Stored => "as stored",
            Self::Q8_0 => "Q8_0",
            Self::Q4K => "Q4_K",
        }
    }

    /// The block type that weights are rounded to, where there is one.
    fn rounded(self) -> Option<GgmlDType> {
        match self {
            Self::Q8_0 => Some(GgmlDType::Q8_0),
            Self::Q4K => Some(GgmlDType::Q4K),
            Self::Plain | Self::Bf16 | Self::Stored => None,
        }
    }

    /// Bytes of a matrix `[O, I]` whose network holds `plain_bytes` a value; `None` for
    /// [`Self::Stored`], where the file decides.
    pub fn held_bytes(self, [outputs, inputs]: [usize; 2], plain_bytes: u64) -> Option<u64> {
        let count = (outputs * inputs) as u64;
        Some(match self {
            Self::Plain => count * plain_bytes,
            Self::Bf16 => 2 * count,
            Self::Stored => return None,
            Self::Q8_0 | Self::Q4K => match self.rounded() {
                Some(kind) if inputs.is_multiple_of(kind.block_size()) => {
                    count / kind.block_size() as u64 * kind.type_size() as u64
                }
                _ => 2 * count,
            },
        })
    }
}

/// A matrix `[O, I]` that is widened only while it is used.
pub enum StoredMatrix {
    /// Blocks of integers with scales.
    Blocks(Arc<QTensor>),
    /// 8-bit floats with scales.
    Float8(Float8),
}

/// A weight `[O, I]`.
#[derive(Clone)]
pub enum LinearWeight {
    /// f32, bf16 or f16.
    Tensor(Tensor),
    /// Narrower than a tensor can be.
    Stored(Arc<StoredMatrix>),
}

impl std::fmt::Debug for LinearWeight {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tensor(tensor) => write!(f, "{tensor:?}"),
            Self::Stored(matrix) => write!(f, "{} of {:?}", matrix.name(), matrix.dims()),
        }
    }
}

impl From<Tensor> for LinearWeight {
    fn from(tensor: Tensor) -> Self {
        Self::Tensor(tensor)
    }
}

impl LinearWeight {
    /// Rounds a matrix to a form.
    ///
    /// # Errors
    /// [`Error::Tensor`] if it is no matrix.
    pub fn rounded(tensor: &Tensor, form: WeightForm) -> Result<Self> {
        let (_outputs, inputs) = tensor.dims2()?;
        Ok(match (form, form.rounded()) {
            (_, Some(kind)) if inputs.is_multiple_of(kind.block_size()) => {
                let blocks = QTensor::quantize(tensor, kind)?;
                Self::Stored(Arc::new(StoredMatrix::Blocks(Arc::new(blocks))))
            }
            (WeightForm::Bf16, _) | (_, Some(_)) => Self::Tensor(tensor.to_dtype(DType::BF16)?),
            (WeightForm::Plain | WeightForm::Stored | WeightForm::Q8_0 | WeightForm::Q4K, None) => {
                Self::Tensor(tensor.clone())
            }
        })
    }

    /// `(O, I)`.
    pub fn dims(&self) -> Result<(usize, usize)> {
        match self {
            Self::Tensor(tensor) => Ok(tensor.dims2()?),
            Self::Stored(matrix) => Ok(matrix.dims()),
        }
    }

    /// Bytes in memory.
    pub fn held_bytes(&self) -> u64 {
        match self {
            Self::Tensor(tensor) => (tensor.elem_count() * tensor.dtype().size_in_bytes()) as u64,
            Self::Stored(matrix) => match &**matrix {
                StoredMatrix::Blocks(blocks) => blocks.storage_size_in_bytes() as u64,
                StoredMatrix::Float8(floats) => {
                    (floats.bytes.len() + 4 * floats.scales.len()) as u64
                }
            },
        }
    }

    /// The same weight, no longer a variable.
    pub fn detach(&self) -> Self {
        match self {
            Self::Tensor(tensor) => Self::Tensor(tensor.detach()),
            Self::Stored(matrix) => Self::Stored(Arc::clone(matrix)),
        }
    }

    /// `x W^T + b`. Only f32 weights have a gradient.
    ///
    /// # Shapes
    /// - `x`: `[.., I]`, `bias`: `[O]`; returns `[.., O]`
    pub fn forward(&self, x: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
        let matrix = match self {
            Self::Tensor(weight) => return linear(x, weight, bias),
            Self::Stored(matrix) => matrix,
        };
        let (outputs, inputs) = matrix.dims();
        if x.dims().last() != Some(&inputs) {
            let required = format!("[.., {inputs}]");
            return Err(Error::shape("input of a linear map", required, x.dims()));
        }
        if x.device().is_cpu() {
            return stored_linear(x, Arc::clone(matrix) as Arc<dyn StoredRows>, bias);
        }
        let StoredMatrix::Blocks(blocks) = &**matrix else {
            return Err(Error::invalid(
                format!("8-bit floats {outputs} x {inputs}"),
                "are multiplied on the CPU only",
            ));
        };
        let y = QMatMul::from_arc(Arc::clone(blocks))?.forward(&x.contiguous()?)?;
        Ok(match bias {
            Some(bias) => y.broadcast_add(&bias.to_dtype(y.dtype())?)?,
            None => y,
        })
    }

    /// The rows for a fused kernel of the CPU; `None` for f32, which needs no widening.
    pub(super) fn rows(&self) -> Option<Arc<dyn StoredRows>> {
        match self {
            Self::Tensor(tensor) => half_rows(tensor),
            Self::Stored(matrix) => Some(Arc::clone(matrix) as Arc<dyn StoredRows>),
        }
    }
}

/// `x W^T + b` for stored rows, computed from f32 and given back in the type of `x`.
fn stored_linear(x: &Tensor, weight: Arc<dyn StoredRows>, bias: Option<&Tensor>) -> Result<Tensor> {
    let wide = |tensor: &Tensor| tensor.to_dtype(DType::F32)?.contiguous();
    let op = StoredLinear {
        weight,
        bias: bias.map(wide).transpose()?,
    };
    Ok(wide(x)?.apply_op1(op)?.to_dtype(x.dtype())?)
}

/// A bf16 matrix in main memory as rows.
fn half_rows(weight: &Tensor) -> Option<Arc<dyn StoredRows>> {
    let takes = weight.dtype() == DType::BF16 && weight.device().is_cpu() && weight.rank() == 2;
    takes.then(|| Arc::new(HalfRows(weight.clone())) as Arc<dyn StoredRows>)
}

/// [`linear()`] of bf16 weights on the CPU; `None` where the weights are others.
pub(super) fn half_linear(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
) -> Result<Option<Tensor>> {
    if weight.dtype() != DType::BF16 || !weight.device().is_cpu() {
        return Ok(None);
    }
    if x.track_op() || weight.track_op() || bias.is_some_and(Tensor::track_op) {
        // The kernel has no gradient; the wide weight has.
        let weight = weight.to_dtype(DType::F32)?;
        let bias = bias.map(|bias| bias.to_dtype(DType::F32)).transpose()?;
        let y = linear(&x.to_dtype(DType::F32)?, &weight, bias.as_ref())?;
        return Ok(Some(y.to_dtype(x.dtype())?));
    }
    match half_rows(&weight.contiguous()?) {
        Some(rows) => Ok(Some(stored_linear(x, rows, bias)?)),
        None => Ok(None),
    }
}

/// A contiguous bf16 tensor `[O, I]`.
struct HalfRows(Tensor);

impl StoredRows for HalfRows {
    fn dims(&self) -> (usize, usize) {
        self.0.dims2().unwrap_or_default()
    }

    fn widen(&self, output: usize, row: &mut [f32]) -> candle_core::Result<()> {
        kernels::with_bf16(&self.0, |values| {
            let values = &values[output * row.len()..][..row.len()];
            for (wide, value) in row.iter_mut().zip(values) {
                *wide = value.to_f32();
            }
        })
    }
}

impl StoredMatrix {
    fn name(&self) -> String {
        match self {
            Self::Blocks(blocks) => format!("{:?}", blocks.dtype()),
            Self::Float8(_) => "F8_E4M3".to_owned(),
        }
    }

    /// Where the values lie.
    pub fn device(&self) -> Device {
        match self {
            Self::Blocks(blocks) => blocks.device(),
            Self::Float8(_) => Device::Cpu,
        }
    }
}

impl StoredRows for StoredMatrix {
    fn dims(&self) -> (usize, usize) {
        match self {
            Self::Blocks(blocks) => blocks.shape().dims2().unwrap_or_default(),
            Self::Float8(floats) => floats.dims,
        }
    }

    fn widen(&self, output: usize, row: &mut [f32]) -> candle_core::Result<()> {
        match self {
            Self::Blocks(matrix) => widen_blocks(matrix, output, row),
            Self::Float8(floats) => {
                floats.widen(output, row);
                Ok(())
            }
        }
    }
}

fn widen_blocks(matrix: &QTensor, output: usize, row: &mut [f32]) -> candle_core::Result<()> {
    let kind = matrix.dtype();
    let bytes = row.len() / kind.block_size() * kind.type_size();
    let data = matrix.data()?;
    let Some(data) = data.get(output * bytes..(output + 1) * bytes) else {
        candle_core::bail!("row {output} of {:?}", matrix.shape());
    };
    match kind {
        GgmlDType::Q4_0 => widen_as::<blocks::BlockQ4_0>(data, row),
        GgmlDType::Q4_1 => widen_as::<blocks::BlockQ4_1>(data, row),
        GgmlDType::Q5_0 => widen_as::<blocks::BlockQ5_0>(data, row),
        GgmlDType::Q5_1 => widen_as::<blocks::BlockQ5_1>(data, row),
        GgmlDType::Q8_0 => widen_as::<blocks::BlockQ8_0>(data, row),
        GgmlDType::Q2K => widen_as::<blocks::BlockQ2K>(data, row),
        GgmlDType::Q3K => widen_as::<blocks::BlockQ3K>(data, row),
        GgmlDType::Q4K => widen_as::<blocks::BlockQ4K>(data, row),
        GgmlDType::Q5K => widen_as::<blocks::BlockQ5K>(data, row),
        GgmlDType::Q6K => widen_as::<blocks::BlockQ6K>(data, row),
        other => candle_core::bail!("blocks of type {other:?} are not multiplied"),
    }
}

fn widen_as<B: GgmlType>(data: &[u8], row: &mut [f32]) -> candle_core::Result<()> {
    #[expect(
        unsafe_code,
        reason = "blocks are plain bytes behind candle's own types"
    )]
    // SAFETY: the block types are `repr(C)` integers and half floats, for which every bit pattern is
    // a value; `align_to` keeps what is not aligned out of the middle.
    let (before, whole, after) = unsafe { data.align_to::<B>() };
    if !before.is_empty() || !after.is_empty() || whole.len() * B::BLCK_SIZE != row.len() {
        candle_core::bail!("a row of {} values is no whole number of blocks", row.len());
    }
    B::to_float(whole, row);
    Ok(())
}
