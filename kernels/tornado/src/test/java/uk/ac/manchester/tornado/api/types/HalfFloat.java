package uk.ac.manchester.tornado.api.types;

/** Stands in for TornadoVM's class of that name where there is no SDK: sixteen bits. */
public record HalfFloat(short bits) {}
