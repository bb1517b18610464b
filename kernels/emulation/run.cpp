// Runs one kernel of the source file KERNEL_SOURCE on buffers from standard input.
//
// The request is lines of words, then the bytes of the buffers one after the other:
//
//     kernel NAME
//     grid X Y Z
//     block THREADS
//     shared BYTES
//     buffer BYTES               once a buffer
//     argument buffer INDEX | none | integer VALUE | number BITS
//     run
//
// The kernel is run in three orders of threads: each warp as far as it comes by itself, the first or the
// last of them first, and all of them a little at a time by chance. The buffers come back on standard output if all three
// leave the same bytes; otherwise, and at any misuse, a line on standard error and exit code 1. Each
// buffer ends where a page begins that may not be touched, and so does shared memory, which starts out
// as values that are not numbers.
#include "instructions.h"

#include KERNEL_SOURCE

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <iostream>
#include <sstream>

namespace emulation {

static const size_t STACK = 128 * 1024;
static const size_t PAGE = 4096;

static std::vector<Fibre> fibres;
static Fibre *running;
static jmp_buf scheduler;
static Index block;
static unsigned char *shared_start;
static const Entry *entry;
static const std::vector<Argument> *arguments;
static unsigned long long dice;

[[noreturn]] static void fail(const std::string &message) {
    fprintf(stderr, "emulation: %s\n", message.c_str());
    exit(1);
}

std::vector<Entry> &entries() {
    static std::vector<Entry> all;
    return all;
}

Fibre &current() { return *running; }
Index thread_index() { return running->thread; }
Index block_index() { return block; }
unsigned char *shared() { return shared_start; }

// Back to the scheduler, until it comes here again.
static void pause() {
    if (_setjmp(running->place) == 0) {
        _longjmp(scheduler, 1);
    }
}

void block_barrier() {
    running->state = Fibre::AT_BARRIER;
    for (const Fibre &fibre : fibres) {
        if (fibre.state != Fibre::AT_BARRIER) {
            pause();
            return;
        }
    }
    for (Fibre &fibre : fibres) {
        fibre.state = Fibre::READY;
    }
}

void as_warp(void *lane, WarpWork work) {
    running->state = Fibre::IN_WARP;
    running->lane = lane;
    running->work = work;
    Fibre *warp = &fibres[running->thread.x / 32 * 32];
    void *lanes[32];
    for (int i = 0; i < 32; ++i) {
        if (warp[i].state != Fibre::IN_WARP) {
            pause();
            return;
        }
        if (warp[i].work != work) {
            fail("lanes of a warp are at different instructions");
        }
        lanes[i] = warp[i].lane;
    }
    work(lanes);
    for (int i = 0; i < 32; ++i) {
        warp[i].state = Fibre::READY;
    }
}

static void body() {
    entry->call(entry->kernel, *arguments);
    if (!running->queue.empty()) {
        fail("copies were started and never committed");
    }
    for (const std::vector<Copy> &group : running->groups) {
        if (!group.empty()) {
            fail("a thread ended while its copies were under way");
        }
    }
    running->groups.clear();
    running->state = Fibre::DONE;
    _longjmp(scheduler, 1);
}

static void resume(Fibre &fibre) {
    running = &fibre;
    if (_setjmp(scheduler) == 0) {
        if (fibre.started) {
            _longjmp(fibre.place, 1);
        }
        fibre.started = true;
        setcontext(&fibre.entry);
    }
}

static unsigned random_below(unsigned bound) {
    dice = dice * 6364136223846793005ull + 1442695040888963407ull;
    return static_cast<unsigned>((dice >> 33) % bound);
}

// Runs every warp as far as it comes without the others, the first first or the last first.
static bool run_warps(bool reversed) {
    bool moved = false;
    const size_t warps = fibres.size() / 32;
    for (size_t i = 0; i < warps; ++i) {
        Fibre *warp = &fibres[(reversed ? warps - 1 - i : i) * 32];
        for (bool ready = true; ready;) {
            ready = false;
            for (int lane = 0; lane < 32; ++lane) {
                Fibre &fibre = warp[reversed ? 31 - lane : lane];
                if (fibre.state == Fibre::READY) {
                    ready = moved = true;
                    resume(fibre);
                }
            }
        }
    }
    return moved;
}

// Lets every thread go on once, in an order of chance.
static bool run_shuffled(std::vector<unsigned> &turn) {
    for (unsigned i = static_cast<unsigned>(turn.size()); i > 1; --i) {
        std::swap(turn[i - 1], turn[random_below(i)]);
    }
    bool moved = false;
    for (unsigned i : turn) {
        if (fibres[i].state == Fibre::READY) {
            moved = true;
            resume(fibres[i]);
        }
    }
    return moved;
}

static void run_block(Order order, size_t shared_bytes) {
    memset(shared_start, 0xff, shared_bytes);
    std::vector<unsigned> turn(fibres.size());
    for (unsigned i = 0; i < fibres.size(); ++i) {
        fibres[i].state = Fibre::READY;
        fibres[i].started = false;
        turn[i] = i;
    }
    for (;;) {
        const bool moved = order == SHUFFLED ? run_shuffled(turn) : run_warps(order == REVERSED);
        bool done = true;
        for (const Fibre &fibre : fibres) {
            done = done && fibre.state == Fibre::DONE;
        }
        if (done) {
            return;
        }
        if (!moved) {
            fail("threads wait for others that never come");
        }
    }
}

// `bytes` that end at a page which may not be touched.
static unsigned char *guarded(size_t bytes) {
    const size_t room = (bytes + PAGE - 1) / PAGE * PAGE;
    void *start = mmap(nullptr, room + 2 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (start == MAP_FAILED) {
        fail("no memory");
    }
    unsigned char *inner = static_cast<unsigned char *>(start) + PAGE;
    if (room > 0 && mprotect(inner, room, PROT_READ | PROT_WRITE) != 0) {
        fail("no memory");
    }
    return inner + (room - bytes) / 16 * 16;
}

struct Request {
    std::string kernel;
    unsigned grid[3], threads;
    size_t shared_bytes;
    std::vector<size_t> sizes;
    std::vector<std::string> arguments;
};

static Request read_request() {
    Request request = {};
    for (std::string line; std::getline(std::cin, line) && line != "run";) {
        std::istringstream words(line);
        std::string what;
        words >> what;
        if (what == "kernel") {
            words >> request.kernel;
        } else if (what == "grid") {
            words >> request.grid[0] >> request.grid[1] >> request.grid[2];
        } else if (what == "block") {
            words >> request.threads;
        } else if (what == "shared") {
            words >> request.shared_bytes;
        } else if (what == "buffer") {
            size_t bytes;
            words >> bytes;
            request.sizes.push_back(bytes);
        } else if (what == "argument") {
            std::string rest;
            std::getline(words, rest);
            request.arguments.push_back(rest);
        } else {
            fail("a line of the request says " + what);
        }
        if (!words && !words.eof()) {
            fail("a line of the request is incomplete: " + line);
        }
    }
    return request;
}

static std::vector<Argument> arguments_of(const Request &request,
                                          const std::vector<unsigned char *> &buffers) {
    std::vector<Argument> out;
    for (const std::string &text : request.arguments) {
        std::istringstream words(text);
        std::string kind;
        long long value = 0;
        words >> kind >> value;
        Argument argument = {nullptr, value, 0.0f};
        if (kind == "buffer") {
            argument.buffer = buffers.at(static_cast<size_t>(value));
        } else if (kind == "number") {
            argument.number = float_of(static_cast<uint32_t>(value));
        }
        out.push_back(argument);
    }
    return out;
}

static const Entry &entry_named(const Request &request) {
    for (const Entry &candidate : entries()) {
        if (candidate.name == request.kernel) {
            if (candidate.threads != request.threads || candidate.threads % 32 != 0) {
                fail("the kernel is written for another number of threads");
            }
            if (candidate.arguments != request.arguments.size()) {
                fail("the kernel takes another number of arguments");
            }
            return candidate;
        }
    }
    fail("there is no kernel " + request.kernel);
}

static void run_grid(const Request &request, Order order) {
    for (block.z = 0; block.z < request.grid[2]; ++block.z) {
        for (block.y = 0; block.y < request.grid[1]; ++block.y) {
            for (block.x = 0; block.x < request.grid[0]; ++block.x) {
                run_block(order, request.shared_bytes);
            }
        }
    }
}

static void make_fibres(unsigned threads) {
    fibres.resize(threads);
    for (unsigned i = 0; i < threads; ++i) {
        fibres[i].thread = {i, 0, 0};
        void *stack = mmap(nullptr, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (stack == MAP_FAILED || getcontext(&fibres[i].entry) != 0) {
            fail("no memory for a stack");
        }
        fibres[i].entry.uc_stack.ss_sp = stack;
        fibres[i].entry.uc_stack.ss_size = STACK;
        makecontext(&fibres[i].entry, body, 0);
    }
}

static int run() {
    const Request request = read_request();
    std::vector<unsigned char *> buffers;
    std::vector<std::vector<unsigned char>> inputs;
    for (size_t bytes : request.sizes) {
        buffers.push_back(guarded(bytes));
        inputs.emplace_back(bytes);
        std::cin.read(reinterpret_cast<char *>(inputs.back().data()), static_cast<long>(bytes));
        if (!std::cin) {
            fail("the buffers are shorter than announced");
        }
    }
    const std::vector<Argument> values = arguments_of(request, buffers);
    entry = &entry_named(request);
    arguments = &values;
    shared_start = guarded(request.shared_bytes);
    make_fibres(request.threads);

    std::vector<std::vector<unsigned char>> first;
    for (Order order : {FORWARD, REVERSED, SHUFFLED}) {
        for (size_t i = 0; i < buffers.size(); ++i) {
            memcpy(buffers[i], inputs[i].data(), inputs[i].size());
        }
        run_grid(request, order);
        for (size_t i = 0; i < buffers.size(); ++i) {
            const std::vector<unsigned char> left(buffers[i], buffers[i] + inputs[i].size());
            if (order == FORWARD) {
                first.push_back(left);
            } else if (first[i] != left) {
                fail("the result depends on the order of threads: a race");
            }
        }
    }
    for (const std::vector<unsigned char> &bytes : first) {
        std::cout.write(reinterpret_cast<const char *>(bytes.data()), static_cast<long>(bytes.size()));
    }
    std::cout.flush();
    return std::cout ? 0 : 1;
}

} // namespace emulation

int main() {
    std::ios::sync_with_stdio(false);
    return emulation::run();
}
