/** Tests of whole layers that the back ends' tests subclass. */
@org.jspecify.annotations.NullMarked
package dev.dropless.moe.contract;
