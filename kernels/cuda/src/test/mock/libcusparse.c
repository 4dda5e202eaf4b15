// The functions of cuSPARSE that the host side calls, computed on the CPU over the mock driver's memory: products of a Blocked-ELL
// matrix (values row-major [rows, ellCols], as NVIDIA's dense2sparse_blockedell example prints them; block columns row-major
// [rows / block, ellCols / block], -1 for no block) and of a BSR matrix (legacy, dense matrices column-major).
//
// Build: gcc -shared -fPIC -O1 -Wall -Wl,-soname,libcusparse.so.12 -Wl,--default-symver -o libcusparse.so.12 libcusparse.c
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { SUCCESS = 0, INVALID_VALUE = 3, NOT_SUPPORTED = 10 };
enum { R_32F = 0, R_16F = 2, R_16BF = 14 };
enum { ROW = 2, COLUMN = 1 };  // cusparseOrder_t

static long open_objects, products;
long mock_cusparse_open(void) { return open_objects; }
long mock_cusparse_products(void) { return products; }

static void *make(size_t bytes) {
    open_objects++;
    return calloc(1, bytes);
}
static int destroy(void *object) {
    if (!object) return INVALID_VALUE;
    open_objects--;
    free(object);
    return SUCCESS;
}

static float element(const void *data, int type, int64_t i) {
    if (type == R_32F) return ((const float *)data)[i];
    if (type == R_16F) return (float)((const _Float16 *)data)[i];
    uint32_t bits = (uint32_t)((const uint16_t *)data)[i] << 16;
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}
static void set_element(void *data, int type, int64_t i, float x) {
    if (type == R_32F) ((float *)data)[i] = x;
    else if (type == R_16F) ((_Float16 *)data)[i] = (_Float16)x;
    else {
        uint32_t bits;
        memcpy(&bits, &x, sizeof bits);
        uint16_t high = isnan(x) ? 0x7FFF : (uint16_t)((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
        ((uint16_t *)data)[i] = high;
    }
}

struct Library { void *stream; };
int cusparseCreate(struct Library **l) { *l = make(sizeof **l); return SUCCESS; }
int cusparseDestroy(struct Library *l) { return destroy(l); }
int cusparseSetStream(struct Library *l, void *stream) { l->stream = stream; return stream ? SUCCESS : INVALID_VALUE; }

struct Ell { int64_t rows, columns, block, ell_columns; const int *column; const void *values; int type; };
int cusparseCreateBlockedEll(struct Ell **m, int64_t rows, int64_t columns, int64_t block, int64_t ell_columns, void *column,
                             void *values, int index_type, int index_base, int type) {
    if (rows % block || columns % block || ell_columns % block || ell_columns > columns) return INVALID_VALUE;
    if (index_type != 2 || index_base != 0 || (type != R_16F && type != R_16BF)) return NOT_SUPPORTED;
    if (block & (block - 1)) return NOT_SUPPORTED;
    *m = make(sizeof **m);
    **m = (struct Ell){rows, columns, block, ell_columns, column, values, type};
    return SUCCESS;
}
int cusparseDestroySpMat(struct Ell *m) { return destroy(m); }

struct Dense { int64_t rows, columns, stride; void *values; int type, order; };
int cusparseCreateDnMat(struct Dense **m, int64_t rows, int64_t columns, int64_t stride, void *values, int type, int order) {
    if (stride < (order == ROW ? columns : rows)) return INVALID_VALUE;
    *m = make(sizeof **m);
    **m = (struct Dense){rows, columns, stride, values, type, order};
    return SUCCESS;
}
int cusparseDestroyDnMat(struct Dense *m) { return destroy(m); }
static int64_t at(const struct Dense *m, int64_t row, int64_t column) {
    return m->order == ROW ? row * m->stride + column : column * m->stride + row;
}

static int check(struct Library *l, int op_a, int op_b, const struct Ell *a, const struct Dense *b, const struct Dense *c, int sums) {
    if (!l || !l->stream) return INVALID_VALUE;
    if (op_a != 0 || op_b > 1 || sums != R_32F) return NOT_SUPPORTED;
    if (a->type != b->type || b->type != c->type || b->order != c->order) return NOT_SUPPORTED;
    int64_t depth = op_b ? b->columns : b->rows, width = op_b ? b->rows : b->columns;
    return a->columns == depth && a->rows == c->rows && width == c->columns ? SUCCESS : INVALID_VALUE;
}
int cusparseSpMM_bufferSize(struct Library *l, int op_a, int op_b, const void *alpha, const struct Ell *a, const struct Dense *b,
                            const void *beta, struct Dense *c, int sums, int algorithm, size_t *bytes) {
    (void)alpha, (void)beta, (void)algorithm;
    *bytes = 64;
    return check(l, op_a, op_b, a, b, c, sums);
}
int cusparseSpMM(struct Library *l, int op_a, int op_b, const float *alpha, const struct Ell *a, const struct Dense *b,
                 const float *beta, struct Dense *c, int sums, int algorithm, void *buffer) {
    int status = check(l, op_a, op_b, a, b, c, sums);
    if (status != SUCCESS) return status;
    if (algorithm != 0 && algorithm != 13) return NOT_SUPPORTED;
    memset(buffer, 0xFF, 64);
    int64_t per_row = a->ell_columns / a->block;
    for (int64_t i = 0; i < c->rows; i++) {
        for (int64_t j = 0; j < c->columns; j++) {
            float sum = 0;
            for (int64_t e = 0; e < a->ell_columns; e++) {
                int column = a->column[i / a->block * per_row + e / a->block];
                if (column < 0) continue;
                int64_t k = column * a->block + e % a->block;
                sum = fmaf(element(a->values, a->type, i * a->ell_columns + e),
                           element(b->values, b->type, op_b ? at(b, j, k) : at(b, k, j)), sum);
            }
            float before = *beta == 0 ? 0 : *beta * element(c->values, c->type, at(c, i, j));
            set_element(c->values, c->type, at(c, i, j), *alpha * sum + before);
        }
    }
    products++;
    return SUCCESS;
}

int cusparseCreateMatDescr(void **d) { *d = make(8); return SUCCESS; }
int cusparseDestroyMatDescr(void *d) { return destroy(d); }
int cusparseSbsrmm(struct Library *l, int direction, int op_a, int op_b, int block_rows, int n, int block_columns, int blocks,
                   const float *alpha, const void *description, const float *values, const int *first, const int *column, int size,
                   const float *b, int ldb, const float *beta, float *c, int ldc) {
    if (!l || !l->stream || !description) return INVALID_VALUE;
    if (op_a != 0 || op_b > 1) return NOT_SUPPORTED;
    if (first[0] != 0 || first[block_rows] != blocks) return INVALID_VALUE;
    if (ldb < (op_b ? n : block_columns * size) || ldc < block_rows * size) return INVALID_VALUE;
    for (int i = 0; i < block_rows * size; i++) {
        for (int j = 0; j < n; j++) {
            float sum = 0;
            for (int z = first[i / size]; z < first[i / size + 1]; z++) {
                for (int e = 0; e < size; e++) {
                    int64_t inside = direction == 0 ? (int64_t)(i % size) * size + e : (int64_t)e * size + i % size;
                    int64_t k = (int64_t)column[z] * size + e;
                    sum = fmaf(values[(int64_t)z * size * size + inside], op_b ? b[k * ldb + j] : b[j * (int64_t)ldb + k], sum);
                }
            }
            float *to = &c[j * (int64_t)ldc + i];
            *to = *alpha * sum + (*beta == 0 ? 0 : *beta * *to);
        }
    }
    products++;
    return SUCCESS;
}
