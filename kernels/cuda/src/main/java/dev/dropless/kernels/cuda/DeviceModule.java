package dev.dropless.kernels.cuda;

import static dev.dropless.kernels.cuda.CudaResults.check;

import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import jcuda.driver.CUmodule;
import jcuda.driver.JCudaDriver;

/** A loaded image of kernels. */
final class DeviceModule implements Handles.Handle {

    private final DeviceContext context;
    private final CUmodule module = new CUmodule();
    private final String name;
    private final Map<String, DeviceFunction> functions = new ConcurrentHashMap<>();

    /**
     * Loads an image.
     *
     * @param name for messages
     * @param image a cubin, or PTX text that ends with a zero byte
     */
    DeviceModule(DeviceContext context, String name, byte[] image) {
        this.context = context;
        this.name = name;
        context.enter();
        check(JCudaDriver.cuModuleLoadData(module, image), "loading kernels " + name);
        context.handles().opened(this);
    }

    /**
     * Finds a kernel; the same object for the same name.
     *
     * @throws CudaException if there is none of that name
     */
    DeviceFunction function(String kernel) {
        return functions.computeIfAbsent(kernel, k -> {
            context.enter();
            DeviceFunction.Raw raw = new DeviceFunction.Raw();
            check(JCudaDriver.cuModuleGetFunction(raw, module, k), "finding kernel " + k + " in " + name);
            return new DeviceFunction(context, k, raw);
        });
    }

    @Override
    public String kind() {
        return "module";
    }

    @Override
    public void close() {
        if (context.handles().closed(this)) {
            context.enter();
            check(JCudaDriver.cuModuleUnload(module), "unloading kernels " + name);
        }
    }
}
