package dev.dropless.benchmarks.peers;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;

/** Native libraries that lie in jars: unpacked into a folder of their own, loaded for the life of the process. */
final class NativeLibraries {

    private static final Linker LINKER = Linker.nativeLinker();

    private final SymbolLookup symbols;

    /**
     * Unpacks and loads.
     *
     * @param folder folder inside the jar
     * @param files those that others need first; symbols are looked up in all
     */
    NativeLibraries(String folder, List<String> files) {
        try {
            Path target = Files.createTempDirectory("dropless-peer");
            SymbolLookup found = name -> Optional.empty();
            for (String file : files) {
                try (InputStream in = NativeLibraries.class.getResourceAsStream("/" + folder + "/" + file)) {
                    if (in == null) {
                        throw new IllegalStateException(folder + "/" + file + ": not on the class path");
                    }
                    Files.copy(in, target.resolve(file));
                }
                found = SymbolLookup.libraryLookup(target.resolve(file), Arena.global())
                        .or(found);
            }
            for (String file : files) {
                Files.delete(target.resolve(file)); // the mapping stays
            }
            Files.delete(target);
            symbols = found;
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** A function that returns nothing or something, by name. */
    MethodHandle function(String name, FunctionDescriptor descriptor) {
        return LINKER.downcallHandle(
                symbols.find(name).orElseThrow(() -> new IllegalStateException(name + ": no such symbol")), descriptor);
    }

    /** Sets an environment variable of this process, which libraries read when they are loaded. */
    static void environment(String name, String value) {
        MethodHandle setenv = LINKER.downcallHandle(
                LINKER.defaultLookup().find("setenv").orElseThrow(),
                FunctionDescriptor.of(
                        ValueLayout.JAVA_INT, ValueLayout.ADDRESS, ValueLayout.ADDRESS, ValueLayout.JAVA_INT));
        try (Arena arena = Arena.ofConfined()) {
            call(setenv, arena.allocateFrom(name), arena.allocateFrom(value), 1);
        }
    }

    /** Calls with boxed arguments. */
    static Object call(MethodHandle handle, Object... arguments) {
        return unchecked(() -> handle.invokeWithArguments(arguments));
    }

    /**
     * A call through a method handle, which declares {@code Throwable} although downcalls throw no checked exception.
     *
     * @param <T> result type
     */
    @FunctionalInterface
    interface Call<T> {
        T call() throws Throwable;
    }

    /** Makes the call; unchecked exceptions pass through. The one place that has to say so. */
    static <T> T unchecked(Call<T> call) {
        try {
            return call.call();
        } catch (RuntimeException | Error e) {
            throw e;
        } catch (Throwable e) {
            throw new IllegalStateException("a downcall threw a checked exception", e);
        }
    }

    /** The text at an address that a library returned. */
    static String text(Object address) {
        return ((MemorySegment) address).reinterpret(4096).getString(0);
    }
}
