package uk.ac.manchester.tornado.api.annotations;

import java.lang.annotation.ElementType;
import java.lang.annotation.Target;

/** Stands in for TornadoVM's annotation of that name where there is no SDK. */
@Target(ElementType.TYPE_USE)
public @interface Parallel {}
