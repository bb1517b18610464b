//! Forward passes on an NVIDIA GPU by the kernels of `kernels/`, as custom operations.
//!
//! There are no gradients here: [`accept`] turns down what a variable leads to, and the composed form
//! runs. Each function returns `None` where [`super::launch`] has no kernel for the sizes or types.
//! Without the feature `cuda` no tensor lies on such a device, and nothing here is reached.

#[cfg(feature = "cuda")]
mod driver;

use candle_core::{CpuStorage, CudaStorage, CustomOp1, Error, Layout, Result, Shape, Tensor};

use super::activation::Activation;
use super::launch::{
    self, AttentionShape, ConvShape, Element, Launch, NormShape, Pointwise, RopeShape,
};
use super::norm::Norm;

/// True if the kernels can read these tensors: on a CUDA device, of a type they have, and not led to
/// by a variable.
pub(crate) fn accept(tensors: &[&Tensor]) -> bool {
    tensors
        .iter()
        .all(|t| t.device().is_cuda() && Element::of(t.dtype()).is_some() && !t.track_op())
}

/// A launch whose first slot is the tensor that it is applied to.
#[cfg_attr(
    not(feature = "cuda"),
    expect(dead_code, reason = "only the driver reads all of it")
)]
struct Fused<'a> {
    launch: Launch,
    /// The slots after the first, up to the result.
    others: Vec<Option<&'a Tensor>>,
    /// Of the result, whose type is that of the first slot.
    shape: Shape,
}

impl CustomOp1 for Fused<'_> {
    fn name(&self) -> &'static str {
        self.launch.source
    }

    fn cpu_fwd(&self, _x: &CpuStorage, _layout: &Layout) -> Result<(CpuStorage, Shape)> {
        Err(Error::msg(
            "a CUDA kernel was given a tensor in main memory",
        ))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(&self, x: &CudaStorage, layout: &Layout) -> Result<(CudaStorage, Shape)> {
        let out = driver::run(&self.launch, (x, layout), &self.others, &self.shape)?;
        Ok((out, self.shape.clone()))
    }

    #[cfg(not(feature = "cuda"))]
    fn cuda_fwd(&self, _x: &CudaStorage, _layout: &Layout) -> Result<(CudaStorage, Shape)> {
        Err(Error::msg(
            "this program was built without the feature `cuda`",
        ))
    }
}

/// The tensor contiguous and at the start of 16 bytes.
fn packed(x: &Tensor) -> Result<Tensor> {
    let x = x.contiguous()?;
    let start = x.layout().start_offset() * x.dtype().size_in_bytes();
    if start.is_multiple_of(16) {
        Ok(x)
    } else {
        x.copy()
    }
}

fn run(
    launch: Option<Launch>,
    x: &Tensor,
    others: &[Option<&Tensor>],
    shape: &Shape,
) -> Result<Option<Tensor>> {
    let Some(launch) = launch.filter(|_| shape.elem_count() > 0) else {
        return Ok(None);
    };
    let packed_others = others
        .iter()
        .map(|other| other.map(packed).transpose())
        .collect::<Result<Vec<_>>>()?;
    let op = Fused {
        launch,
        others: packed_others.iter().map(Option::as_ref).collect(),
        shape: shape.clone(),
    };
    packed(x)?.apply_op1_no_bwd(&op).map(Some)
}

/// The element that all these tensors have.
fn common_element(x: &Tensor, others: &[Option<&Tensor>]) -> Option<Element> {
    let same = others.iter().flatten().all(|t| t.dtype() == x.dtype());
    Element::of(x.dtype()).filter(|_| same)
}

/// See [`crate::nn::attention`], whose checks of shapes have been passed.
pub(crate) fn attention(
    q: &Tensor,
    (k, v): (&Tensor, &Tensor),
    scale: f64,
    bias: Option<&Tensor>,
) -> Result<Option<Tensor>> {
    let (rows, queries, heads, width) = q.dims4()?;
    let shape = AttentionShape {
        rows,
        queries,
        keys: k.dim(1)?,
        heads,
        width,
        bias_rows: bias.map(|bias| bias.dim(0)).transpose()?,
    };
    let others = [Some(k), Some(v), bias];
    let launch = common_element(q, &others).and_then(|e| launch::attention(&shape, e, scale));
    run(launch, q, &others, q.shape())
}

