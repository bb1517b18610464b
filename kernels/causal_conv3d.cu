// Causal convolution over time and space as one matrix product whose second factor is never written
// down; reference: engine/src/kernels/causal_conv3d.rs.
//
// x [B, C, T, H, W], past [B, C, P, H, W] or none, weight [O, C, kt, k, k], bias [O] or none,
// y [B, O, T, H, W]. Rows of the product are outputs, columns are positions (t, h, w), and the sum runs
// over (c, dt, dh, dw) in the order in which the weight lies. A block computes a tile of outputs and
// positions; the next part of the sum is read into registers while the present one is multiplied.
#include "device.cuh"

struct Shape {
    i64 channels, outputs, frames, height, width, past_frames;
    int taps_t, taps;

    DEVICE i64 plane() const { return height * width; }
    DEVICE i64 positions() const { return frames * plane(); }
    DEVICE i64 terms() const { return channels * taps_t * taps * taps; }
};

// Reads what a position sees, one term of the sum after the other.
template <typename T>
struct Reader {
    const T *x, *past; // of this batch row
    int t, h, w;       // the first that the position sees
    bool there;

    DEVICE Reader(const T *x, const T *past, const Shape &shape, i64 batch, i64 position)
        : x(x + batch * shape.channels * shape.positions()),
          past(past == nullptr ? nullptr
                               : past + batch * shape.channels * shape.past_frames * shape.plane()),
          there(position < shape.positions()) {
        t = static_cast<int>(position / shape.plane()) - (shape.taps_t - 1);
        h = static_cast<int>(position / shape.width % shape.height) - shape.taps / 2;
        w = static_cast<int>(position % shape.width) - shape.taps / 2;
    }

    // Terms `first .. first + COUNT`; zeros beyond the clip and beyond the last term.
    template <int COUNT>
    DEVICE void read(T (&values)[COUNT], i64 first, const Shape &shape) const {
        int dw = static_cast<int>(first % shape.taps);
        int dh = static_cast<int>(first / shape.taps % shape.taps);
        int dt = static_cast<int>(first / (shape.taps * shape.taps) % shape.taps_t);
        int channel = static_cast<int>(first / (shape.taps * shape.taps * shape.taps_t));
#pragma unroll
        for (int i = 0; i < COUNT; ++i) {
            values[i] = channel < shape.channels ? at(channel, t + dt, h + dh, w + dw, shape)
                                                 : narrowed<T>(0.0f);
            if (++dw == shape.taps) {
                dw = 0;
                if (++dh == shape.taps) {
                    dh = 0;
                    if (++dt == shape.taps_t) {
                        dt = 0;
                        ++channel;
                    }
                }
            }
        }
    }

    DEVICE T at(int channel, int t, int h, int w, const Shape &shape) const {
        const bool inside = there && h >= 0 && h < shape.height && w >= 0 && w < shape.width;
        const i64 pixel = h * shape.width + w;
        if (inside && t >= 0) {
            return x[(channel * shape.frames + t) * shape.plane() + pixel];
        }
        const i64 before = t + shape.past_frames;
        if (inside && past != nullptr && before >= 0) {
            return past[(channel * shape.past_frames + before) * shape.plane() + pixel];
        }
        return narrowed<T>(0.0f);
    }
};

// Terms `first .. first + COUNT` of one output; zeros beyond the last of either.
template <int COUNT, typename T>
DEVICE void read_weights(T (&values)[COUNT], const T *weight, i64 output, i64 first,
                         const Shape &shape) {
    const i64 terms = shape.terms();
    const T *from = weight + output * terms + first;
#pragma unroll
    for (int i = 0; i < COUNT; ++i) {
        const bool there = output < shape.outputs && first + i < terms;
        values[i] = there ? from[i] : narrowed<T>(0.0f);
    }
}

