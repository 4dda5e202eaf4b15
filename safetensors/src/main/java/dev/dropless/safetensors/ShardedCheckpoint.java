package dev.dropless.safetensors;

import java.io.IOException;
import java.nio.file.DirectoryIteratorException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;

/**
 * The tensors of a checkpoint, whether it is one file or many shards with an index.
 *
 * <p>An index is a JSON object whose {@code weight_map} maps tensor names to shard files relative to the index, as
 * Hugging Face checkpoints have it. A shard is opened when a tensor of it is first asked for, so that a few shards of a
 * large checkpoint are enough to read a few layers. Safe for use by several threads.
 */
public final class ShardedCheckpoint implements AutoCloseable {

    private static final String DEFAULT_FILE = "model.safetensors";
    private static final String FILE_SUFFIX = ".safetensors";
    private static final String INDEX_SUFFIX = ".safetensors.index.json";

    private final Path origin;
    private final Map<String, Path> shardOfTensor;
    private final List<String> names;
    private final Map<Path, SafetensorsFile> openShards = new HashMap<>();
    private boolean closed;

    private ShardedCheckpoint(Path origin, Map<String, Path> shardOfTensor) {
        this.origin = origin;
        this.shardOfTensor = shardOfTensor;
        this.names = List.copyOf(shardOfTensor.keySet());
    }

    /**
     * Opens a checkpoint. In a directory this takes the first that exists of {@code model.safetensors},
     * {@code model.safetensors.index.json}, the only {@code *.safetensors.index.json}, the only {@code *.safetensors}.
     *
     * @param fileOrDirectory a safetensors file, an index (named {@code *.json}), or a directory that holds one
     * @return the open checkpoint, to be closed by the caller
     * @throws SafetensorsException if there is none or several to choose from, or the file or index is not well formed
     */
    public static ShardedCheckpoint open(Path fileOrDirectory) throws SafetensorsException {
        Path file = Files.isDirectory(fileOrDirectory) ? choose(fileOrDirectory) : fileOrDirectory;
        return file.toString().endsWith(".json") ? openIndex(file) : openSingle(file);
    }

    /**
     * Returns the names of all tensors.
     *
     * @return immutable list in the order of the index, or of the header of a single file
     */
    public List<String> names() {
        return names;
    }

    /**
     * Says whether there is a tensor of a name.
     *
     * @param name the name
     * @return whether file or index name it
     */
    public boolean contains(String name) {
        return shardOfTensor.containsKey(name);
    }

    /**
     * Returns the file that holds a tensor, without opening it.
     *
     * @param name the tensor's name
     * @return path of the shard
     * @throws SafetensorsException if there is no such tensor; the message says which there are
     */
    public Path shardOf(String name) throws SafetensorsException {
        Path shard = shardOfTensor.get(name);
        if (shard == null) {
            throw new SafetensorsException(
                    origin.toString(), "expected tensor " + Text.quote(name) + ", " + Text.listNames(names, name));
        }
        return shard;
    }

    /**
     * Returns one tensor, without copying it; opens its shard if it is the first of it.
     *
     * @param name the tensor's name
     * @return description and bytes, valid until this checkpoint is closed
     * @throws SafetensorsException if there is no such tensor, or its shard is missing, not well formed, or lacks it
     * @throws IllegalStateException if this checkpoint is closed
     */
    public TensorView tensor(String name) throws SafetensorsException {
        Path shard = shardOf(name);
        SafetensorsFile file = shard(shard);
        if (!file.contains(name)) {
            throw new SafetensorsException(
                    shard.toString(),
                    "expected tensor " + Text.quote(name) + " as " + origin + " says, "
                            + Text.listNames(file.names(), name));
        }
        return file.tensor(name);
    }

    /** Closes all shards and invalidates every view; closing again does nothing. */
    @Override
    public synchronized void close() {
        closed = true;
        openShards.values().forEach(SafetensorsFile::close);
        openShards.clear();
    }

