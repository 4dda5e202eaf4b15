package uk.ac.manchester.tornado.api.enums;

/** Stands in for TornadoVM's enum of that name where there is no SDK. */
public enum MMAShape {
    M16N8K16
}
