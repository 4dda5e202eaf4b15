package dev.dropless.kernels.tornado.sdk;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.ServiceLoader;
import org.junit.jupiter.api.Test;
import uk.ac.manchester.tornado.api.common.Access;
import uk.ac.manchester.tornado.api.common.LibraryTaskDescriptor;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.runtime.library.spi.LibraryContext;
import uk.ac.manchester.tornado.runtime.library.spi.LibraryInvocation;
import uk.ac.manchester.tornado.runtime.library.spi.TornadoLibraryProvider;
import uk.ac.manchester.tornado.runtime.library.spi.TornadoNativeStreamSupport;

/** What library tasks ask of the driver, which here only writes it down. */
class CudaLibraryTest {

    private static final long STREAM = 77;
    private static final long CONTEXT = 55;
    private static final long FIRST_POINTER = 0x1000;

    private static final TornadoNativeStreamSupport STREAMS = new TornadoNativeStreamSupport() {
        @Override
        public long getNativeStream(long executionPlanId) {
            return STREAM;
        }

        @Override
        public long getNativeContext(long executionPlanId) {
            return CONTEXT;
        }
    };

    /** Writes down what it is asked for. */
    private static final class Recorder implements CudaCalls {
        final List<String> calls = new ArrayList<>();
        final int architecture;
        long[] words = {};

        Recorder(int architecture) {
            this.architecture = architecture;
        }

        @Override
        public int architecture(long context) {
            return architecture;
        }

        @Override
        public long loadModule(long context, byte[] image) {
            calls.add("load " + (image[0] == 0x7f && image[1] == 'E' ? "cubin" : "ptx"));
            return 1;
        }

        @Override
        public long function(long context, long module, String name, int sharedBytes) {
            calls.add("find " + name);
            return 2;
        }

        @Override
        public void launch(long context, long function, Launch launch, long[] newWords) {
            assertThat(context).isEqualTo(CONTEXT);
            assertThat(launch.stream()).isEqualTo(STREAM);
            calls.add("launch %d x %d".formatted(launch.blocks(), launch.threads()));
            words = newWords;
        }

        @Override
        public void unloadModule(long context, long module) {
            calls.add("unload");
        }
    }

    private static LibraryInvocation invocation(LibraryTaskDescriptor task, LibraryContext context) {
        Object[] words = task.getParameters();
        long[] pointers = new long[words.length];
        boolean[] references = new boolean[words.length];
        for (int i = 0; i < words.length; i++) {
            references[i] = !(words[i] instanceof Number);
            pointers[i] = references[i] ? FIRST_POINTER + i : 0;
        }
        return new LibraryInvocation(words, pointers, references, null, 1, context, task.getTuning());
    }

    @Test
    void aProductIsLaunchedOnTornadosStreamWithTheWordsOfTheInterface() {
        Recorder driver = new Recorder(90);
        CudaLibraryProvider provider = new CudaLibraryProvider(() -> driver);
        LibraryTaskDescriptor task =
                CudaLibrary.gemm(new FloatArray(300 * 5), new FloatArray(5 * 7), new FloatArray(300 * 7), 300, 7, 5);
        LibraryContext context = provider.createContext(STREAMS, 1);
        provider.prepare(task, context);
        provider.prepare(task, context);
        provider.dispatch(task.getFunctionName(), invocation(task, context));
        provider.dispatch(task.getFunctionName(), invocation(task, context));
        provider.destroyContext(context);
        assertThat(driver.calls)
                .containsExactly(
                        "load cubin", "find dropless_matmul_nn_f32", "launch 3 x 256", "launch 3 x 256", "unload");
        long[] expected = new long[24];
        long[] first = {0, FIRST_POINTER + 1, 5, 0, FIRST_POINTER + 4, 7, 0, FIRST_POINTER + 7, 7, 0, 300, 7, 5};
        System.arraycopy(first, 0, expected, 0, first.length);
        expected[23] = 1;
        assertThat(driver.words).isEqualTo(expected);
        assertThat(task.getAccess()[7]).isEqualTo(Access.WRITE_ONLY);
    }

    @Test
    void imagesSuitTheDevice() {
        for (int architecture : new int[] {80, 86, 90, 120}) {
            Recorder driver = new Recorder(architecture);
            CudaLibraryProvider provider = new CudaLibraryProvider(() -> driver);
            LibraryTaskDescriptor task = CudaLibrary.fillZero(new FloatArray(30), 5, 6);
            LibraryContext context = provider.createContext(STREAMS, 1);
            provider.prepare(task, context);
            assertThat(driver.calls.getFirst()).isEqualTo(architecture < 100 ? "load cubin" : "load ptx");
        }
        CudaLibraryProvider old = new CudaLibraryProvider(() -> new Recorder(75));
        LibraryContext context = old.createContext(STREAMS, 1);
        assertThatIllegalArgumentException()
                .isThrownBy(() -> old.prepare(CudaLibrary.fillZero(new FloatArray(1), 1, 1), context))
                .withMessage("device: expected compute capability 8.0 or newer, found 7.5");
    }

    @Test
    void wrongNumbersOfWordsAreRefused() {
        Access[] access = new Access[3];
        Arrays.fill(access, Access.NONE);
        assertThatIllegalArgumentException()
                .isThrownBy(() -> CudaLibrary.task("fill_zero", new CudaLibrary.Grid(1), access, 1L))
                .withMessageStartingWith("access: expected 1");
        CudaLibraryProvider provider = new CudaLibraryProvider(() -> new Recorder(90));
        LibraryContext context = provider.createContext(STREAMS, 1);
        LibraryTaskDescriptor task = CudaLibrary.task("fill_zero", new CudaLibrary.Grid(1), access, 1L, 2L, 3L);
        assertThatIllegalArgumentException()
                .isThrownBy(() -> provider.dispatch("fill_zero", invocation(task, context)))
                .withMessage("words: expected 5 for kernel fill_zero, found 3");
    }

    @Test
    void theRuntimeFindsTheLibrary() {
        assertThat(ServiceLoader.load(TornadoLibraryProvider.class))
                .extracting(TornadoLibraryProvider::libraryName)
                .contains(CudaLibrary.NAME);
    }
}
