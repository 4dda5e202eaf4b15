package dev.dropless.kernels.cuda;

import dev.dropless.blocksparse.spi.Availability;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import jcuda.LibUtils;
import jcuda.driver.CUresult;
import jcuda.driver.JCudaDriver;
import org.jspecify.annotations.Nullable;

/**
 * Whether the driver and JCuda can be used together.
 *
 * @param library name or path of the driver's library
 * @param probe what it offers
 * @param cause why CUDA cannot be used, or null
 */
record CudaAvailability(
        String library, DriverProbe probe, @Nullable String cause) {

    /** JCuda's library for the driver. */
    static final String DRIVER_NATIVE = "JCudaDriver-12.6.0";

    /** The one result for this process, found when first asked for. */
    private static final class Remembered {
        static final CudaAvailability VALUE = of(DriverProbe.LIBRARY);
    }

    /** Probes the installed driver once. */
    static CudaAvailability remembered() {
        return Remembered.VALUE;
    }

    /** Probes a driver; JCuda is touched last, when everything it needs is known to be there. */
    static CudaAvailability of(String library) {
        DriverProbe probe = DriverProbe.of(library);
        String cause = probe.cause();
        if (cause == null) {
            cause = missingNative(DRIVER_NATIVE).orElseGet(CudaAvailability::jcudaFails);
        }
        return new CudaAvailability(library, probe, cause);
    }

    /**
     * Tells why a native library of JCuda could not be found, without loading it or the class that would.
     *
     * @param name as in {@link LibUtils#loadLibrary}
     * @return one line, or empty if it is there
     */
    static Optional<String> missingNative(String name) {
        String file = System.mapLibraryName(LibUtils.createPlatformLibraryName(name));
        boolean onPath = Stream.of(System.getProperty("java.library.path", "").split(java.io.File.pathSeparator))
                .anyMatch(folder -> !folder.isEmpty() && Files.isRegularFile(Path.of(folder, file)));
        if (onPath || LibUtils.class.getResource("/lib/" + file) != null) {
            return Optional.empty();
        }
        return Optional.of(
                "JCuda's native library %s was not found: name its folder in -Djava.library.path".formatted(file));
    }

    /** Loads JCuda and calls the driver through it once. */
    private static @Nullable String jcudaFails() {
        try {
            int result = JCudaDriver.cuInit(0);
            return result == CUresult.CUDA_SUCCESS
                    ? null
                    : "JCuda cannot start the driver: " + CUresult.stringFor(result);
        } catch (LinkageError e) {
            String reason = Stream.of(String.valueOf(e.getMessage()).split("\\R"))
                    .map(String::strip)
                    .filter(line -> !line.isEmpty())
                    .collect(Collectors.joining(" "));
            return "JCuda's native library does not load: " + reason;
        }
    }

    /** As the SPI wants it. */
    Availability availability() {
        if (cause != null) {
            return Availability.unavailable(cause);
        }
        int version = probe.driverVersion();
        return Availability.available(
                probe.devices().stream().map(DriverProbe.Device::describe).collect(Collectors.joining("; "))
                        + "; driver for CUDA %d.%d".formatted(version / 1000, version % 1000 / 10));
    }

    /** Throws the cause, if there is one. */
    void require(String backend) {
        if (cause != null) {
            throw new IllegalStateException("backend %s is not available: %s".formatted(backend, cause));
        }
    }
}
