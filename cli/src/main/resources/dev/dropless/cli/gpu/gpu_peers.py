#!/usr/bin/env python3
"""Measures what PyTorch reaches on this GPU at the shapes of gpu-check, into the same JSON form ("dropless-gpu-1").

    python3 gpu_peers.py --json peers.json [--seconds 180] [--only ceilings]

Measured: a dense bf16 product in bursts and sustained; per shape, forward through torch._grouped_mm where it exists, and through a
loop over the experts. Both get rows that are already gathered and sorted; activation and combine are included. Times are medians of
five samples; a sample is at least 20 ms and comes after a pause, as in gpu-check. The sustained product runs for two seconds.
"""
import argparse
import json
import statistics
import sys
import time

SHAPES = [  # name, tokens, hidden, ffn, experts, top-k, gated
    ("olmoe-1b-7b", 16384, 2048, 1024, 64, 8, True),
    ("qwen3-30b-a3b", 32768, 2048, 768, 128, 8, True),
    ("mixtral-8x7b", 8192, 4096, 14336, 8, 2, True),
    ("decode-qwen3-t16", 16, 2048, 768, 128, 8, True),
    ("decode-mixtral-t16", 16, 4096, 14336, 8, 2, True),
    ("decode-olmoe-t1", 1, 2048, 1024, 64, 8, True),
    ("megablocks-medium", 8192, 1024, 4096, 64, 1, False),
    ("megablocks-small", 32768, 768, 3072, 64, 1, False),
    ("megablocks-xs", 65536, 512, 2048, 64, 1, False),
    ("megablocks-coarse", 8192, 4096, 16384, 4, 1, False),
    ("sonic-7b-n256", 24576, 1536, 256, 128, 8, True),
    ("sonic-30b-n1024", 32768, 4096, 1024, 64, 4, True),
    ("sonic-120b-n2048", 32768, 4096, 2048, 64, 4, True),
    ("dsv3-ep8", 32768, 7168, 2048, 32, 1, True),
    ("dsv3-full", 8192, 7168, 2048, 256, 8, True),
]


def sample(torch, work, runs):
    start = time.perf_counter()
    for _ in range(runs):
        work()
    torch.cuda.synchronize()
    return (time.perf_counter() - start) * 1e3


def runs_in(torch, work, milliseconds):
    sample(torch, work, 1)
    return int(max(1, min(1000, milliseconds / max(sample(torch, work, 1), 1e-3))))


def median_ms(torch, work, sample_ms=20.0):
    runs = runs_in(torch, work, sample_ms)
    samples = []
    for _ in range(5):
        time.sleep(sample_ms / 1e3)
        samples.append(sample(torch, work, runs) / runs)
    return statistics.median(samples)


def sustained_ms(torch, work, least_ms=2000.0):
    runs = runs_in(torch, work, least_ms / 8)
    spent, count = 0.0, 0
    while spent < least_ms:
        spent += sample(torch, work, runs)
        count += runs
    return spent / count


