// A CUDA driver without a device, for tests of the host side: device memory is host memory, copies happen at once, launches are
// written down, and any function can be told to fail. Only what the host side calls is here.
//
// Build: gcc -shared -fPIC -O1 -Wall -Wl,-soname,libcuda.so.1 -o libcuda.so.1 libcuda.c -ldl
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef int CUresult;
typedef int CUdevice;
typedef unsigned long long CUdeviceptr;
typedef struct Handle *CUhandle;

enum { SUCCESS = 0, INVALID_VALUE = 1, OUT_OF_MEMORY = 2, NOT_FOUND = 500, INVALID_HANDLE = 400, LAUNCH_FAILED = 719, CAPTURE_UNSUPPORTED = 900 };

// What a capture records: kernels, copies and settings of device memory, memory taken. A graph does it all again, in order.
struct Step {
    enum { LAUNCH, COPY, COPY_ROWS, SET, TAKE, FREE } what;
    char name[128];
    unsigned grid[4], block[3], shared;  // grid[3]: blocks of a cluster
    char arguments[768];  // all that KernelArguments can hold
    CUdeviceptr from, to;
    size_t bytes, rows, from_pitch, to_pitch;
    int value;
};
struct Steps {
    int users, count, capacity;
    struct Step *step;
};

struct Handle {
    struct Steps *steps;  // of a graph
    char kind[16];
    char name[128];
    char signature[64];  // of a function: l 64-bit word, i 32-bit word, f float, T 128 bytes; set by mock_signature
    int capturing;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char *text;
static size_t length, capacity;
static long open_handles, open_bytes, allocations;
static long memory_limit = 1L << 40;
static int driver_version = 13000, architecture = 90, device_count = 1;
static char failing[64];
static int failing_result;
static struct Steps *recording;  // one capture at a time
static int after_kernel;         // whether the last work put into a stream is a kernel
static void (*execute)(const char *, const unsigned *, const unsigned *, unsigned, void **);

static void note(const char *format, ...) {
    char line[4096];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(line, sizeof line, format, args);
    va_end(args);
    if (n >= (int)sizeof line) n = sizeof line - 1;
    pthread_mutex_lock(&lock);
    if (length + n + 2 > capacity) text = realloc(text, capacity = 2 * (length + n + 2));
    memcpy(text + length, line, n);
    length += n;
    text[length++] = '\n';
    text[length] = 0;
    pthread_mutex_unlock(&lock);
}

// What tests read and set.
long mock_take_log(char *into, long size) {
    pthread_mutex_lock(&lock);
    long n = (long)length < size - 1 ? (long)length : size - 1;
    if (n > 0) memcpy(into, text, n);
    into[n] = 0;
    length = 0;
    pthread_mutex_unlock(&lock);
    return n;
}
long mock_open_handles(void) { return open_handles; }
long mock_open_bytes(void) { return open_bytes; }
long mock_allocations(void) { return allocations; }
void mock_memory_limit(long bytes) { memory_limit = bytes; }
void mock_device(int version, int arch, int count) { driver_version = version, architecture = arch, device_count = count; }
void mock_fail(const char *function, int result) {
    snprintf(failing, sizeof failing, "%s", function);
    failing_result = result;
}
static struct { char name[128], signature[64]; } signatures[64];
static int signature_count;
void mock_signature(const char *kernel, const char *signature) {
    snprintf(signatures[signature_count].name, 128, "%s", kernel);
    snprintf(signatures[signature_count++].signature, 64, "%s", signature);
}
// Executes launches for real: the emulator's entry point.
void mock_execute_with(void *function) { *(void **)&execute = function; }

#define ENTER(function)                                                  \
    do {                                                                 \
        if (failing_result && strcmp(failing, #function) == 0) {         \
            int result_ = failing_result;                                \
            failing_result = 0;                                          \
            return result_;                                              \
        }                                                                \
    } while (0)

static CUhandle make(const char *kind, const char *name) {
    CUhandle h = calloc(1, sizeof *h);
    snprintf(h->kind, sizeof h->kind, "%s", kind);
    snprintf(h->name, sizeof h->name, "%s", name);
    __atomic_add_fetch(&open_handles, 1, __ATOMIC_RELAXED);
    return h;
}
static CUresult destroy(CUhandle h, const char *kind) {
    if (!h || strcmp(h->kind, kind)) return INVALID_HANDLE;
    __atomic_sub_fetch(&open_handles, 1, __ATOMIC_RELAXED);
    free(h);
    return SUCCESS;
}

static struct Step *record_step(int what) {
    if (recording->count == recording->capacity) {
        recording->capacity = 2 * recording->capacity + 16;
        recording->step = realloc(recording->step, recording->capacity * sizeof *recording->step);
    }
    struct Step *step = memset(&recording->step[recording->count++], 0, sizeof *step);
    step->what = what;
    return step;
}
static void copy_rows(const struct Step *c) {
    for (size_t y = 0; y < c->rows; y++) {
        memcpy((char *)(uintptr_t)c->to + y * c->to_pitch, (const char *)(uintptr_t)c->from + y * c->from_pitch, c->bytes);
    }
}
static void perform(struct Step *step) {
    void *parameters[8] = {step->arguments};
    switch (step->what) {
        case LAUNCH: if (execute) execute(step->name, step->grid, step->block, step->shared, parameters); break;
        case COPY: memmove((void *)(uintptr_t)step->to, (void *)(uintptr_t)step->from, step->bytes); break;
        case COPY_ROWS: copy_rows(step); break;
        case SET: memset((void *)(uintptr_t)step->to, step->value, step->bytes); break;
        case TAKE: memset((void *)(uintptr_t)step->to, 0xFF, step->bytes); break;
        case FREE: break;
    }
}
static void give_back(CUdeviceptr p);
static void leave(struct Steps *steps) {
    if (!steps || --steps->users > 0) return;
    for (int i = 0; i < steps->count; i++) {
        if (steps->step[i].what == TAKE) give_back(steps->step[i].to);
    }
    free(steps->step);
    free(steps);
}

// A program that knows nothing of mocks computes if MOCK_CUDA_KERNELS names the emulated kernels' library.
static void find_kernels(void) {
    const char *library = getenv("MOCK_CUDA_KERNELS");
    void *handle = library && !execute ? dlopen(library, RTLD_NOW | RTLD_GLOBAL) : NULL;
    if (handle) *(void **)&execute = dlsym(handle, "emulated_launch");
}
CUresult cuInit(unsigned flags) { ENTER(cuInit); find_kernels(); return flags ? INVALID_VALUE : SUCCESS; }
CUresult cuDriverGetVersion(int *v) { ENTER(cuDriverGetVersion); *v = driver_version; return SUCCESS; }
CUresult cuDeviceGetCount(int *n) { ENTER(cuDeviceGetCount); *n = device_count; return SUCCESS; }
CUresult cuDeviceGet(CUdevice *d, int ordinal) { ENTER(cuDeviceGet); *d = ordinal; return SUCCESS; }
CUresult cuDeviceGetName(char *name, int n, CUdevice d) { snprintf(name, n, "Mock device %d", d); return SUCCESS; }
CUresult cuDeviceTotalMem_v2(size_t *bytes, CUdevice d) { (void)d; *bytes = (size_t)8 << 30; return SUCCESS; }
CUresult cuDeviceGetAttribute(int *value, int attribute, CUdevice d) {
    (void)d;
    switch (attribute) {
        case 75: *value = architecture / 10; break;
        case 76: *value = architecture % 10; break;
        case 16: *value = 4; break;           // multiprocessors
        case 97: *value = 227 << 10; break;   // shared memory a block may ask for
        default: *value = 1;
    }
    return SUCCESS;
}
CUresult cuDevicePrimaryCtxRetain(CUhandle *c, CUdevice d) { (void)d; ENTER(cuDevicePrimaryCtxRetain); *c = make("context", ""); return SUCCESS; }
static CUhandle current;
CUresult cuDevicePrimaryCtxRelease_v2(CUdevice d) { (void)d; ENTER(cuDevicePrimaryCtxRelease_v2); note("release context"); open_handles--; return SUCCESS; }
CUresult cuCtxSetCurrent(CUhandle c) { ENTER(cuCtxSetCurrent); current = c; return SUCCESS; }
CUresult cuCtxGetCurrent(CUhandle *c) { *c = current; return SUCCESS; }
CUresult cuDeviceGetDefaultMemPool(CUhandle *pool, CUdevice d) { (void)d; static struct Handle p; *pool = &p; return SUCCESS; }
CUresult cuMemPoolSetAttribute(CUhandle pool, int attribute, void *value) {
    (void)pool;
    note("pool attribute %d = %llx", attribute, *(unsigned long long *)value);
    return SUCCESS;
}
// What is freed is given back: reserved and used memory are the same.
CUresult cuMemPoolGetAttribute(CUhandle pool, int attribute, void *value) {
    if (!pool || (attribute != 5 && attribute != 7)) return INVALID_VALUE;
    *(unsigned long long *)value = open_bytes;
    return SUCCESS;
}

CUresult cuModuleLoadData(CUhandle *m, const void *image) {
    ENTER(cuModuleLoadData);
    if (recording) return CAPTURE_UNSUPPORTED;
    const unsigned char *b = image;
    note("load module %02x%02x%02x%02x", b[0], b[1], b[2], b[3]);
    *m = make("module", "");
    return SUCCESS;
}
CUresult cuModuleUnload(CUhandle m) { return destroy(m, "module"); }
CUresult cuModuleGetFunction(CUhandle *f, CUhandle m, const char *name) {
    ENTER(cuModuleGetFunction);
    if (!m || strcmp(m->kind, "module")) return INVALID_HANDLE;
    if (strstr(name, "absent")) return NOT_FOUND;
    CUhandle h = calloc(1, sizeof *h);  // lives as long as its module; not counted
    snprintf(h->kind, sizeof h->kind, "function");
    snprintf(h->name, sizeof h->name, "%s", name);
    for (int i = 0; i < signature_count; i++) {
        if (!strcmp(signatures[i].name, name)) strcpy(h->signature, signatures[i].signature);
    }
    *f = h;
    return SUCCESS;
}
CUresult cuFuncSetAttribute(CUhandle f, int attribute, int value) { ENTER(cuFuncSetAttribute); note("attribute %d of %s = %d", attribute, f->name, value); return SUCCESS; }
CUresult cuFuncGetAttribute(int *value, int attribute, CUhandle f) { (void)f; *value = attribute; return SUCCESS; }
CUresult cuOccupancyMaxActiveBlocksPerMultiprocessor(int *blocks, CUhandle f, int threads, size_t shared) {
    (void)f, (void)threads, (void)shared;
    *blocks = 2;
    return SUCCESS;
}

static CUresult launch(const char *how, CUhandle f, const unsigned *grid, const unsigned *block, unsigned shared, CUhandle s, void **params) {
    if (!f || strcmp(f->kind, "function") || !s || strcmp(s->kind, "stream")) return INVALID_HANDLE;
    char line[2048];
    int n = snprintf(line, sizeof line, "%s %s grid %ux%ux%u block %ux%ux%u shared %u%s:", how, f->name, grid[0], grid[1],
                     grid[2], block[0], block[1], block[2], shared, s->capturing ? " recorded" : "");
    for (int i = 0; f->signature[i] && n < (int)sizeof line - 80; i++) {
        switch (f->signature[i]) {
            case 'l': n += snprintf(line + n, sizeof line - n, " %llx", *(unsigned long long *)params[i]); break;
            case 'i': n += snprintf(line + n, sizeof line - n, " %d", *(int *)params[i]); break;
            case 'f': n += snprintf(line + n, sizeof line - n, " %g", *(float *)params[i]); break;
            case 'T': {
                unsigned sum = 0;
                for (int j = 0; j < 128; j++) sum = 31 * sum + ((unsigned char *)params[i])[j];
                n += snprintf(line + n, sizeof line - n, " T%08x", sum);
            }
        }
    }
    note("%s", line);
    after_kernel = 1;
    if (s->capturing) {
        struct Step *step = record_step(LAUNCH);
        snprintf(step->name, sizeof step->name, "%s", f->name);
        memcpy(step->grid, grid, sizeof step->grid), memcpy(step->block, block, sizeof step->block);
        step->shared = shared;
        memcpy(step->arguments, params[0], sizeof step->arguments);
    } else if (execute) {
        execute(f->name, grid, block, shared, params);
    }
    return SUCCESS;
}
CUresult cuLaunchKernel(CUhandle f, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz, unsigned shared,
                        CUhandle s, void **params, void **extra) {
    ENTER(cuLaunchKernel);
    if (extra) return INVALID_VALUE;
    unsigned grid[] = {gx, gy, gz, 1}, block[] = {bx, by, bz};
    return launch("launch", f, grid, block, shared, s, params);
}
// Only kernels that wait for earlier ones themselves may start while those end, and only behind another kernel.
static CUresult may_start_early(CUhandle f, CUhandle s) {
    if (strncmp(f->name, "dropless_hopper_", 16)) return INVALID_VALUE;
    if (!s->capturing) return after_kernel ? SUCCESS : INVALID_VALUE;
    return recording->count && recording->step[recording->count - 1].what == LAUNCH ? SUCCESS : CAPTURE_UNSUPPORTED;
}
struct Attribute { int id, pad; unsigned value[16]; };
struct Config { unsigned grid[3], block[3], shared; CUhandle stream; struct Attribute *attributes; unsigned count; };
CUresult cuLaunchKernelEx(const struct Config *c, CUhandle f, void **params, void **extra) {
    ENTER(cuLaunchKernelEx);
    if (extra) return INVALID_VALUE;
    char how[256] = "launchEx";
    unsigned grid[] = {c->grid[0], c->grid[1], c->grid[2], 1};
    for (unsigned i = 0; i < c->count; i++) {
        const struct Attribute *a = &c->attributes[i];
        int n = strlen(how);
        if (a->id == 4) {
            grid[3] = a->value[0];
            snprintf(how + n, sizeof how - n, " cluster %ux%ux%u", a->value[0], a->value[1], a->value[2]);
        }
        else snprintf(how + n, sizeof how - n, " attribute %d = %u", a->id, a->value[0]);
        CUresult refused = a->id == 6 && a->value[0] ? may_start_early(f, c->stream) : SUCCESS;
        if (refused) return refused;
    }
    return launch(how, f, grid, c->block, c->shared, c->stream, params);
}
CUresult cuTensorMapEncodeTiled(void *map, int type, unsigned rank, void *address, const unsigned long long *dims,
                                const unsigned long long *strides, const unsigned *box, const unsigned *elements, int interleave,
                                int swizzle, int promotion, int fill) {
    ENTER(cuTensorMapEncodeTiled);
    if ((uintptr_t)map % 64) return INVALID_VALUE;
    char line[512];
    int n = snprintf(line, sizeof line, "tensor map type %d rank %u at %llx:", type, rank, (unsigned long long)(uintptr_t)address);
    for (unsigned i = 0; i < rank; i++) {
        n += snprintf(line + n, sizeof line - n, " %llu", dims[i]);
        if (i) n += snprintf(line + n, sizeof line - n, "(stride %llu)", strides[i - 1]);
        n += snprintf(line + n, sizeof line - n, "[box %u step %u]", box[i], elements[i]);
    }
    note("%s interleave %d swizzle %d promotion %d fill %d", line, interleave, swizzle, promotion, fill);
    memset(map, 0xAB, 128);
    return SUCCESS;
}

CUresult cuMemGetInfo_v2(size_t *available, size_t *total) { *available = memory_limit - open_bytes, *total = memory_limit; return SUCCESS; }
CUresult cuMemAllocAsync(CUdeviceptr *p, size_t bytes, CUhandle s) {
    ENTER(cuMemAllocAsync);
    if (!s || strcmp(s->kind, "stream")) return INVALID_HANDLE;
    if (bytes == 0) return INVALID_VALUE;
    if (open_bytes + (long)bytes > memory_limit) return OUT_OF_MEMORY;
    size_t padded = (bytes + 511) / 256 * 256;
    char *memory = aligned_alloc(256, padded);
    *(size_t *)memory = bytes;
    memset(memory + 256, 0xFF, padded - 256);  // NaN, whatever the type
    __atomic_add_fetch(&open_bytes, (long)bytes, __ATOMIC_RELAXED), __atomic_add_fetch(&allocations, 1, __ATOMIC_RELAXED);
    *p = (CUdeviceptr)(uintptr_t)(memory + 256);
    if (s->capturing) {
        struct Step *step = record_step(TAKE);
        step->to = *p, step->bytes = bytes;
    }
    return SUCCESS;
}
static void give_back(CUdeviceptr p) {
    char *memory = (char *)(uintptr_t)p - 256;
    __atomic_sub_fetch(&open_bytes, *(long *)memory, __ATOMIC_RELAXED), __atomic_sub_fetch(&allocations, 1, __ATOMIC_RELAXED);
    free(memory);
}
// Memory that a capture takes belongs to its graph, which frees it when it goes; a capture may free no other.
CUresult cuMemFreeAsync(CUdeviceptr p, CUhandle s) {
    ENTER(cuMemFreeAsync);
    if (!s || strcmp(s->kind, "stream")) return INVALID_HANDLE;
    if (s->capturing) {
        for (int i = 0; i < recording->count; i++) {
            if (recording->step[i].what != TAKE || recording->step[i].to != p) continue;
            record_step(FREE);  // a node of the graph; here the memory stays until the graph goes
            return SUCCESS;
        }
        return INVALID_VALUE;
    }
    give_back(p);
    return SUCCESS;
}
CUresult cuMemcpyHtoDAsync_v2(CUdeviceptr d, const void *h, size_t n, CUhandle s) { ENTER(cuMemcpyHtoDAsync); after_kernel = 0; if (s->capturing) return CAPTURE_UNSUPPORTED; memcpy((void *)(uintptr_t)d, h, n); note("copy in %zu", n); return SUCCESS; }
CUresult cuMemcpyDtoHAsync_v2(void *h, CUdeviceptr d, size_t n, CUhandle s) { ENTER(cuMemcpyDtoHAsync); after_kernel = 0; if (s->capturing) return CAPTURE_UNSUPPORTED; memcpy(h, (void *)(uintptr_t)d, n); note("copy out %zu", n); return SUCCESS; }
// Does a step now, or records it.
static CUresult now_or_later(CUhandle s, struct Step step) {
    after_kernel = 0;
    if (s->capturing) *record_step(step.what) = step;
    else perform(&step);
    return SUCCESS;
}
CUresult cuMemcpyDtoDAsync_v2(CUdeviceptr t, CUdeviceptr d, size_t n, CUhandle s) {
    note("copy %zu", n);
    return now_or_later(s, (struct Step){.what = COPY, .to = t, .from = d, .bytes = n});
}
struct Copy2D {
    size_t src_x, src_y; int src_type; const void *src_host; CUdeviceptr src_device; void *src_array; size_t src_pitch;
    size_t dst_x, dst_y; int dst_type; void *dst_host; CUdeviceptr dst_device; void *dst_array; size_t dst_pitch;
    size_t width, height;
};
CUresult cuMemcpy2DAsync_v2(const struct Copy2D *c, CUhandle s) {
    ENTER(cuMemcpy2DAsync);
    if (c->src_pitch < c->width || c->dst_pitch < c->width) return INVALID_VALUE;
    if (s->capturing && (c->src_type == 1 || c->dst_type == 1)) return CAPTURE_UNSUPPORTED;
    struct Step step = {.what = COPY_ROWS, .bytes = c->width, .rows = c->height, .from_pitch = c->src_pitch, .to_pitch = c->dst_pitch};
    step.from = (c->src_type == 1 ? (CUdeviceptr)(uintptr_t)c->src_host : c->src_device) + c->src_y * c->src_pitch + c->src_x;
    step.to = (c->dst_type == 1 ? (CUdeviceptr)(uintptr_t)c->dst_host : c->dst_device) + c->dst_y * c->dst_pitch + c->dst_x;
    note("copy2d %zux%zu%s", c->width, c->height, c->dst_type == 1 ? " out" : c->src_type == 1 ? " in" : "");
    return now_or_later(s, step);
}
struct Copy3D {
    size_t src_x, src_y, src_z, src_lod; int src_type; const void *src_host; CUdeviceptr src_device; void *src_array, *reserved0;
    size_t src_pitch, src_height, dst_x, dst_y, dst_z, dst_lod; int dst_type; void *dst_host; CUdeviceptr dst_device;
    void *dst_array, *reserved1; size_t dst_pitch, dst_height, width, height, depth;
};
CUresult cuMemcpy3DAsync_v2(const struct Copy3D *c, CUhandle s) {
    (void)s;
    if (c->src_type != 2 || c->dst_type != 2) return INVALID_VALUE;
    for (size_t z = 0; z < c->depth; z++) {
        for (size_t y = 0; y < c->height; y++) {
            const char *from = (const char *)(uintptr_t)c->src_device + ((c->src_z + z) * c->src_height + c->src_y + y) * c->src_pitch + c->src_x;
            char *to = (char *)(uintptr_t)c->dst_device + ((c->dst_z + z) * c->dst_height + c->dst_y + y) * c->dst_pitch + c->dst_x;
            memcpy(to, from, c->width);
        }
    }
    note("copy3d %zux%zux%zu", c->width, c->height, c->depth);
    return SUCCESS;
}
CUresult cuMemsetD8Async(CUdeviceptr d, unsigned char v, size_t n, CUhandle s) { return now_or_later(s, (struct Step){.what = SET, .to = d, .bytes = n, .value = v}); }

CUresult cuStreamCreate(CUhandle *s, unsigned flags) { ENTER(cuStreamCreate); *s = make("stream", ""); note("stream flags %u", flags); return SUCCESS; }
CUresult cuStreamDestroy_v2(CUhandle s) { return destroy(s, "stream"); }
CUresult cuStreamSynchronize(CUhandle s) { ENTER(cuStreamSynchronize); if (s->capturing) return CAPTURE_UNSUPPORTED; note("synchronize"); return SUCCESS; }
CUresult cuStreamWaitEvent(CUhandle s, CUhandle e, unsigned flags) { (void)flags; note("wait"); return strcmp(s->kind, "stream") || strcmp(e->kind, "event") ? INVALID_HANDLE : SUCCESS; }
CUresult cuStreamIsCapturing(CUhandle s, int *status) { *status = s->capturing; return SUCCESS; }
CUresult cuStreamBeginCapture_v2(CUhandle s, int mode) { ENTER(cuStreamBeginCapture); after_kernel = 0; note("capture mode %d", mode); s->capturing = 1; recording = calloc(1, sizeof *recording); return SUCCESS; }
CUresult cuStreamEndCapture(CUhandle s, CUhandle *graph) {
    if (!s->capturing) return INVALID_HANDLE;
    s->capturing = 0;
    *graph = make("graph", "");
    (*graph)->steps = recording;
    recording->users = 1;
    recording = NULL;
    return SUCCESS;
}
CUresult cuGraphInstantiateWithFlags(CUhandle *x, CUhandle g, unsigned long long flags) { (void)flags; ENTER(cuGraphInstantiate); if (strcmp(g->kind, "graph")) return INVALID_HANDLE; *x = make("graph exec", ""); (*x)->steps = g->steps; g->steps->users++; return SUCCESS; }
CUresult cuGraphUpload(CUhandle x, CUhandle s) { (void)s; return strcmp(x->kind, "graph exec") ? INVALID_HANDLE : SUCCESS; }
CUresult cuGraphLaunch(CUhandle x, CUhandle s) {
    if (strcmp(x->kind, "graph exec") || s->capturing) return INVALID_HANDLE;
    note("launch graph");
    after_kernel = 0;
    for (int i = 0; i < x->steps->count; i++) perform(&x->steps->step[i]);
    return SUCCESS;
}
static CUresult destroy_graph(CUhandle g, const char *kind) {
    if (!g || strcmp(g->kind, kind)) return INVALID_HANDLE;
    leave(g->steps);
    return destroy(g, kind);
}
CUresult cuGraphExecDestroy(CUhandle x) { return destroy_graph(x, "graph exec"); }
CUresult cuGraphDestroy(CUhandle g) { return destroy_graph(g, "graph"); }
CUresult cuEventCreate(CUhandle *e, unsigned flags) { (void)flags; *e = make("event", ""); return SUCCESS; }
CUresult cuEventDestroy_v2(CUhandle e) { return destroy(e, "event"); }
CUresult cuEventRecord(CUhandle e, CUhandle s) { (void)s; return strcmp(e->kind, "event") ? INVALID_HANDLE : SUCCESS; }
CUresult cuEventSynchronize(CUhandle e) { return strcmp(e->kind, "event") ? INVALID_HANDLE : SUCCESS; }
CUresult cuEventElapsedTime(float *ms, CUhandle a, CUhandle b) { (void)a, (void)b; *ms = 1.5f; return SUCCESS; }
CUresult cuGetErrorName(CUresult r, const char **name) { (void)r; *name = "MOCK"; return SUCCESS; }
CUresult cuGetErrorString(CUresult r, const char **text_) { (void)r; *text_ = "mock"; return SUCCESS; }
