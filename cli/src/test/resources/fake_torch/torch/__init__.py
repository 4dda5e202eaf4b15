"""Stands in for PyTorch in the test of gpu_peers.py: every operation returns at once, tensors know their shape where the script asks."""
from types import SimpleNamespace

bfloat16 = "bfloat16"
int32 = "int32"
__version__ = "0.0-fake"
version = SimpleNamespace(cuda="0.0")


class Tensor:
    def __init__(self, *shape):
        self.shape = shape

    T = property(lambda self: self)
    indices = property(lambda self: self)

    def __getitem__(self, key):
        return self

    def __setitem__(self, key, value):
        pass

    def _same(self, *args, **kwargs):
        return self

    flatten = topk = to = copy_ = index_add_ = _same
    __matmul__ = __mul__ = __truediv__ = __floordiv__ = _same

    def chunk(self, n, dim):
        return (self,) * n

    def numel(self):
        product = 1
        for size in self.shape:
            product *= size
        return product

    def tolist(self):
        return [1] * self.shape[0]


def randn(*shape, **options):
    return Tensor(*shape)


rand = randn


def empty_like(tensor):
    return tensor


zeros_like = empty_like


def matmul(a, b, out):
    return out


def argsort(ids, stable):
    return ids


def bincount(ids, minlength):
    return Tensor(minlength)


def cumsum(counts, dim):
    return counts


def manual_seed(seed):
    pass


def _grouped_mm(a, b, offs):
    if b.shape[0] == 256:
        raise RuntimeError("out of memory\nwith details")
    return a


class no_grad:
    def __enter__(self):
        pass

    def __exit__(self, *error):
        pass


nn = SimpleNamespace(functional=SimpleNamespace(gelu=lambda x, approximate: x, silu=lambda x: x))
cuda = SimpleNamespace(
    is_available=lambda: True, synchronize=lambda: None, empty_cache=lambda: None, get_device_name=lambda: "fake device"
)
