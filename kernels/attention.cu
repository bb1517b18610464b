// Attention that never holds the scores; reference: engine/src/kernels/attention.rs.
//
// q [R, N, A, D], k and v [R, M, A, D], bias [1 or R, A, N, M] or none, out [R, N, A, D]. A block takes
// a tile of queries of one head past all keys; each tile of keys rescales what the earlier ones gave
// (Milakov and Gimelshein, https://arxiv.org/abs/1805.02867). Peaks are kept in units of unscaled
// scores, so the scale, which must be positive, and the base of the exponential cost one multiply-add.
#include "device.cuh"

constexpr float LOG2_E = 1.44269504f;

struct Shape {
    i64 queries, keys, heads, width, bias_rows;
    float scale;
};

// Rows of a tile that exist.
DEVICE int rows_left(i64 left, int rows) { return left < rows ? static_cast<int>(left) : rows; }

// Where this block's head starts in a tensor [R, tokens, A, D].
DEVICE i64 head_offset(i64 tokens, const Shape &shape) {
    return (static_cast<i64>(blockIdx.z) * tokens * shape.heads + blockIdx.y) * shape.width;
}

// One head: where its first query, key and bias lie. `stride` leads from token to token.
template <typename T>
struct Head {
    const T *q, *k, *v, *bias;
    int stride;

    DEVICE Head(const T *q, const T *k, const T *v, const T *bias, const Shape &shape)
        : bias(nullptr), stride(static_cast<int>(shape.heads * shape.width)) {
        const i64 head = blockIdx.y, row = blockIdx.z;
        const i64 of_keys = head_offset(shape.keys, shape);
        this->q = q + head_offset(shape.queries, shape);
        this->k = k + of_keys;
        this->v = v + of_keys;
        if (bias != nullptr) {
            const i64 of_bias = (row % shape.bias_rows) * shape.heads + head;
            this->bias = bias + of_bias * shape.queries * shape.keys;
        }
    }
};

// What the keys seen so far give for a query.
struct Running {
    float peak, total;

    // Takes the highest score of a tile. `level` is what scaled scores are lowered by, the result the
    // factor of everything gathered before. A query that only sees masked keys has no peak.
    DEVICE float rise(float here, float scale, float &level) {
        const float highest = fmaxf(peak, here);
        level = highest == minus_infinity() ? 0.0f : highest * scale;
        const float kept = exp2_fast(peak * scale - level);
        peak = highest;
        return kept;
    }
};

// ---- Tensor cores: 16-bit values, f32 sums ---------------------------------------------------------

constexpr int MMA_THREADS = 128;
constexpr int MMA_WARPS = MMA_THREADS / 32;
constexpr int MMA_KEYS = 64;
// Query tiles of 16 rows a warp.
constexpr int TILES = 2;
constexpr int MMA_QUERIES = MMA_WARPS * TILES * 16;

// A tile of rows of `D` values in shared memory, in packs of 16 bytes whose order within a row is
// turned by the row, so that eight rows of one column lie in different banks.
template <typename T, int D>
struct Tile {
    static constexpr int PACKS = D / 8;
    T *data;

    DEVICE T *at(int row, int pack) const { return data + (row * PACKS + (pack ^ (row & 7))) * 8; }

    // Starts to copy `ROWS` rows from `first`; what lies outside of `total` or `width` becomes zero.
    // Every thread keeps to one column of packs and to rows whose turn is the same.
    template <int ROWS>
    DEVICE void fetch(const T *from, i64 first, i64 total, int stride, int width) const {
        constexpr int STEP = MMA_THREADS / PACKS;
        static_assert(STEP % 8 == 0 && ROWS % STEP == 0, "rows of a thread are turned alike");
        const int row = threadIdx.x / PACKS, pack = threadIdx.x % PACKS;
        const int rows = pack * 8 < width ? rows_left(total - first, ROWS) : 0;
        const T *source = from + (first + row) * stride + pack * 8;
        T *to = at(row, pack);
#pragma unroll
        for (int i = 0; i < ROWS; i += STEP) {
            const bool there = row + i < rows;
            copy_async(to + i * D, there ? source : from, there ? 16 : 0);
            source += STEP * stride;
        }
    }
};

