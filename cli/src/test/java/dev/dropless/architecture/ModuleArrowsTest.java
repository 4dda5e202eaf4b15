package dev.dropless.architecture;

import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.classes;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noClasses;
import static com.tngtech.archunit.library.GeneralCodingRules.ACCESS_STANDARD_STREAMS;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import com.tngtech.archunit.core.domain.JavaClasses;
import com.tngtech.archunit.core.importer.ClassFileImporter;
import com.tngtech.archunit.core.importer.ImportOption;
import com.tngtech.archunit.lang.ArchRule;
import dev.dropless.architecture.fixture.topology.KnowsTheLayer;
import java.util.List;
import java.util.Set;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestFactory;

/**
 * Keeps the arrows between modules: which package may know which. Each module lists everything that it may depend on, so
 * a new dependency is a change of this file. A rule whose module has no classes fails, and so does a module without a rule.
 */
class ModuleArrowsTest {

    private static final String ROOT = "dev.dropless";

    /** What every module may use besides its own classes. */
    private static final List<String> COMMON = List.of("java..", "org.jspecify.annotations..");

    /** A module's package below the root, the packages of ours that it may know, and those of others. */
    private record Module(String name, List<String> knows, List<String> libraries) {}

    private static final List<Module> LIBRARIES = List.of(
            new Module("topology", List.of(), List.of()),
            new Module("blocksparse", List.of("topology"), List.of()),
            new Module("kernels.cpu", List.of("topology", "blocksparse"), List.of("jdk.incubator.vector..")),
            new Module("kernels.cuda", List.of("topology", "blocksparse"), List.of("jcuda..")),
            new Module(
                    "kernels.tornado",
                    List.of("topology", "blocksparse", "kernels.cuda"),
                    List.of("uk.ac.manchester.tornado.api..", "uk.ac.manchester.tornado.runtime..")),
            new Module("moe", List.of("topology", "blocksparse"), List.of()),
            new Module("safetensors", List.of(), List.of("com.fasterxml.jackson.core..")));

    /** The command may know everything but a back end, which it gets from the SPI like everyone else. */
    private static final Module COMMAND = new Module(
            "cli",
            List.of("topology", "blocksparse", "moe", "safetensors"),
            List.of(
                    "javax.imageio..",
                    "jdk.incubator.vector..",
                    "picocli..",
                    "me.tongfei.progressbar..",
                    "org.knowm.xchart.."));

    /** On the test path only, yet its code is held to the same arrows. */
    private static final Module TEST_DATA = new Module("testdata", List.of("safetensors"), List.of());

    private static JavaClasses production;

    @BeforeAll
    static void importProductionClasses() {
        production = new ClassFileImporter()
                .withImportOption(ImportOption.Predefined.DO_NOT_INCLUDE_TESTS)
                .importPackages(ROOT);
    }

    @TestFactory
    Stream<DynamicTest> everyModuleKnowsOnlyWhatItMay() {
        return modules()
                .map(module -> DynamicTest.dynamicTest(
                        module.name(), () -> arrowsOf(module, ROOT).check(production)));
    }

    @Test
    void everyPackageBelongsToAModuleWithARule() {
        Set<String> roots =
                Set.copyOf(modules().map(module -> ROOT + "." + module.name()).toList());
        assertThat(production)
                .extracting(type -> type.getPackageName())
                .allMatch(name -> roots.stream().anyMatch(root -> name.equals(root) || name.startsWith(root + ".")));
    }

    @TestFactory
    Stream<DynamicTest> librariesLeaveTheProcessAlone() {
        return LIBRARIES.stream()
                .map(module -> DynamicTest.dynamicTest(module.name(), () -> {
                    noClasses()
                            .that()
                            .resideInAPackage(subtree(module.name(), ROOT))
                            .should(ACCESS_STANDARD_STREAMS)
                            .because("a library logs through System.Logger")
                            .check(production);
                    noClasses()
                            .that()
                            .resideInAPackage(subtree(module.name(), ROOT))
                            .should()
                            .callMethod(System.class, "setProperty", String.class, String.class)
                            .orShould()
                            .callMethod(System.class, "exit", int.class)
                            .because("properties and the process belong to the application")
                            .check(production);
                }));
    }

    @Test
    void aWrongArrowIsFoundAndARightOneIsNot() {
        String fixtures = KnowsTheLayer.class.getPackageName().replace(".topology", "");
        JavaClasses classes = new ClassFileImporter().importPackages(fixtures);
        assertThatExceptionOfType(AssertionError.class)
                .isThrownBy(() -> arrowsOf(module("topology"), fixtures).check(classes))
                .withMessageContaining("KnowsTheLayer");
        arrowsOf(module("moe"), fixtures).check(classes);
    }

    private static Module module(String name) {
        return modules().filter(module -> module.name().equals(name)).findAny().orElseThrow();
    }

    private static Stream<Module> modules() {
        return Stream.concat(LIBRARIES.stream(), Stream.of(COMMAND, TEST_DATA));
    }

    private static ArchRule arrowsOf(Module module, String root) {
        String own = subtree(module.name(), root);
        String[] allowed = Stream.of(
                        COMMON.stream(),
                        module.libraries().stream(),
                        module.knows().stream().map(name -> subtree(name, root)),
                        Stream.of(own))
                .flatMap(packages -> packages)
                .toArray(String[]::new);
        return classes()
                .that()
                .resideInAPackage(own)
                .should()
                .onlyDependOnClassesThat()
                .resideInAnyPackage(allowed);
    }

    private static String subtree(String module, String root) {
        return root + "." + module + "..";
    }
}