    private synchronized SafetensorsFile shard(Path shard) throws SafetensorsException {
        if (closed) {
            throw new IllegalStateException(Text.oneLine(origin.toString()) + ": already closed");
        }
        SafetensorsFile file = openShards.get(shard);
        if (file == null) {
            if (!Files.exists(shard)) {
                throw new SafetensorsException(
                        shard.toString(), "no such file, expected a shard that " + origin + " names");
            }
            file = SafetensorsFile.open(shard);
            openShards.put(shard, file);
        }
        return file;
    }

    private static ShardedCheckpoint openSingle(Path file) throws SafetensorsException {
        SafetensorsFile opened = SafetensorsFile.open(file);
        Map<String, Path> shardOfTensor = new LinkedHashMap<>();
        opened.names().forEach(name -> shardOfTensor.put(name, file));
        ShardedCheckpoint checkpoint = new ShardedCheckpoint(file, shardOfTensor);
        checkpoint.openShards.put(file, opened);
        return checkpoint;
    }

    private static ShardedCheckpoint openIndex(Path index) throws SafetensorsException {
        JsonObject weightMap = Json.readObject(index).object("weight_map");
        Map<String, Path> shardOfTensor = new LinkedHashMap<>();
        for (String name : weightMap.values().keySet()) {
            shardOfTensor.put(name, resolve(index, name, weightMap.string(name)));
        }
        return new ShardedCheckpoint(index, shardOfTensor);
    }

    /**
     * Resolves a shard against the directory of its index. Symbolic links are followed, since download caches are made
     * of them; names that would leave the directory by themselves are not.
     */
    private static Path resolve(Path index, String tensor, String shard) throws SafetensorsException {
        try {
            Path relative = Path.of(shard);
            // A backslash separates on one platform only; an index must mean the same on all.
            boolean inside =
                    !shard.isBlank() && !relative.isAbsolute() && relative.getRoot() == null && shard.indexOf('\\') < 0;
            for (Path part : relative) {
                inside &= !part.toString().equals("..");
            }
            if (inside) {
                return index.resolveSibling(relative);
            }
        } catch (InvalidPathException e) {
            throw new SafetensorsException(index.toString(), badShard(tensor, shard), e);
        }
        throw new SafetensorsException(index.toString(), badShard(tensor, shard));
    }

    private static String badShard(String tensor, String shard) {
        return "shard of tensor " + Text.quote(tensor) + ": expected a file in the directory of the index, found "
                + Text.quote(shard);
    }

    private static Path choose(Path directory) throws SafetensorsException {
        for (String name : List.of(DEFAULT_FILE, "model" + INDEX_SUFFIX)) {
            Path file = directory.resolve(name);
            if (Files.exists(file)) {
                return file;
            }
        }
        for (String suffix : List.of(INDEX_SUFFIX, FILE_SUFFIX)) {
            List<Path> candidates = list(directory, suffix);
            if (candidates.size() == 1) {
                return candidates.getFirst();
            }
            if (candidates.size() > 1) {
                List<String> found = candidates.stream()
                        .map(file -> file.getFileName().toString())
                        .toList();
                throw new SafetensorsException(
                        directory.toString(),
                        "expected " + DEFAULT_FILE + ", model" + INDEX_SUFFIX + " or one file *" + suffix + ", "
                                + Text.listNames(found, ""));
            }
        }
        throw new SafetensorsException(
                directory.toString(), "expected " + DEFAULT_FILE + " or model" + INDEX_SUFFIX + ", there are none");
    }

    private static List<Path> list(Path directory, String suffix) throws SafetensorsException {
        List<Path> files = new ArrayList<>();
        try (DirectoryStream<Path> entries = Files.newDirectoryStream(directory, "*" + suffix)) {
            entries.forEach(files::add);
        } catch (DirectoryIteratorException e) {
            throw InputFiles.failure(directory, "cannot be listed", Objects.requireNonNull(e.getCause()));
        } catch (IOException e) {
            throw InputFiles.failure(directory, "cannot be listed", e);
        }
        Collections.sort(files); // a directory has no order of its own
        return files;
    }
}