// Scores of a warp: q k^T for its query tiles and all keys of the tile.
template <typename T, int D>
DEVICE void multiply_scores(float (&scores)[TILES][MMA_KEYS / 8][4], const Tile<T, D> &queries,
                            const Tile<T, D> &keys, int first_row) {
    const int lane = threadIdx.x % 32;
#pragma unroll
    for (int tile = 0; tile < TILES; ++tile) {
#pragma unroll
        for (int key = 0; key < MMA_KEYS / 8; ++key) {
#pragma unroll
            for (int i = 0; i < 4; ++i) {
                scores[tile][key][i] = 0.0f;
            }
        }
    }
#pragma unroll 2 // unrolled more, the addresses of all steps would not fit into registers
    for (int step = 0; step < D / 16; ++step) {
        uint32_t a[TILES][4];
#pragma unroll
        for (int tile = 0; tile < TILES; ++tile) {
            load_matrices(a[tile],
                          queries.at(first_row + tile * 16 + lane % 16, step * 2 + lane / 16));
        }
#pragma unroll
        for (int key = 0; key < MMA_KEYS / 8; key += 2) {
            uint32_t b[4]; // two groups of eight keys, then the same in the next pack
            load_matrices(b, keys.at(key * 8 + lane % 16, step * 2 + lane / 16));
#pragma unroll
            for (int tile = 0; tile < TILES; ++tile) {
                multiply(scores[tile][key], a[tile], b[0], b[2], T());
                multiply(scores[tile][key + 1], a[tile], b[1], b[3], T());
            }
        }
    }
}

// Adds the weighted values of a tile.
template <typename T, int D>
DEVICE void add_values(float (&sums)[TILES][D / 8][4], const float (&weights)[TILES][MMA_KEYS / 8][4],
                       const Tile<T, D> &values) {
    const int lane = threadIdx.x % 32;
#pragma unroll
    for (int step = 0; step < MMA_KEYS / 16; ++step) {
        uint32_t a[TILES][4]; // how a product lies in registers is how the next takes its factor
#pragma unroll
        for (int tile = 0; tile < TILES; ++tile) {
#pragma unroll
            for (int i = 0; i < 4; ++i) {
                const float *pair = &weights[tile][step * 2 + i / 2][i % 2 * 2];
                a[tile][i] = pack(pair[0], pair[1], T());
            }
        }
#pragma unroll
        for (int column = 0; column < D / 8; column += 2) {
            uint32_t b[4];
            load_matrices_transposed(b, values.at(step * 16 + lane % 16, column + lane / 16));
#pragma unroll
            for (int tile = 0; tile < TILES; ++tile) {
                multiply(sums[tile][column], a[tile], b[0], b[1], T());
                multiply(sums[tile][column + 1], a[tile], b[2], b[3], T());
            }
        }
    }
}

// Adds the bias of a tile of `keys` keys, which starts at this lane's first query and key.
template <typename T>
DEVICE void add_bias(float (&scores)[TILES][MMA_KEYS / 8][4], const T *bias, i64 row_len, int queries,
                     int keys, float inverse_scale) {
#pragma unroll
    for (int tile = 0; tile < TILES; ++tile) {
#pragma unroll
        for (int half = 0; half < 2; ++half) {
            const int query = tile * 16 + half * 8;
            const T *row = bias + query * row_len;
            if (query >= queries) {
                continue;
            }
#pragma unroll
            for (int key = 0; key < MMA_KEYS / 8; ++key) {
#pragma unroll
                for (int i = 0; i < 2; ++i) {
                    if (key * 8 + i < keys) {
                        scores[tile][key][half * 2 + i] += widen(row[key * 8 + i]) * inverse_scale;
                    }
                }
            }
        }
    }
}

// Masks the keys of a tile behind the last; `keys` counts from this lane's first.
DEVICE void mask(float (&scores)[TILES][MMA_KEYS / 8][4], int keys) {
#pragma unroll
    for (int key = 0; key < MMA_KEYS / 8; ++key) {
#pragma unroll
        for (int i = 0; i < 4; ++i) {
            if (key * 8 + i % 2 >= keys) {
#pragma unroll
                for (int tile = 0; tile < TILES; ++tile) {
                    scores[tile][key][i] = minus_infinity();
                }
            }
        }
    }
}