template <typename T>
DEVICE void write(T *y, const T *bias, const Shape &shape, i64 batch, i64 output, i64 position,
                  float sum) {
    if (output < shape.outputs && position < shape.positions()) {
        const float level = bias == nullptr ? 0.0f : widen(bias[output]);
        y[(batch * shape.outputs + output) * shape.positions() + position] =
            narrowed<T>(sum + level);
    }
}

constexpr int THREADS = 256;

// ---- Tensor cores: 16-bit values, f32 sums ---------------------------------------------------------

constexpr int MMA_OUTPUTS = 64;
constexpr int MMA_POSITIONS = 128;
constexpr int MMA_TERMS = 32;
// Rows in shared memory are further apart than they are long, so that eight lie in different banks.
constexpr int WEIGHT_ROW = MMA_TERMS + 8;
constexpr int POSITION_ROW = MMA_POSITIONS + 8;
// Eight warps, two along the outputs and four along the positions, with 32 of each.
constexpr int SIDE = 32;

template <typename T>
DEVICE void convolve_mma(const T *x, const T *past, const T *weight, const T *bias, T *y,
                         const Shape &shape) {
    T *weights = reinterpret_cast<T *>(shared_memory()); // [outputs, terms]
    T *seen = weights + MMA_OUTPUTS * WEIGHT_ROW;        // [terms, positions]
    const int thread = threadIdx.x, lane = thread % 32, warp = thread / 32;
    const i64 batch = blockIdx.z, first_output = static_cast<i64>(blockIdx.y) * MMA_OUTPUTS;
    const i64 first_position = static_cast<i64>(blockIdx.x) * MMA_POSITIONS;
    // A thread reads 8 terms of one output and 16 of one position.
    const int output = thread / 4, weight_term = thread % 4 * 8;
    const int position = thread % MMA_POSITIONS, seen_term = thread / MMA_POSITIONS * 16;
    const Reader<T> reader(x, past, shape, batch, first_position + position);
    const int row = warp / 4 * SIDE, column = warp % 4 * SIDE;

    float sums[2][4][4] = {};
    T next_weights[8], next_seen[16];
    read_weights(next_weights, weight, first_output + output, weight_term, shape);
    reader.read(next_seen, seen_term, shape);
    for (i64 first = 0; first < shape.terms(); first += MMA_TERMS) {
        __syncthreads(); // the part before is used up
#pragma unroll
        for (int i = 0; i < 8; ++i) {
            weights[output * WEIGHT_ROW + weight_term + i] = next_weights[i];
        }
#pragma unroll
        for (int i = 0; i < 16; ++i) {
            seen[(seen_term + i) * POSITION_ROW + position] = next_seen[i];
        }
        __syncthreads();
        if (first + MMA_TERMS < shape.terms()) {
            read_weights(next_weights, weight, first_output + output,
                         first + MMA_TERMS + weight_term, shape);
            reader.read(next_seen, first + MMA_TERMS + seen_term, shape);
        }
#pragma unroll
        for (int step = 0; step < MMA_TERMS; step += 16) {
            uint32_t a[2][4];
#pragma unroll
            for (int i = 0; i < 2; ++i) {
                load_matrices(a[i], weights + (row + i * 16 + lane % 16) * WEIGHT_ROW + step +
                                        lane / 16 * 8);
            }
#pragma unroll
            for (int j = 0; j < 4; j += 2) {
                uint32_t b[4];
                load_matrices_transposed(b, seen + (step + lane % 16) * POSITION_ROW + column +
                                                (j + lane / 16) * 8);
#pragma unroll
                for (int i = 0; i < 2; ++i) {
                    multiply(sums[i][j], a[i], b[0], b[1], T());
                    multiply(sums[i][j + 1], a[i], b[2], b[3], T());
                }
            }
        }
    }
#pragma unroll
    for (int i = 0; i < 2; ++i) {
#pragma unroll
        for (int j = 0; j < 4; ++j) {
#pragma unroll
            for (int part = 0; part < 4; ++part) {
                const i64 o = first_output + row + i * 16 + lane / 4 + part / 2 * 8;
                const i64 p = first_position + column + j * 8 + lane % 4 * 2 + part % 2;
                write(y, bias, shape, batch, o, p, sums[i][j][part]);
            }
        }
    }
}