class Layer:
    """Rows sorted by expert, weights [experts, in, out]."""

    def __init__(self, torch, shape):
        name, tokens, hidden, ffn, experts, top_k, gated = shape
        self.torch, self.gated, self.top_k = torch, gated, top_k
        torch.manual_seed(0)
        make = dict(device="cuda", dtype=torch.bfloat16)
        self.x = torch.randn(tokens, hidden, **make)
        self.up = torch.randn(experts, hidden, 2 * ffn if gated else ffn, **make) / hidden**0.5
        self.down = torch.randn(experts, ffn, hidden, **make) / ffn**0.5
        ids = torch.rand(tokens, experts, device="cuda").topk(top_k, dim=1).indices.flatten()
        self.order = torch.argsort(ids, stable=True)
        self.token = self.order // top_k
        self.counts = torch.bincount(ids, minlength=experts)
        self.offsets = torch.cumsum(self.counts, 0).to(torch.int32)
        self.count_list = self.counts.tolist()
        self.weights = torch.rand(tokens * top_k, 1, **make)
        self.flops = 2.0 * tokens * top_k * hidden * (3 if gated else 2) * ffn

    def activate(self, pre):
        functional = self.torch.nn.functional
        if not self.gated:
            return functional.gelu(pre, approximate="tanh")
        gate, up = pre.chunk(2, dim=-1)
        return functional.silu(gate) * up

    def combine(self, rows):
        y = self.torch.zeros_like(self.x)
        return y.index_add_(0, self.token, rows * self.weights[self.order])

    def grouped(self):
        torch = self.torch
        pre = torch._grouped_mm(self.x[self.token], self.up, offs=self.offsets)
        return self.combine(torch._grouped_mm(self.activate(pre), self.down, offs=self.offsets))

    def loop(self):
        torch = self.torch
        rows = self.x[self.token]
        out = torch.empty_like(rows)
        first = 0
        for expert, count in enumerate(self.count_list):
            if count:
                part = slice(first, first + count)
                out[part] = self.activate(rows[part] @ self.up[expert]) @ self.down[expert]
                first += count
        return self.combine(out)


def ceilings(torch, add):
    size = 8192
    a = torch.randn(size, size, device="cuda", dtype=torch.bfloat16)
    b = torch.randn(size, size, device="cuda", dtype=torch.bfloat16)
    c = torch.empty_like(a)
    for name, measure in (("burst", median_ms), ("sustained", sustained_ms)):
        ms = measure(torch, lambda: torch.matmul(a, b.T, out=c))
        add(f"torch bf16 8192^3 {name}", ms, tflops=2.0 * size**3 / ms / 1e9)
    ms = median_ms(torch, lambda: c.copy_(a))
    add("torch copy 128 MiB", ms, gbps=2.0 * a.numel() * 2 / ms / 1e6)


def shapes(torch, add, notes, deadline):
    for shape in SHAPES:
        if time.monotonic() > deadline:
            notes.append(f"{shape[0]}: left out, the time was up")
            continue
        try:
            layer = Layer(torch, shape)
            paths = [("loop", layer.loop)]
            if hasattr(torch, "_grouped_mm"):
                paths.append(("grouped_mm", layer.grouped))
            else:
                notes.append("torch._grouped_mm does not exist in this version")
            for name, path in paths:
                ms = median_ms(torch, path)
                add(f"{shape[0]} forward {name}", ms, tflops=layer.flops / ms / 1e9)
            del layer
        except RuntimeError as e:  # out of memory, or a shape that an operation refuses
            notes.append(f"{shape[0]}: {str(e).splitlines()[0]}")
        torch.cuda.empty_cache()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", required=True)
    parser.add_argument("--seconds", type=float, default=180)
    parser.add_argument("--only", choices=["ceilings"], help="measure no shapes")
    options = parser.parse_args()
    try:
        import torch
    except ImportError:
        print("gpu_peers.py: PyTorch is not installed here", file=sys.stderr)
        return 1
    if not torch.cuda.is_available():
        print("gpu_peers.py: PyTorch finds no GPU", file=sys.stderr)
        return 1
    start = time.monotonic()
    deadline = start + options.seconds
    measurements, notes = [], []

    def add(name, ms, **rates):
        measurements.append({"name": name, "milliseconds": ms, **rates})

    ceilings(torch, add)
    if options.only != "ceilings":
        with torch.no_grad():
            shapes(torch, add, notes, deadline)
    facts = {
        "device": torch.cuda.get_device_name(),
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
    }
    report = {"facts": facts, "failed": 0, "comparisons": [], "measurements": measurements, "notes": notes}
    part = {"part": "peers", "report": report, "status": "passed", "seconds": int(time.monotonic() - start)}
    with open(options.json, "w", encoding="utf-8") as out:
        json.dump({"schema": "dropless-gpu-1", "source": "torch", "passed": True, "parts": [part]}, out, indent=2)
    return 0


if __name__ == "__main__":
    sys.exit(main())