// Turns scores into weights and lowers what was gathered before to the new peaks.
template <int D>
DEVICE void soften(float (&scores)[TILES][MMA_KEYS / 8][4], float (&sums)[TILES][D / 8][4],
                   Running (&running)[TILES][2], float scale) {
#pragma unroll
    for (int tile = 0; tile < TILES; ++tile) {
#pragma unroll
        for (int half = 0; half < 2; ++half) {
            float here = minus_infinity();
#pragma unroll
            for (int key = 0; key < MMA_KEYS / 8; ++key) {
                here = fmaxf(here, fmaxf(scores[tile][key][half * 2], scores[tile][key][half * 2 + 1]));
            }
            here = fmaxf(here, shuffle_xor(here, 1));
            here = fmaxf(here, shuffle_xor(here, 2));
            Running &of_row = running[tile][half];
            float level;
            const float kept = of_row.rise(here, scale, level);
            float total = 0.0f;
#pragma unroll
            for (int key = 0; key < MMA_KEYS / 8; ++key) {
#pragma unroll
                for (int i = half * 2; i < half * 2 + 2; ++i) {
                    scores[tile][key][i] = exp2_fast(fmaf(scores[tile][key][i], scale, -level));
                    total += scores[tile][key][i];
                }
            }
            of_row.total = of_row.total * kept + total;
            if (kept != 1.0f) {
#pragma unroll
                for (int column = 0; column < D / 8; ++column) {
                    sums[tile][column][half * 2] *= kept;
                    sums[tile][column][half * 2 + 1] *= kept;
                }
            }
        }
    }
}

template <typename T, int D>
DEVICE void write_rows(const float (&sums)[TILES][D / 8][4], const Running (&running)[TILES][2],
                       T *out, const Shape &shape, int first_row) {
    const int lane = threadIdx.x % 32;
    const i64 stride = shape.heads * shape.width;
    const i64 first_query = static_cast<i64>(blockIdx.x) * MMA_QUERIES + first_row;
    out += head_offset(shape.queries, shape);
#pragma unroll
    for (int tile = 0; tile < TILES; ++tile) {
#pragma unroll
        for (int half = 0; half < 2; ++half) {
            float total = running[tile][half].total;
            total += shuffle_xor(total, 1);
            total += shuffle_xor(total, 2);
            const float inverse = 1.0f / total;
            const i64 query = first_query + tile * 16 + lane / 4 + half * 8;
#pragma unroll
            for (int column = 0; column < D / 8; ++column) {
                if (query < shape.queries && column * 8 < shape.width) {
                    T *to = out + query * stride + column * 8 + lane % 4 * 2;
                    const float *pair = &sums[tile][column][half * 2];
                    *reinterpret_cast<uint32_t *>(to) =
                        pack(pair[0] * inverse, pair[1] * inverse, T());
                }
            }
        }
    }
}

