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
import java.net.URISyntaxException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.List;
import java.util.Optional;

/** Native libraries that lie in jars: unpacked into a folder of their own, loaded for the life of the process. */
final class NativeLibraries {

    private static final Linker LINKER = Linker.nativeLinker();

    private final SymbolLookup symbols;

    private NativeLibraries(SymbolLookup symbols) {
        this.symbols = symbols;
    }

    /**
     * Unpacks for a moment, and loads.
     *
     * @param folder folder inside the jar
     * @param files those that others need first; symbols are looked up in all
     */
    NativeLibraries(String folder, List<String> files) {
        try {
            Path target = Files.createTempDirectory("dropless-peer");
            SymbolLookup found = name -> Optional.empty();
            for (String file : files) {
                unpack(folder, file, target.resolve(file));
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

    /**
     * Unpacks, unless that was done before, and loads libraries that look for others beside them, or that are large.
     *
     * @param folder folder inside the jar
     * @param beside files that are only unpacked
     * @param files those to load, in order; symbols are looked up in all
     */
    static NativeLibraries kept(String folder, List<String> beside, List<String> files) {
        Path target = keptFolder(folder);
        try {
            Files.createDirectories(target);
            SymbolLookup found = name -> Optional.empty();
            for (String file : beside) {
                unpackOnce(folder, file, target);
            }
            for (String file : files) {
                unpackOnce(folder, file, target);
                found = SymbolLookup.libraryLookup(target.resolve(file), Arena.global())
                        .or(found);
            }
            return new NativeLibraries(found);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /**
     * Names a folder that lasts as long as the build: beside this jar.
     *
     * @param name of what it is for
     * @return the folder, which need not exist
     */
    static Path keptFolder(String name) {
        try {
            Path jar = Path.of(NativeLibraries.class
                    .getProtectionDomain()
                    .getCodeSource()
                    .getLocation()
                    .toURI());
            return jar.resolveSibling("native").resolve(name);
        } catch (URISyntaxException e) {
            throw new IllegalStateException(e);
        }
    }

    /** The file appears whole: another JVM may unpack it at the same time. */
    private static void unpackOnce(String folder, String file, Path target) throws IOException {
        if (!Files.exists(target.resolve(file))) {
            Path part = Files.createTempDirectory(target, "part").resolve(file);
            unpack(folder, file, part);
            Files.move(part, target.resolve(file), StandardCopyOption.ATOMIC_MOVE);
            Files.delete(part.getParent());
        }
    }

    private static void unpack(String folder, String file, Path target) throws IOException {
        try (InputStream in = NativeLibraries.class.getResourceAsStream("/" + folder + "/" + file)) {
            if (in == null) {
                throw new IllegalStateException(folder + "/" + file + ": not on the class path");
            }
            Files.copy(in, target);
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
