package dev.dropless.moe;

/** Where a slot's routing weight enters an expert's computation. */
public enum WeightPlacement {
    /** The expert's output is multiplied: y += w * expert(x). Almost every family. */
    OUTPUT,
    /** The expert's input is multiplied: y += expert(w * x). Llama 4. */
    INPUT
}