// Two tiles are in flight: keys arrive while values are multiplied, and the other way round.
template <typename T, int D>
DEVICE void attend_mma(const T *q, const T *k, const T *v, const T *bias, T *out, const Shape &shape) {
    const Head<T> head(q, k, v, bias, shape);
    T *memory = reinterpret_cast<T *>(shared_memory());
    const int width = static_cast<int>(shape.width);
    const Tile<T, D> queries = {memory}, keys = {memory + MMA_QUERIES * D},
                     values = {memory + (MMA_QUERIES + MMA_KEYS) * D};
    const int first_row = threadIdx.x / 32 * TILES * 16;
    const i64 first_query = static_cast<i64>(blockIdx.x) * MMA_QUERIES;
    queries.template fetch<MMA_QUERIES>(head.q, first_query, shape.queries, head.stride, width);
    keys.template fetch<MMA_KEYS>(head.k, 0, shape.keys, head.stride, width);
    copies_commit();

    float sums[TILES][D / 8][4];
    Running running[TILES][2];
#pragma unroll
    for (int tile = 0; tile < TILES; ++tile) {
        running[tile][0] = running[tile][1] = {minus_infinity(), 0.0f};
#pragma unroll
        for (int column = 0; column < D / 8; ++column) {
#pragma unroll
            for (int i = 0; i < 4; ++i) {
                sums[tile][column][i] = 0.0f;
            }
        }
    }
    const int num_keys = static_cast<int>(shape.keys);
    for (int first = 0; first < num_keys; first += MMA_KEYS) {
        copies_wait<0>();
        __syncthreads(); // the keys are there, the values before them are used up
        values.template fetch<MMA_KEYS>(head.v, first, shape.keys, head.stride, width);
        copies_commit();
        float scores[TILES][MMA_KEYS / 8][4];
        multiply_scores<T, D>(scores, queries, keys, first_row);
        const int lane = threadIdx.x % 32, keys_left = rows_left(num_keys - first, MMA_KEYS);
        // A bias takes registers that wide heads do not have; those go through the plain form.
        if (D <= 64 && head.bias != nullptr) {
            const i64 query = first_query + first_row + lane / 4;
            const T *start = head.bias + query * shape.keys + first + lane % 4 * 2;
            const int queries_left = rows_left(shape.queries - query, TILES * 16);
            add_bias<T>(scores, start, shape.keys, queries_left, keys_left - lane % 4 * 2,
                        1.0f / shape.scale);
        }
        if (keys_left < MMA_KEYS) {
            mask(scores, keys_left - lane % 4 * 2);
        }
        soften<D>(scores, sums, running, shape.scale * LOG2_E);
        copies_wait<0>();
        __syncthreads(); // the values are there, the keys are used up
        if (first + MMA_KEYS < num_keys) {
            keys.template fetch<MMA_KEYS>(head.k, first + MMA_KEYS, shape.keys, head.stride,
                                          width);
        }
        copies_commit();
        add_values<T, D>(sums, scores, values);
    }
    write_rows<T, D>(sums, running, out, shape, first_row);
}

// ---- Plain multiply-adds: f32, and 16-bit heads of any width -----------------------------------------

constexpr int PLAIN_THREADS = 256;
constexpr int SIDE = 16; // threads along queries and along keys or columns
constexpr int PLAIN_TILE = 64;
constexpr int EACH = PLAIN_TILE / SIDE;

// Rows of a head in f32, one value further apart than they are wide, so that columns spread over banks.
template <typename T, int D>
DEVICE void fetch_plain(float *to, const T *from, i64 first, i64 total, i64 stride, i64 width) {
    for (int i = threadIdx.x; i < PLAIN_TILE * D; i += PLAIN_THREADS) {
        const int row = i / D, column = i % D;
        const bool there = first + row < total && column < width;
        to[row * (D + 1) + column] = there ? widen(from[(first + row) * stride + column]) : 0.0f;
    }
}