/// A norm of the last axis; `weight` and `bias` hold the width for each of equally many rows.
pub(crate) fn norm(
    x: &Tensor,
    op: Norm,
    weight: Option<&Tensor>,
    bias: Option<&Tensor>,
) -> Result<Option<Tensor>> {
    let width = x.dims().last().copied().unwrap_or(0).max(1);
    let rows = x.elem_count() / width;
    let groups = weight.map_or(1, |w| (w.elem_count() / width).max(1));
    let shape = NormShape {
        rows,
        width,
        rows_per_group: rows / groups,
        centred: op.centred,
        eps: op.eps as f32,
        offset: op.offset,
    };
    let of_weight = match weight.or(bias) {
        Some(first) => common_element(first, &[weight, bias]),
        None => Element::of(x.dtype()),
    };
    let launch = Element::of(x.dtype())
        .zip(of_weight)
        .and_then(|(element, weight)| launch::norm(&shape, element, weight));
    run(launch, x, &[weight, bias], x.shape())
}

/// `x + gate * y` with an f32 gate.
pub(crate) fn gated_add(x: &Tensor, y: &Tensor, gate: &Tensor) -> Result<Option<Tensor>> {
    let width = x.dims().last().copied().unwrap_or(0).max(1);
    let rows = x.elem_count() / width;
    let gates = (gate.elem_count() / width).max(1);
    let launch = common_element(x, &[Some(y)])
        .filter(|_| Element::of(gate.dtype()) == Some(Element::F32))
        .and_then(|element| launch::gated_add(rows, width, rows / gates, element));
    run(launch, x, &[Some(y), Some(gate)], x.shape())
}

/// Rotation of `x` `[R, N, A, D]` by f32 tables `[N, D / 2]`.
pub(crate) fn rope(x: &Tensor, cos: &Tensor, sin: &Tensor) -> Result<Option<Tensor>> {
    let (rows, tokens, heads, width) = x.dims4()?;
    let shape = RopeShape {
        rows,
        tokens,
        heads,
        width,
    };
    let launch = Element::of(x.dtype())
        .filter(|_| common_element(cos, &[Some(sin)]) == Some(Element::F32))
        .and_then(|element| launch::rope(&shape, element));
    run(launch, x, &[Some(cos), Some(sin)], x.shape())
}

/// A pointwise function.
pub(crate) fn activate(x: &Tensor, activation: Activation) -> Result<Option<Tensor>> {
    let function = match activation {
        Activation::Silu => Pointwise::Silu,
        Activation::GeluTanh => Pointwise::GeluTanh,
        Activation::GeluErf => Pointwise::GeluErf,
    };
    let launch = Element::of(x.dtype())
        .and_then(|element| launch::activation(function, x.elem_count(), element));
    run(launch, x, &[], x.shape())
}

/// See [`crate::nn::causal_conv3d`].
pub(crate) fn causal_conv3d(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    past: Option<&Tensor>,
) -> Result<Option<Tensor>> {
    let (batch, channels, t, h, w) = x.dims5()?;
    let (outputs, of_weight, taps_t, taps, _taps) = weight.dims5()?;
    let past_frames = past.map_or(Ok(0), |past| past.dim(2))?;
    let fits = of_weight == channels
        && past.is_none_or(|past| past.dims() == [batch, channels, past_frames, h, w])
        && bias.is_none_or(|bias| bias.dims() == [outputs]);
    if !fits {
        candle_core::bail!(
            "causal_conv3d: x is {:?}, weight {:?}",
            x.dims(),
            weight.dims()
        );
    }
    let shape = ConvShape {
        batch,
        channels,
        outputs,
        size: [t, h, w],
        past_frames,
        taps: [taps_t, taps],
    };
    let others = [past.filter(|_| past_frames > 0), Some(weight), bias];
    let launch = common_element(x, &others).and_then(|e| launch::causal_conv3d(&shape, e));
    run(launch, x, &others, &Shape::from((batch, outputs, t, h, w)))
}
