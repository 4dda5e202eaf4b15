/**
 * The CUDA back end: the JCuda driver API launches kernels that the jar carries as cubins and PTX; what JCuda lacks is called through {@code
 * java.lang.foreign}.
 *
 * <p>Nothing here touches a JCuda class before a probe through {@code java.lang.foreign} has found a driver, a device and every function that JCuda will
 * call: a class of JCuda whose static initialiser failed once stays broken for the life of the JVM, and a missing function ends the process.
 */
@NullMarked
package dev.dropless.kernels.cuda;

import org.jspecify.annotations.NullMarked;