// A thread holds EACH queries and, of their results, every SIDE-th column.
template <typename T, int D>
DEVICE void attend_plain(const T *q, const T *k, const T *v, const T *bias, T *out,
                         const Shape &shape) {
    const Head<T> head(q, k, v, bias, shape);
    float *queries = reinterpret_cast<float *>(shared_memory());
    float *tile = queries + PLAIN_TILE * (D + 1); // keys, then values
    float *weights = tile + PLAIN_TILE * (D + 1);
    const int down = threadIdx.x / SIDE * EACH, across = threadIdx.x % SIDE;
    const i64 first_query = static_cast<i64>(blockIdx.x) * PLAIN_TILE;
    const float scale = shape.scale * LOG2_E, inverse_scale = 1.0f / shape.scale;
    fetch_plain<T, D>(queries, head.q, first_query, shape.queries, head.stride, shape.width);

    float sums[EACH][D / SIDE] = {};
    Running running[EACH];
#pragma unroll
    for (int i = 0; i < EACH; ++i) {
        running[i] = {minus_infinity(), 0.0f};
    }
    for (i64 first = 0; first < shape.keys; first += PLAIN_TILE) {
        __syncthreads(); // the values before are used up
        fetch_plain<T, D>(tile, head.k, first, shape.keys, head.stride, shape.width);
        __syncthreads();
        float scores[EACH][EACH] = {};
        for (int column = 0; column < D; ++column) {
#pragma unroll
            for (int i = 0; i < EACH; ++i) {
#pragma unroll
                for (int j = 0; j < EACH; ++j) {
                    scores[i][j] = fmaf(queries[(down + i) * (D + 1) + column],
                                        tile[(across + j * SIDE) * (D + 1) + column], scores[i][j]);
                }
            }
        }
#pragma unroll
        for (int i = 0; i < EACH; ++i) {
            const i64 query = first_query + down + i;
            float here = minus_infinity();
#pragma unroll
            for (int j = 0; j < EACH; ++j) {
                const i64 key = first + across + j * SIDE;
                if (key >= shape.keys) {
                    scores[i][j] = minus_infinity();
                } else if (head.bias != nullptr && query < shape.queries) {
                    scores[i][j] += widen(head.bias[query * shape.keys + key]) * inverse_scale;
                }
                here = fmaxf(here, scores[i][j]);
            }
#pragma unroll
            for (int lanes = SIDE / 2; lanes > 0; lanes /= 2) {
                here = fmaxf(here, shuffle_xor(here, lanes));
            }
            float level;
            const float kept = running[i].rise(here, scale, level);
            float total = 0.0f;
#pragma unroll
            for (int j = 0; j < EACH; ++j) {
                const float weight = exp2_fast(fmaf(scores[i][j], scale, -level));
                weights[(down + i) * (PLAIN_TILE + 1) + across + j * SIDE] = weight;
                total += weight;
            }
            running[i].total = running[i].total * kept + total;
#pragma unroll
            for (int j = 0; j < D / SIDE; ++j) {
                sums[i][j] *= kept;
            }
        }
        __syncthreads(); // the keys are used up, the weights are there
        fetch_plain<T, D>(tile, head.v, first, shape.keys, head.stride, shape.width);
        __syncthreads();
        for (int key = 0; key < PLAIN_TILE; ++key) {
#pragma unroll
            for (int i = 0; i < EACH; ++i) {
                const float weight = weights[(down + i) * (PLAIN_TILE + 1) + key];
#pragma unroll
                for (int j = 0; j < D / SIDE; ++j) {
                    sums[i][j] = fmaf(weight, tile[key * (D + 1) + across + j * SIDE], sums[i][j]);
                }
            }
        }
    }
    out += head_offset(shape.queries, shape);
#pragma unroll
    for (int i = 0; i < EACH; ++i) {
        float total = running[i].total;
#pragma unroll
        for (int lanes = SIDE / 2; lanes > 0; lanes /= 2) {
            total += shuffle_xor(total, lanes);
        }
        const float inverse = 1.0f / total;
        const i64 query = first_query + down + i;
#pragma unroll
        for (int j = 0; j < D / SIDE; ++j) {
            const int column = across + j * SIDE;
            if (query < shape.queries && column < shape.width) {
                out[query * head.stride + column] = narrowed<T>(sums[i][j] * inverse);
            }
        }
    }
}

#define ATTENTION(name, how, threads, T, D)                                                         \
    KERNEL(name, threads, const T *q, const T *k, const T *v, const T *bias, T *out, i64 queries,   \
           i64 keys, i64 heads, i64 width, i64 bias_rows, float scale) {                            \
        const Shape shape = {queries, keys, heads, width, bias_rows, scale};                        \
        how<T, D>(q, k, v, bias, out, shape);                                                       \
    }

ATTENTION(attention_mma_bf16_64, attend_mma, MMA_THREADS, bf16, 64)
ATTENTION(attention_mma_bf16_128, attend_mma, MMA_THREADS, bf16, 128)
ATTENTION(attention_mma_f16_64, attend_mma, MMA_THREADS, f16, 64)
ATTENTION(attention_mma_f16_128, attend_mma, MMA_THREADS, f16, 128)
ATTENTION(attention_plain_f32_64, attend_plain, PLAIN_THREADS, float, 64)
ATTENTION(attention_plain_f32_128, attend_plain, PLAIN_THREADS, float, 128)
ATTENTION(attention_plain_bf16_128, attend_plain, PLAIN_THREADS, bf16, 128)
ATTENTION(attention_plain_f16_128, attend_plain, PLAIN_THREADS, f16, 128)
