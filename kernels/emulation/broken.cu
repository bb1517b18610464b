// Kernels with one mistake each, which the emulation must find, and the same without it.
#include "../device.cuh"

constexpr int THREADS = 64;

// Every thread passes its value on to the next one.
DEVICE void pass_on(const float *x, float *y, bool waits) {
    float *shared = reinterpret_cast<float *>(shared_memory());
    shared[threadIdx.x] = x[threadIdx.x];
    if (waits) {
        __syncthreads();
    }
    y[threadIdx.x] = shared[(threadIdx.x + 1) % THREADS];
}

KERNEL(sound, THREADS, const float *x, float *y) { pass_on(x, y, true); }

KERNEL(without_barrier, THREADS, const float *x, float *y) { pass_on(x, y, false); }

// The second warp may still read what the first overwrites; within each, lanes go together.
KERNEL(warp_runs_ahead, THREADS, const float *x, float *y) {
    float *shared = reinterpret_cast<float *>(shared_memory());
    float sum = 0.0f;
    for (int round = 0; round < 2; ++round) {
        if (threadIdx.x == 0) {
            shared[0] = x[round];
        }
        __syncthreads();
        sum += shuffle_xor(shared[0], 1);
    }
    y[threadIdx.x] = sum;
}

// Reads a copy that is still under way.
KERNEL(without_wait, THREADS, const float *x, float *y) {
    float *shared = reinterpret_cast<float *>(shared_memory());
    if (threadIdx.x < THREADS / 4) {
        copy_async(shared + threadIdx.x * 4, x + threadIdx.x * 4, 16);
    }
    copies_commit();
    __syncthreads();
    y[threadIdx.x] = shared[threadIdx.x];
    copies_wait<0>();
}

// Half of the block waits where the other half never comes.
KERNEL(half_a_barrier, THREADS, const float *x, float *y) {
    if (threadIdx.x < THREADS / 2) {
        __syncthreads();
    }
    y[threadIdx.x] = x[threadIdx.x];
}

// One lane of a warp leaves a shuffle out.
KERNEL(half_a_warp, THREADS, const float *x, float *y) {
    y[threadIdx.x] = threadIdx.x == 3 ? 0.0f : shuffle_xor(x[threadIdx.x], 1);
}

KERNEL(beyond_the_end, THREADS, const float *x, float *y) {
    y[threadIdx.x] = x[threadIdx.x + 1];
}
