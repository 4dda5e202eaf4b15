/** What every back end must do, as JUnit classes that the tests of a back end subclass. */
@NullMarked
package dev.dropless.blocksparse.contract;

import org.jspecify.annotations.NullMarked;
