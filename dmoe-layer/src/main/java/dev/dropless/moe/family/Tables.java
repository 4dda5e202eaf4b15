package dev.dropless.moe.family;

/** Tensors of whole numbers that decide what a layer computes and are not trained: DeepSeek-V4's experts by token id. */
public interface Tables {

    /** No tables, for models that have none. */
    Tables NONE = new Tables() {
        @Override
        public boolean has(String name) {
            return false;
        }

        @Override
        public int[] table(String name, int rows, int columns) {
            throw new IllegalArgumentException(
                    "tensor %s: expected shape [%d, %d], found no such tensor".formatted(name, rows, columns));
        }
    };

    /**
     * Tells whether there is a table.
     *
     * @param name name of the tensor, without the prefix of the layer
     * @return true if {@link #table} finds it
     */
    boolean has(String name);

    /**
     * Reads a table.
     *
     * @param name name of the tensor, without the prefix of the layer
     * @param rows expected rows
     * @param columns expected columns
     * @return its elements, row-major
     * @throws IllegalArgumentException if it is missing, or has another shape or type; the message names it
     */
    int[] table(String name, int rows, int columns);

    /**
     * The tables of one layer of a checkpoint.
     *
     * @param source the checkpoint
     * @param prefix what its names have before those of the layer; may be empty
     * @return a view
     */
    static Tables of(TensorSource source, String prefix) {
        return new Tables() {
            @Override
            public boolean has(String name) {
                return source.names().contains(prefix + name);
            }

            @Override
            public int[] table(String name, int rows, int columns) {
                return source.table(prefix + name, rows, columns);
            }
        };
    }
}
