package dev.dropless.moe.family;

/** Receives the tensors of a layer that is exported: a checkpoint being written, whatever its file format. */
public interface TensorSink {

    /**
     * Takes a tensor of floating-point elements.
     *
     * @param tensor its data are readable during the call only
     */
    void tensor(StoredTensor tensor);

    /**
     * Takes a tensor of whole numbers.
     *
     * @param name its name
     * @param rows rows
     * @param columns columns
     * @param values its elements, row-major; a copy
     */
    void table(String name, int rows, int columns, int[] values);
}
