package dev.dropless.safetensors;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class ShardedCheckpointTest {

    private static final String INDEX = "model.safetensors.index.json";

    @TempDir
    Path dir;

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void shardsOfAnIndex(boolean byDirectory) throws Exception {
        shard("s1.safetensors", "a", "b");
        shard("s2.safetensors", "c");
        Path index = index(Map.of("c", "s2.safetensors"), Map.of("a", "s1.safetensors"), Map.of("b", "s1.safetensors"));
        try (ShardedCheckpoint checkpoint = ShardedCheckpoint.open(byDirectory ? dir : index)) {
            assertThat(checkpoint.names()).containsExactly("c", "a", "b");
            assertThat(checkpoint.contains("a")).isTrue();
            assertThat(checkpoint.contains("d")).isFalse();
            assertThat(checkpoint.shardOf("b")).isEqualTo(dir.resolve("s1.safetensors"));
            for (String name : checkpoint.names()) {
                assertThat(Bytes.of(checkpoint.tensor(name))).containsExactly(name.charAt(0));
            }
            assertThatThrownBy(() -> checkpoint.tensor("d"))
                    .isInstanceOf(SafetensorsException.class)
                    .hasMessage(index + ": expected tensor \"d\", found 3: \"c\", \"a\", \"b\"");
        }
    }

    @Test
    void singleFile() throws Exception {
        Path file = shard("x.safetensors", "a");
        try (ShardedCheckpoint byFile = ShardedCheckpoint.open(file);
                ShardedCheckpoint byDirectory = ShardedCheckpoint.open(dir)) {
            for (ShardedCheckpoint checkpoint : new ShardedCheckpoint[] {byFile, byDirectory}) {
                assertThat(checkpoint.names()).containsExactly("a");
                assertThat(checkpoint.shardOf("a")).isEqualTo(file);
                assertThat(Bytes.of(checkpoint.tensor("a"))).containsExactly('a');
            }
        }
    }

    @Test
    void choiceInADirectory() throws Exception {
        assertThatThrownBy(() -> ShardedCheckpoint.open(dir))
                .isInstanceOf(SafetensorsException.class)
                .hasMessage(dir + ": expected model.safetensors or " + INDEX + ", there are none");
        shard("q.safetensors", "q");
        shard("p.safetensors", "p");
        assertThatThrownBy(() -> ShardedCheckpoint.open(dir))
                .isInstanceOf(SafetensorsException.class)
                .hasMessage(dir + ": expected model.safetensors, " + INDEX
                        + " or one file *.safetensors, found 2: \"p.safetensors\", \"q.safetensors\"");
        Files.move(index(Map.of("q", "q.safetensors")), dir.resolve("other.safetensors.index.json"));
        assertNames("q");
        index(Map.of("p", "p.safetensors"));
        assertNames("p");
        shard("model.safetensors", "m");
        assertNames("m");
    }

    @Test
    void shardsAreOpenedWhenNeededAndMissingOnesNamed() throws Exception {
        shard("here.safetensors", "a");
        Path index = index(Map.of("a", "here.safetensors"), Map.of("b", "gone.safetensors"));
        try (ShardedCheckpoint checkpoint = ShardedCheckpoint.open(index)) {
            assertThat(Bytes.of(checkpoint.tensor("a"))).containsExactly('a');
            assertThatThrownBy(() -> checkpoint.tensor("b"))
                    .isInstanceOf(SafetensorsException.class)
                    .hasMessage(dir.resolve("gone.safetensors") + ": no such file, expected a shard that " + index
                            + " names");
        }
    }

    @Test
    void shardWithoutItsTensor() throws Exception {
        Path shard = shard("s.safetensors", "a");
        Path index = index(Map.of("b", "s.safetensors"));
        try (ShardedCheckpoint checkpoint = ShardedCheckpoint.open(index)) {
            assertThatThrownBy(() -> checkpoint.tensor("b"))
                    .isInstanceOf(SafetensorsException.class)
                    .hasMessage(shard + ": expected tensor \"b\" as " + index + " says, found 1: \"a\"");
        }
    }

    @Test
    void damagedShard() throws Exception {
        Bytes.write(dir.resolve("s.safetensors"), new byte[5]);
        try (ShardedCheckpoint checkpoint = ShardedCheckpoint.open(index(Map.of("b", "s.safetensors")))) {
            assertThatThrownBy(() -> checkpoint.tensor("b"))
                    .isInstanceOf(SafetensorsException.class)
                    .hasMessageContaining("expected at least 8 bytes, found 5");
        }
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "../x",
                "/etc/passwd",
                "a/../../x",
                "..",
                "",
                " ",
                "..\\x",
                "C:\\x",
                "a\u0000b",
                "sub/../s.safetensors"
            })
    void shardsOutsideTheDirectoryOfTheIndex(String shard) throws Exception {
        Path index = index(Map.of("a", shard));
        assertThatThrownBy(() -> ShardedCheckpoint.open(index))
                .isInstanceOf(SafetensorsException.class)
                .hasMessage(index + ": shard of tensor \"a\": expected a file in the directory of the index, found "
                        + Text.quote(shard));
    }

    @Test
    void shardsBelowTheDirectoryAndThroughLinks() throws Exception {
        Path blobs = Files.createDirectories(dir.resolve("blobs"));
        Path snapshot = Files.createDirectories(dir.resolve("snapshot/sub"));
        shard("blobs/1234", "a");
        Files.createSymbolicLink(snapshot.resolve("s.safetensors"), blobs.resolve("1234"));
        Path index = Files.writeString(
                dir.resolve("snapshot").resolve(INDEX), "{\"weight_map\": {\"a\": \"sub/s.safetensors\"}}");
        try (ShardedCheckpoint checkpoint = ShardedCheckpoint.open(index)) {
            assertThat(Bytes.of(checkpoint.tensor("a"))).containsExactly('a');
        }
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "[]|expected a JSON object, found a list",
                "{}|key \"weight_map\": expected an object, found no such key",
                "{\"weight_map\":[]}|key \"weight_map\": expected an object, found a list",
                "{\"weight_map\":{\"a\":1}}|key \"weight_map\": key \"a\": expected a string, found 1",
                "{\"weight_map\":{\"a\":null}}|key \"weight_map\": key \"a\": expected a string, found null",
                "{\"weight_map\":{\"a\":\"s\",\"a\":\"t\"}}|Duplicate field 'a'",
                "{\"weight_map\":|not valid JSON at line 1",
            })
    void badIndex(String json, String problem) throws Exception {
        Path index = Files.writeString(dir.resolve(INDEX), json);
        assertThatThrownBy(() -> ShardedCheckpoint.open(index))
                .isInstanceOf(SafetensorsException.class)
                .hasMessageStartingWith(index + ": ")
                .hasMessageContaining(problem);
    }

    @Test
    void severalThreadsOpenEachShardOnce() throws Exception {
        String[] names = {"a", "b", "c", "d"};
        Map<String, String> weights = new LinkedHashMap<>();
        for (String name : names) {
            shard(name + ".safetensors", name);
            weights.put(name, name + ".safetensors");
        }
        try (ShardedCheckpoint checkpoint = ShardedCheckpoint.open(index(weights));
                ExecutorService threads = Executors.newFixedThreadPool(4)) {
            List<Future<TensorView>> views = new ArrayList<>();
            for (int i = 0; i < 64; i++) {
                String name = names[i % names.length];
                views.add(threads.submit(() -> checkpoint.tensor(name)));
            }
            for (int i = 0; i < views.size(); i++) {
                TensorView view = views.get(i).get();
                assertThat(Bytes.of(view)).containsExactly(names[i % names.length].charAt(0));
                assertThat(view.data().address())
                        .isEqualTo(views.get(i % names.length).get().data().address());
            }
        }
    }

    @Test
    void closingEndsEverything() throws Exception {
        ShardedCheckpoint checkpoint = ShardedCheckpoint.open(shard("model.safetensors", "a"));
        TensorView view = checkpoint.tensor("a");
        checkpoint.close();
        checkpoint.close();
        assertThatThrownBy(() -> checkpoint.tensor("a")).isInstanceOf(IllegalStateException.class);
        assertThatThrownBy(() -> Bytes.of(view)).isInstanceOf(IllegalStateException.class);
    }

    @Test
    void missingPath() {
        assertThatThrownBy(() -> ShardedCheckpoint.open(dir.resolve("none")))
                .isInstanceOf(SafetensorsException.class)
                .hasMessage(dir.resolve("none") + ": no such file");
    }

    private void assertNames(String... names) throws SafetensorsException {
        try (ShardedCheckpoint checkpoint = ShardedCheckpoint.open(dir)) {
            assertThat(checkpoint.names()).containsExactly(names);
        }
    }

    /** Writes a shard whose tensors hold one byte each, the first letter of their name. */
    private Path shard(String file, String... tensors) throws SafetensorsException {
        SafetensorsWriter writer = new SafetensorsWriter();
        for (String tensor : tensors) {
            byte[] data = {(byte) tensor.charAt(0)};
            writer.tensor(tensor, TensorType.U8, new long[] {1}, MemorySegment.ofArray(data));
        }
        Path path = dir.resolve(file);
        writer.write(path);
        return path;
    }

    @SafeVarargs
    private Path index(Map<String, String>... weights) throws IOException {
        Map<String, String> weightMap = new LinkedHashMap<>();
        for (Map<String, String> weight : weights) {
            weightMap.putAll(weight);
        }
        Map<String, Object> json = new LinkedHashMap<>();
        json.put("metadata", Map.of("total_size", 3));
        json.put("weight_map", weightMap);
        return Files.writeString(dir.resolve(INDEX), Json.write(json));
    }
}
