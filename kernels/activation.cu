// Pointwise activations; reference: engine/src/kernels/activation.rs.
#include "device.cuh"

constexpr int THREADS = 256;

struct Silu {
    static DEVICE float of(float x) { return x / (1.0f + expf(-x)); }
};

// x sigmoid(2 sqrt(2 / pi) (x + 0.044715 x^3)), which is GELU's tanh approximation.
struct GeluTanh {
    static DEVICE float of(float x) {
        return x / (1.0f + expf(-1.5957691f * fmaf(0.044715f * x * x, x, x)));
    }
};

struct GeluErf {
    static DEVICE float of(float x) { return 0.5f * x * erfcf(-0.70710678f * x); }
};

// `count` values, a pack of 16 bytes a thread; the last thread takes what is left over.
template <typename F, typename T>
DEVICE void map(const T *x, T *y, i64 count) {
    constexpr int N = Wide<T>::COUNT;
    typedef typename Wide<T>::Type Values;
    const i64 first = (static_cast<i64>(blockIdx.x) * THREADS + threadIdx.x) * N;
    if (first >= count) {
        return;
    }
    if (first + N <= count && aligned(x, y)) {
        Values values = *reinterpret_cast<const Values *>(x + first);
#pragma unroll
        for (int i = 0; i < N; ++i) {
            values.at[i] = narrowed<T>(F::of(widen(values.at[i])));
        }
        *reinterpret_cast<Values *>(y + first) = values;
        return;
    }
    for (i64 i = first; i < count && i < first + N; ++i) {
        y[i] = narrowed<T>(F::of(widen(x[i])));
    }
}

#define ACTIVATION(function, name, T) \
    KERNEL(name, THREADS, const T *x, T *y, i64 count) { map<function, T>(x, y, count); }

ACTIVATION(Silu, silu_f32, float)
ACTIVATION(Silu, silu_bf16, bf16)
ACTIVATION(Silu, silu_f16, f16)
ACTIVATION(GeluTanh, gelu_tanh_f32, float)
ACTIVATION(GeluTanh, gelu_tanh_bf16, bf16)
ACTIVATION(GeluTanh, gelu_tanh_f16, f16)
ACTIVATION(GeluErf, gelu_erf_f32, float)
ACTIVATION(GeluErf, gelu_erf_bf16, bf16)
ACTIVATION(GeluErf, gelu_erf_f16, f16)