// ---- Plain multiply-adds: f32 ----------------------------------------------------------------------

constexpr int PLAIN_OUTPUTS = 64;
constexpr int PLAIN_POSITIONS = 64;
constexpr int PLAIN_TERMS = 16;
constexpr int EACH = 4;

// A thread sums EACH outputs, 16 apart, at EACH positions, 16 apart.
DEVICE void convolve_plain(const float *x, const float *past, const float *weight, const float *bias,
                           float *y, const Shape &shape) {
    float *weights = reinterpret_cast<float *>(shared_memory());       // [terms, outputs + 1]
    float *seen = weights + PLAIN_TERMS * (PLAIN_OUTPUTS + 1);         // [terms, positions]
    const int thread = threadIdx.x, down = thread / 16, across = thread % 16;
    const i64 batch = blockIdx.z, first_output = static_cast<i64>(blockIdx.y) * PLAIN_OUTPUTS;
    const i64 first_position = static_cast<i64>(blockIdx.x) * PLAIN_POSITIONS;
    const int output = thread / 4, weight_term = thread % 4 * EACH;
    const int position = thread % PLAIN_POSITIONS, seen_term = thread / PLAIN_POSITIONS * EACH;
    const Reader<float> reader(x, past, shape, batch, first_position + position);

    float sums[EACH][EACH] = {};
    float next_weights[EACH], next_seen[EACH];
    read_weights(next_weights, weight, first_output + output, weight_term, shape);
    reader.read(next_seen, seen_term, shape);
    for (i64 first = 0; first < shape.terms(); first += PLAIN_TERMS) {
        __syncthreads(); // the part before is used up
#pragma unroll
        for (int i = 0; i < EACH; ++i) {
            weights[(weight_term + i) * (PLAIN_OUTPUTS + 1) + output] = next_weights[i];
            seen[(seen_term + i) * PLAIN_POSITIONS + position] = next_seen[i];
        }
        __syncthreads();
        if (first + PLAIN_TERMS < shape.terms()) {
            read_weights(next_weights, weight, first_output + output,
                         first + PLAIN_TERMS + weight_term, shape);
            reader.read(next_seen, first + PLAIN_TERMS + seen_term, shape);
        }
#pragma unroll
        for (int term = 0; term < PLAIN_TERMS; ++term) {
#pragma unroll
            for (int i = 0; i < EACH; ++i) {
                const float factor = weights[term * (PLAIN_OUTPUTS + 1) + down + i * 16];
#pragma unroll
                for (int j = 0; j < EACH; ++j) {
                    sums[i][j] = fmaf(factor, seen[term * PLAIN_POSITIONS + across + j * 16],
                                      sums[i][j]);
                }
            }
        }
    }
#pragma unroll
    for (int i = 0; i < EACH; ++i) {
#pragma unroll
        for (int j = 0; j < EACH; ++j) {
            write(y, bias, shape, batch, first_output + down + i * 16,
                  first_position + across + j * 16, sums[i][j]);
        }
    }
}

#define CAUSAL_CONV3D(name, how, T)                                                                 \
    KERNEL(name, THREADS, const T *x, const T *past, const T *weight, const T *bias, T *y,          \
           i64 channels, i64 outputs, i64 frames, i64 height, i64 width, i64 past_frames,           \
           i64 taps_t, i64 taps) {                                                                  \
        const Shape shape = {channels,    outputs,                                                  \
                             frames,      height,                                                   \
                             width,       past_frames,                                              \
                             static_cast<int>(taps_t), static_cast<int>(taps)};                     \
        how(x, past, weight, bias, y, shape);                                                       \
    }

CAUSAL_CONV3D(causal_conv3d_f32, convolve_plain, float)
CAUSAL_CONV3D(causal_conv3d_bf16, convolve_mma<bf16>, bf16)
CAUSAL_CONV3D(causal_conv3d_f16, convolve_mma<f16>, f16)
