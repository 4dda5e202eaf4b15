package dev.dropless.kernels.cuda;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.dropless.blocksparse.spi.BackendOptions;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * The mock of libcuda.so.1 in src/test/mock, compiled with gcc and loaded into this JVM by its path: the loader then takes it for libcuda.so.1 wherever that is asked for,
 * by JCuda too. A JVM that has loaded it cannot use the real driver any more.
 */
final class MockDriver {

    static final int OUT_OF_MEMORY = 2;

    private final Path file;
    private final SymbolLookup lookup;

    private MockDriver(Path file) {
        this.file = file;
        this.lookup = SymbolLookup.libraryLookup(file, Arena.global());
    }

    /** Opens the first device with one of the engines, or, for null, the best. */
    CudaKernels open(@Nullable CudaEngine engine, HopperTuning tuning, int threads) {
        return open(new CudaSettings(engine, tuning, true), threads);
    }

    /** Opens the first device. */
    CudaKernels open(CudaSettings settings, int threads) {
        return CudaKernels.open(availability(), CudaBackend.NAME, BackendOptions.threads(threads), settings);
    }

    /** Builds and loads it; the test is skipped without gcc. */
    static MockDriver load() {
        return new MockDriver(compile("gcc", List.of("-Wl,-soname,libcuda.so.1"), "libcuda.c", "libcuda.so.1", "-ldl"));
    }

    /** As {@link #load}, with the kernels' own source behind it; the test is skipped without g++. */
    static MockDriver emulating() {
        MockDriver driver = load();
        driver.executeWith(emulation().find("emulated_launch").orElseThrow());
        return driver;
    }

    /** The kernels' source compiled for the CPU, once for all tests: it takes a quarter of a minute. */
    static SymbolLookup emulation() {
        Path kept = Path.of("target", "mock", "emulated-" + newestSource(), "libemulated.so");
        if (!Files.isRegularFile(kept)) {
            Path compiled = compile(
                    "g++",
                    List.of(
                            "-std=c++20",
                            "-Wno-unknown-pragmas",
                            "-DDROPLESS_EMULATOR",
                            "-I../../main/cuda",
                            "-I../cuda"),
                    "emulated.cpp",
                    "libemulated.so");
            try {
                Files.createDirectories(kept.getParent());
                Files.move(compiled, kept, StandardCopyOption.ATOMIC_MOVE);
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        }
        return SymbolLookup.libraryLookup(kept.toAbsolutePath(), Arena.global());
    }

    /** When a file that the emulation is made of was last changed. */
    private static long newestSource() {
        try (Stream<Path> kernels = Files.list(Path.of("src", "main", "cuda"));
                Stream<Path> emulator = Files.list(Path.of("src", "test", "cuda"));
                Stream<Path> mock = Files.list(Path.of("src", "test", "mock"))) {
            return Stream.of(kernels, emulator, mock)
                    .flatMap(files -> files)
                    .mapToLong(file -> file.toFile().lastModified())
                    .max()
                    .orElseThrow();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** Compiles one file of the mock folder to a shared library in a new folder below target. */
    static Path compile(String compiler, List<String> options, String source, String library, String... last) {
        assumeTrue(hasCommand(compiler), compiler + " is not installed: nothing can stand in for libcuda.so.1");
        try {
            Path folder = Files.createTempDirectory(Files.createDirectories(Path.of("target", "mock")), "lib");
            Path target = folder.resolve(library).toAbsolutePath();
            List<String> command = new ArrayList<>(List.of(compiler, "-shared", "-fPIC", "-O1", "-Wall"));
            command.addAll(options);
            command.addAll(List.of("-o", target.toString(), source));
            command.addAll(List.of(last));
            Process process = new ProcessBuilder(command)
                    .directory(Path.of("src", "test", "mock").toFile())
                    .redirectErrorStream(true)
                    .start();
            String output =
                    new String(process.getInputStream().readAllBytes(), java.nio.charset.StandardCharsets.UTF_8);
            if (!process.waitFor(2, TimeUnit.MINUTES) || process.exitValue() != 0) {
                throw new IllegalStateException(command + ": " + output);
            }
            return target;
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        } catch (InterruptedException e) {
            throw new IllegalStateException(e);
        }
    }

    private static boolean hasCommand(String name) {
        return java.util.Arrays.stream(System.getenv("PATH").split(":"))
                .anyMatch(folder -> Files.isExecutable(Path.of(folder, name)));
    }

    /** Path of the library. */
    String library() {
        return file.toString();
    }

    /** What the back end finds. */
    CudaAvailability availability() {
        return CudaAvailability.of(library());
    }

    /** A context on its first device. */
    DeviceContext open() {
        return DeviceContext.open(DriverProbe.of(library()), library(), 0);
    }

    /** Lets the next call of a function return this. */
    void fail(String function, int result) {
        try (Arena arena = Arena.ofConfined()) {
            call("mock_fail", null, arena.allocateFrom(function), result);
        }
    }

    /** Says what the arguments of a kernel are, so that launches are written down with them. */
    void signature(String kernel, String types) {
        try (Arena arena = Arena.ofConfined()) {
            call("mock_signature", null, arena.allocateFrom(kernel), arena.allocateFrom(types));
        }
    }

    /** Changes version, architecture and number of devices. */
    void device(int version, int architecture, int count) {
        call("mock_device", null, version, architecture, count);
    }

    /** Lets kernels run: a function of name, grid, block, shared bytes, parameters. */
    void executeWith(MemorySegment function) {
        call("mock_execute_with", null, function);
    }

    void memoryLimit(long bytes) {
        call("mock_memory_limit", null, bytes);
    }

    long openHandles() {
        return (long) call("mock_open_handles", JAVA_LONG);
    }

    long openBytes() {
        return (long) call("mock_open_bytes", JAVA_LONG);
    }

    /** What happened since the last call, one line each. */
    List<String> log() {
        try (Arena arena = Arena.ofConfined()) {
            long size = 1 << 20;
            MemorySegment text = arena.allocate(size);
            call("mock_take_log", JAVA_LONG, text, size);
            return text.getString(0).lines().toList();
        }
    }

    private Object call(String function, ValueLayout result, Object... arguments) {
        MemoryLayout[] layouts = new MemoryLayout[arguments.length];
        for (int i = 0; i < arguments.length; i++) {
            layouts[i] = switch (arguments[i]) {
                case MemorySegment _ -> ADDRESS;
                case Long _ -> JAVA_LONG;
                default -> JAVA_INT;
            };
        }
        FunctionDescriptor type =
                result == null ? FunctionDescriptor.ofVoid(layouts) : FunctionDescriptor.of(result, layouts);
        try {
            return Linker.nativeLinker()
                    .downcallHandle(lookup.find(function).orElseThrow(), type)
                    .invokeWithArguments(arguments);
        } catch (Throwable e) {
            throw new IllegalStateException(function, e);
        }
    }
}
