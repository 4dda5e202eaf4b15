package dev.dropless.kernels.cuda;

import dev.dropless.blocksparse.spi.Availability;
import java.lang.foreign.Arena;
import java.lang.foreign.SymbolLookup;
import java.util.List;
import java.util.Optional;
import jcuda.jcusparse.JCusparse;
import jcuda.jcusparse.cusparseHandle;
import jcuda.jcusparse.cusparseStatus;
import jcuda.runtime.cudaStream_t;
import org.jspecify.annotations.Nullable;

/** cuSPARSE's handle on one stream. */
final class CusparseLibrary implements Handles.Handle {

    /** The library that JCusparse is linked to; CUDA 12 and 13 have it. */
    static final String LIBRARY = "libcusparse.so.12";

    /** JCuda's library for cuSPARSE. */
    private static final String NATIVE = "JCusparse-12.6.0";

    private static final List<String> REQUIRED = List.of(
            "cusparseCreate",
            "cusparseDestroy",
            "cusparseSetStream",
            "cusparseCreateBlockedEll",
            "cusparseCreateDnMat",
            "cusparseDestroySpMat",
            "cusparseDestroyDnMat",
            "cusparseSpMM_bufferSize",
            "cusparseSpMM",
            "cusparseCreateMatDescr",
            "cusparseDestroyMatDescr",
            "cusparseSbsrmm");

    private final DeviceContext context;
    private final cusparseHandle handle = new cusparseHandle();

    CusparseLibrary(DeviceContext context, DeviceStream stream) {
        this.context = context;
        context.enter();
        check(JCusparse.cusparseCreate(handle), "opening cuSPARSE");
        context.handles().opened(this);
        check(JCusparse.cusparseSetStream(handle, new cudaStream_t(stream.handle())), "giving cuSPARSE a stream");
    }

    /** Tells whether cuSPARSE can be used beside a driver. JCusparse is not touched unless all is there. */
    static Availability availability(CudaAvailability driver, String library) {
        if (driver.cause() != null) {
            return driver.availability();
        }
        return missing(library)
                .or(() -> CudaAvailability.missingNative(NATIVE))
                .map(Availability::unavailable)
                .orElseGet(driver::availability);
    }

    private static Optional<String> missing(String library) {
        try {
            SymbolLookup lookup = SymbolLookup.libraryLookup(library, Arena.global());
            List<String> absent =
                    REQUIRED.stream().filter(f -> lookup.find(f).isEmpty()).toList();
            return absent.isEmpty()
                    ? Optional.empty()
                    : Optional.of("%s lacks %s".formatted(library, String.join(", ", absent)));
        } catch (IllegalArgumentException e) {
            return Optional.of(
                    "no cuSPARSE: %s cannot be opened (install the CUDA toolkit, or put its folder on LD_LIBRARY_PATH)"
                            .formatted(library));
        }
    }

    /** Returns if a call succeeded. */
    static void check(int status, String attempted) {
        if (status != cusparseStatus.CUSPARSE_STATUS_SUCCESS) {
            throw new IllegalStateException(
                    "%s: %s (%d)".formatted(attempted, cusparseStatus.stringFor(status), status));
        }
    }

    /** What JCusparse calls it. */
    cusparseHandle handle() {
        return handle;
    }

    @Override
    public String kind() {
        return "cusparse handle";
    }

    @Override
    public void close() {
        if (context.handles().closed(this)) {
            context.enter();
            check(JCusparse.cusparseDestroy(handle), "closing cuSPARSE");
        }
    }

    /** The name of the back end, for messages about an operation that it has not. */
    static UnsupportedOperationException refusal(String operation, @Nullable String reason) {
        return new UnsupportedOperationException("backend %s has no %s%s: choose backend %s"
                .formatted(CusparseBackend.NAME, operation, reason == null ? "" : " " + reason, CudaBackend.NAME));
    }
}
